"""The images of `shapes.py`, with boxes around the shapes: something small for a detector to find.

A target is (most, 5): kind, left, top, right, bottom in pixels; rows that are not needed have kind -1.
"""

from __future__ import annotations

from hypersweep_trainer.data import Source, standardised
from hypersweep_trainer.data.shapes import KINDS, draw
from hypersweep_trainer.rules import PACKAGED
from hypersweep_trainer.settings import Settings


def load(settings: Settings) -> Source:
    """Images and boxes; the classes are the kinds."""
    drawing = draw()
    return Source(
        drawing.boxes,
        PACKAGED[settings.data],
        KINDS,
        lambda train: standardised(drawing.images, train, over=(0, 2, 3)),
    )
