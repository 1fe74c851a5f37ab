"""A small anchor-free detector, after FCOS (Tian et al. 2019, arXiv:1904.01355), on one map a quarter of the image's size.

Each cell of the map says which kind of thing its middle is in, and how far that thing reaches to the four sides. No
anchors, no matching of proposals: `losses.py` tells which cells answer for a box, `boxes.py` turns answers into boxes.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from hypersweep_trainer.boxes import STRIDE
from hypersweep_trainer.models.parts import convolution
from hypersweep_trainer.settings import Settings

RARE = 0.01  # how likely a cell holds a thing, before anything is learnt: else the empty ones drown the first steps


class Detector(nn.Module):
    """Two convolutions that halve the image, `layers` more at that size, then one output layer."""

    def __init__(self, settings: Settings, channels: int, kinds: int) -> None:
        """`kinds` of things to find."""
        super().__init__()
        width = settings.width
        halving = [channels] + [width] * int(math.log2(STRIDE))
        self.body = nn.Sequential(
            *(convolution(settings, before, after, stride=2, auto="batch") for before, after in pairwise(halving)),
            *(convolution(settings, width, width, auto="batch") for _ in range(settings.layers)),
            nn.Dropout2d(settings.dropout),
        )
        self.head = nn.Conv2d(width, kinds + 4, 1)
        nn.init.constant_(self.head.bias[:kinds], -math.log((1 - RARE) / RARE))  # type: ignore[index]
        nn.init.constant_(self.head.bias[kinds:], 1.0)  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, kinds + 4, h / 4, w / 4): logits of the kinds, then reaches before softplus."""
        result: Tensor = self.head(self.body(x))
        return result
