"""A space as the unit cube: one coordinate a parameter, for the strategies that calculate with vectors.

Owns the translation, both ways, and its exactness: a parameter of few values lies on so many places of its axis, and the
assignment of a point has only what is active. Knows no values of trials.

A coordinate is the part of the way through the parameter's values, on its scale. An inactive parameter lies in the middle
of its axis, so that two trials which both lack it do not differ in it; for unordered choices, at NOWHERE, a choice of
its own.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hypersweep.core.domain import Choices
from hypersweep.core.space import Dimension, Space
from hypersweep.core.trial import Assignment, Value

Array = NDArray[np.float64]

NOWHERE = -1.0
_MIDDLE = 0.5
_FEW = 1000  # values: a finer lattice is as good as a continuum


class Cube:
    """Points (rows of coordinates, 0 … 1) and the assignments that they stand for."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.size = len(space.dimensions)
        self.unordered = np.array([_unordered(d) for d in space.dimensions])
        self.places = [_places(d) for d in space.dimensions]  # of each parameter with few values
        self.conditional = any(d.when for d in space.dimensions)

    @cached_property
    def absent(self) -> Array:
        """Where each parameter lies when it is inactive."""
        return np.where(self.unordered, NOWHERE, _MIDDLE)

    @property
    def continuous(self) -> NDArray[np.bool_]:
        """Which coordinates may take any value."""
        return np.array([places is None for places in self.places])

    def point(self, assignment: Assignment) -> Array:
        """The coordinates of an assignment."""
        point = self.absent.copy()
        for i, d in enumerate(self.space.dimensions):
            if d.name in assignment:
                point[i] = self._coordinate(i, assignment[d.name])
        return point

    def assignment(self, point: Array) -> Assignment:
        """The assignment at a point: parents first, then those of their children that are active."""
        values: dict[str, Value] = {}
        for i, d in enumerate(self.space.dimensions):
            if d.active(values):
                values[d.name] = self._value(i, float(point[i]))
        return values

    def settled(self, points: Array) -> Array:
        """The same points, each moved to where its assignment lies (but for what a float's digits hide)."""
        settled = np.clip(points, 0.0, 1.0)
        for i, places in enumerate(self.places):
            if places is not None:
                settled[:, i] = places[_nearest(places, settled[:, i])]
        if self.conditional:
            for row in settled:
                self._clear(row)
        return settled

    def _clear(self, row: Array) -> None:
        """Move what is inactive to where inactive parameters lie."""
        values: dict[str, Value] = {}
        for i, d in enumerate(self.space.dimensions):
            if not d.active(values):
                row[i] = self.absent[i]
            elif d.name in self._parents:
                values[d.name] = self._value(i, float(row[i]))

    @cached_property
    def _parents(self) -> frozenset[str]:
        return frozenset(c.parent for d in self.space.dimensions for c in d.when)

    def _coordinate(self, i: int, value: Value) -> float:
        domain, places = self.space.dimensions[i].domain, self.places[i]
        return domain.part(value) if places is None else float(places[domain.index(value)])

    def _value(self, i: int, coordinate: float) -> Value:
        domain, places = self.space.dimensions[i].domain, self.places[i]
        if places is None:
            return domain.near(min(max(coordinate, 0.0), 1.0))
        return domain.at(int(_nearest(places, np.array([coordinate]))[0]))


def _unordered(dimension: Dimension) -> bool:
    return isinstance(dimension.domain, Choices) and dimension.domain.noun != "numbers"


def _places(dimension: Dimension) -> Array | None:
    """Where each of a parameter's values lies on its axis, ascending; None: there are too many."""
    domain = dimension.domain
    if domain.size is None or domain.size > _FEW:
        return None
    return np.array([domain.part(domain.at(i)) for i in range(domain.size)])


def _nearest(places: Array, coordinates: Array) -> NDArray[np.intp]:
    """The index of the place that each coordinate is nearest to."""
    return np.searchsorted((places[1:] + places[:-1]) / 2, coordinates)
