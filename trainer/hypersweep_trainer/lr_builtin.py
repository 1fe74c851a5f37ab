"""The range test of what the settings describe: the built-in data, model, loss and optimizer.

Owns the joint between the trainer and `lr_range.py`, which knows neither.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hypersweep_trainer.data.prefetch import batches_of
from hypersweep_trainer.lr_interval import Finding
from hypersweep_trainer.lr_range import lr_range_test
from hypersweep_trainer.rules import FULL_BATCH
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.train import Training


class Batches:
    """The training part in mini-batches, each pass in a new order."""

    def __init__(self, training: Training) -> None:
        self.training = training

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        data, settings = self.training.data, self.training.settings
        order = torch.randperm(len(data.train), generator=self.training.shuffle).to(data.train.device)
        size = len(order) if settings.optimizer in FULL_BATCH else settings.batch_size
        return iter(batches_of(data, torch.split(data.train[order], size)))


def find(settings: Settings, *, start: float, end: float, steps: int) -> Finding:
    """The range test on the training part. Raises BadInputError for data or a device that cannot be."""
    training = Training(settings, horizon=1)
    return lr_range_test(
        training.model,
        training.optimizer,  # type: ignore[arg-type]  # muon's pair behaves like one
        training.loss,
        Batches(training),
        start=start,
        end=end,
        steps=steps,
    )
