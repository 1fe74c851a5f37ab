"""Made here, the same each time: coloured discs, squares and triangles on noise, with a mask of their kinds.

Small enough to learn in seconds, and with the truth known to the pixel. `draw` also serves `boxes.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hypersweep_trainer.data import Source, standardised
from hypersweep_trainer.rules import PACKAGED
from hypersweep_trainer.settings import Settings

KINDS = ("disc", "square", "triangle")
SIDE = 32  # pixels
COUNT = 400  # images
MOST = 3  # shapes in an image


class Drawing(NamedTuple):
    """Images (n, 3, side, side), masks (n, side, side) of 1 + kind, and boxes (n, most, 5): kind, left, top, right, bottom."""

    images: Tensor
    masks: Tensor
    boxes: Tensor


def draw(count: int = COUNT, *, side: int = SIDE, seed: int = 0) -> Drawing:
    """`count` images with one to three shapes, which do not touch. Boxes are in pixels; where there is none, kind is -1."""
    dice = np.random.default_rng(seed)
    images = dice.normal(0.3, 0.08, (count, 3, side, side)).astype(np.float32)
    masks = np.zeros((count, side, side), np.int64)
    boxes = np.full((count, MOST, 5), -1, np.float32)
    for image, mask, found in zip(images, masks, boxes, strict=True):
        slot = 0
        for _ in range(dice.integers(1, MOST + 1)):
            kind, radius = int(dice.integers(len(KINDS))), int(dice.integers(4, 8))
            row, column = dice.integers(radius + 1, side - radius - 1, 2)
            if mask[row - radius - 1 : row + radius + 2, column - radius - 1 : column + radius + 2].any():
                continue
            inside = _shape(kind, row, column, radius, side)
            mask[inside] = kind + 1
            image[:, inside] += dice.uniform(0.2, 0.7, (3, 1)).astype(np.float32)
            rows, columns = inside.nonzero()
            found[slot] = kind, columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            slot += 1
    return Drawing(torch.from_numpy(images), torch.from_numpy(masks), torch.from_numpy(boxes))


def _shape(kind: int, row: int, column: int, radius: int, side: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    y, x = np.mgrid[:side, :side] - np.array([row, column])[:, None, None]
    if KINDS[kind] == "disc":
        return x * x + y * y <= radius * radius  # type: ignore[no-any-return]
    if KINDS[kind] == "square":
        return np.maximum(abs(x), abs(y)) <= radius - 1  # type: ignore[no-any-return]
    return (y <= radius - 1) & (2 * abs(x) <= y + radius)  # type: ignore[no-any-return]


def load(settings: Settings) -> Source:
    """Images and masks; the classes are the background and the kinds."""
    drawing = draw()
    return Source(
        drawing.masks,
        PACKAGED[settings.data],
        ("background", *KINDS),
        lambda train: standardised(drawing.images, train, over=(0, 2, 3)),
    )
