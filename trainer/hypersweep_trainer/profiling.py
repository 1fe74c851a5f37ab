"""A profiler trace of a few steps, for whoever asks for it: what takes the time, operation by operation.

Owns when it is on: after the first steps, which warm up, and never longer than was asked for. The trace is a file for
https://ui.perfetto.dev or chrome://tracing. Needs nothing of the loop: it counts the optimizer's steps.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.profiler import profile

    from hypersweep_trainer.train import Training

FIRST = 3  # steps that are left out: allocators and caches fill
ROWS = 20
TRACE = "trace.json"


class Profiler:
    """Runs from now until so many steps were seen, or until it is closed."""

    def __init__(self, training: Training, folder: Path, *, steps: int, done: Callable[[str], None]) -> None:
        """The trace goes to `folder`; `done` is called once with a table of what took longest."""
        from torch.profiler import ProfilerActivity, profile, schedule

        on_gpu = {ProfilerActivity.CUDA} if training.device.type == "cuda" else set()
        self._folder, self._done = folder, done
        self._profile = profile(
            activities={ProfilerActivity.CPU, *on_gpu},
            schedule=schedule(wait=FIRST - 1, warmup=1, active=steps, repeat=1),
            on_trace_ready=self._write,
        )
        self._left = FIRST + steps
        optimizer: Any = training.optimizer
        first = getattr(optimizer, "parts", (optimizer,))[0]
        self._hook = first.register_step_post_hook(lambda *_: self._step())
        self._profile.start()

    def close(self) -> None:
        """Stop, wherever it is; a training that was too short leaves the trace of the steps it had."""
        if self._left > 0:
            self._left = 0
            self._hook.remove()
            self._profile.stop()

    def _step(self) -> None:
        self._left -= 1
        if self._left > 0:
            self._profile.step()
        else:
            self._left = 1
            self.close()

    def _write(self, found: profile) -> None:
        found.export_chrome_trace(str(self._folder / TRACE))
        self._done(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=ROWS))
