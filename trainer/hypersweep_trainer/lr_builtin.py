"""The range test of what the settings describe: the built-in data, model, loss and optimizer.

Owns the joint between the trainer and `lr_range.py`, which knows neither.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypersweep_trainer.lr_interval import Finding
from hypersweep_trainer.lr_range import lr_range_test
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.train import Training


class Batches:
    """The training part in mini-batches, each pass in a new order."""

    def __init__(self, training: Training) -> None:
        self.training = training

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        data = self.training.data
        order = torch.randperm(len(data.train_y), generator=self.training.shuffle)
        for samples in torch.split(order, self.training.settings.batch_size):
            chosen = samples.to(data.train_y.device)
            yield data.train_x[chosen], data.train_y[chosen]


def find(settings: Settings, *, start: float, end: float, steps: int) -> Finding:
    """The range test on the training part. Raises BadInputError for data or a device that cannot be."""
    training = Training(settings, horizon=1)
    return lr_range_test(
        training.model, training.optimizer, cross_entropy, Batches(training), start=start, end=end, steps=steps
    )
