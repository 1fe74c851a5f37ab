"""Where a training computes, in which precision, and what it uses of the machine."""

from __future__ import annotations

import resource
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.settings import Settings

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The device that the setting asks for, which must be there."""
    present = ["cpu"] + ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    if name == "auto":
        return torch.device(present[-1])
    if name not in present:
        raise BadInputError(f"device: found {name}, allowed on this machine: {' | '.join(['auto', *present])}")
    return torch.device(name)


def make_reproducible(settings: Settings) -> None:
    """Seed torch, bound its threads, and warn of what can't be repeated."""
    torch.set_num_threads(settings.threads or torch.get_num_threads())
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms() would import the compiler
    torch.manual_seed(settings.seed)


def autocast(settings: Settings, device: torch.device) -> AbstractContextManager[Any]:
    """Compute in the precision of the settings within this context."""
    if settings.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, PRECISIONS[settings.precision])


def peak_memory(device: torch.device) -> float:
    """The most memory so far, in MB: of the device, or of the process where it computes on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
