"""Data and a model that hang, for a trainer in a process of its own."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import torch
from torch import nn


def data() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Waits for a lock that nobody gives back."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
    raise AssertionError("unreachable")


class Model(nn.Sequential):
    """Hangs in the third epoch of training."""

    def __init__(self, *, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(math.prod(inputs), outputs))
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        if self.calls > 60:  # 23 batches an epoch
            threading.Event().wait()
        result: torch.Tensor = super().forward(x)
        return result


class Slow(nn.Sequential):
    """Takes longer for an epoch than the deadline is, but never for a batch."""

    def __init__(self, *, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(math.prod(inputs), outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        threading.Event().wait(0.3)
        result: torch.Tensor = super().forward(x)
        return result
