"""Fully connected networks for rows and small images."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from hypersweep_trainer.models.parts import activation, norm
from hypersweep_trainer.settings import Settings


def make_linear(inputs: int, outputs: int) -> nn.Sequential:
    """Logistic or linear regression."""
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs))


def make_mlp(settings: Settings, inputs: int, outputs: int) -> nn.Sequential:
    """`layers` hidden layers of `width` units, then the outputs."""
    sizes = [inputs] + [settings.width] * settings.layers
    hidden: list[nn.Module] = []
    for before, after in pairwise(sizes):
        hidden += [nn.Linear(before, after), *norm(settings, after, images=False, auto="none")]
        hidden += [activation(settings), nn.Dropout(settings.dropout)]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], outputs))
