"""A parameter's values as a few levels, so that trials can be counted and compared: the values themselves, or bins.

Owns the binning, on the parameter's own scale, and how a level is named. Levels of numbers have an order and a place
(0 … 1, the middle of the bin on the scale); those of words have none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hypersweep.core.domain import Choices, Interval, Lattice
from hypersweep.core.environment import text
from hypersweep.core.space import Dimension, Space
from hypersweep.core.trial import Assignment, Value

BINS = 12  # of an interval, or of a lattice with more values
INACTIVE = -1

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Levels:
    """The levels of one parameter."""

    dimension: Dimension

    @property
    def name(self) -> str:
        return self.dimension.name

    @property
    def ordered(self) -> bool:
        domain = self.dimension.domain
        return not isinstance(domain, Choices) or domain.noun == "numbers"

    @property
    def binned(self) -> bool:
        """Whether a level holds a range of values."""
        size = self.dimension.domain.size
        return not isinstance(self.dimension.domain, Choices) and (size is None or size > BINS)

    @cached_property
    def count(self) -> int:
        return BINS if self.binned else self.dimension.domain.size or 1

    @cached_property
    def places(self) -> Floats:
        """Where each level lies on the parameter's scale."""
        domain = self.dimension.domain
        if self.binned or not isinstance(domain, Lattice):
            return (np.arange(self.count) + 0.5) / self.count
        return np.array([domain.part(domain.at(i)) for i in range(self.count)])

    def place(self, value: Value) -> float:
        """Where one value lies on the scale, as `places` has it."""
        return float(self.dimension.domain.part(value))

    def level(self, value: Value) -> int:
        if self.binned:
            return min(int(self.place(value) * self.count), self.count - 1)
        return self.dimension.domain.index(value)

    def of(self, assignments: Sequence[Assignment]) -> Ints:
        """The level that each assignment has; INACTIVE where it has none."""
        name = self.name
        return np.array([self.level(a[name]) if name in a else INACTIVE for a in assignments], dtype=np.int64)

    def label(self, level: int) -> str:
        """A level in words: `sgd`, `64`, `0.001 to 0.003`."""
        return self.span(level, level)

    def span(self, first: int, last: int) -> str:
        """Neighbouring levels in words."""
        domain = self.dimension.domain
        if not self.binned:
            ends = [text(domain.at(i)) for i in sorted({first, last})]
            return " to ".join(ends)
        low, high = domain.near(first / self.count), domain.near((last + 1) / self.count)
        if isinstance(domain, Lattice):  # an upper edge belongs to the next bin
            high = domain.at(min(domain.index(high), (domain.size or 1) - 1))
        return f"{short(low)} to {short(high)}"


def levels_of(space: Space) -> list[Levels]:
    """Of each parameter that leaves a choice."""
    found = [Levels(d) for d in space.dimensions]
    return [levels for levels in found if levels.count > 1]


def short(value: Value) -> str:
    """A value with as many digits as a person reads."""
    return f"{value:.3g}" if isinstance(value, float) else text(value)


def continuous(dimension: Dimension) -> bool:
    return isinstance(dimension.domain, Interval) and dimension.domain.size is None
