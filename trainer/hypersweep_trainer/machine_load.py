"""What a training uses of the machine, every ten seconds: MLflow shows it under "system metrics".

MLflow has a monitor of its own for this. It needs psutil, and writes past the journal: during an outage its values are
lost, and after a few failures it ends. What is read here costs microseconds and no package.
"""

from __future__ import annotations

import math
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

PERIOD = 10.0  # seconds
STATM = Path("/proc/self/statm")


class MachineLoad:
    """Takes a sample when one is due."""

    def __init__(self) -> None:
        """The first one is due at once."""
        self.samples = 0
        self._taken, self._busy = -math.inf, time.process_time()

    def sample(self) -> dict[str, float]:
        """`system/…` values, or nothing before the time has come. Processor time is of one core: two give 200 %."""
        now, busy = time.monotonic(), time.process_time()
        if now - self._taken < PERIOD:
            return {}
        values = {"system/load_average": os.getloadavg()[0], **_memory(), **_gpu()}
        if self._taken > -math.inf:
            values["system/process_cpu_percentage"] = 100 * (busy - self._busy) / (now - self._taken)
        self._taken, self._busy = now, busy
        self.samples += 1
        return values


def _memory() -> dict[str, float]:
    if not STATM.exists():  # macOS: the peak in `memory_mb` must do
        return {}
    pages = int(STATM.read_text().split()[1])
    return {"system/process_memory_megabytes": pages * os.sysconf("SC_PAGE_SIZE") / 1e6}


def _gpu() -> dict[str, float]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {}
    values = {"system/gpu_memory_usage_megabytes": torch.cuda.memory_allocated() / 1e6}
    with suppress(ImportError, RuntimeError):  # needs NVIDIA's nvidia-ml-py
        values["system/gpu_utilization_percentage"] = float(torch.cuda.utilization())
    return values
