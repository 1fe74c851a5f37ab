"""The range test of what the settings describe: the built-in data, model, loss and optimizer.

Owns the joint between the trainer and `lr_range.py`, which knows neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hypersweep_trainer.data.prefetch import batches_of
from hypersweep_trainer.lr_interval import Finding
from hypersweep_trainer.lr_range import lr_range_test
from hypersweep_trainer.rules import FULL_BATCH
from hypersweep_trainer.settings import Settings

if TYPE_CHECKING:
    from hypersweep_trainer.train import Training


class Batches:
    """The training part in mini-batches, each pass in a new order."""

    def __init__(self, training: Training) -> None:
        self.training, self.generator = training, training.shuffle  # the test gives the generator back as it was

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        data, settings = self.training.data, self.training.settings
        order = torch.randperm(len(data.train), generator=self.generator).to(data.train.device)
        size = len(order) if settings.optimizer in FULL_BATCH else settings.batch_size
        return iter(batches_of(data, torch.split(data.train[order], size)))


def find(settings: Settings, *, start: float, end: float, steps: int) -> Finding:
    """The range test on the training part. Raises BadInputError for data or a device that cannot be."""
    from hypersweep_trainer.train import Training  # which does the test itself, if the schedule wants it

    return range_test_of(Training(settings, horizon=1), start=start, end=end, steps=steps)


def range_test_of(training: Training, *, start: float, end: float, steps: int) -> Finding:
    """The range test of a training that has not begun, and is afterwards what it was: weights, data order, random numbers."""
    return lr_range_test(
        training.model,
        training.optimizer,  # type: ignore[arg-type]  # muon's pair behaves like one
        training.loss,
        Batches(training),
        start=start,
        end=end,
        steps=steps,
        on_step=lambda _step, _rate, _loss: training.beat(),
    )
