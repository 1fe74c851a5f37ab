"""What has already been tried, and where nobody looked: the largest ranges without a trial, per parameter and per pair.

Sizes are parts of the parameter's scale, or of a pair's square, so that a gap of 0.4 is as large on a log scale as on a linear
one. A trial counts wherever it was planned, whatever became of it. Pairs are looked at on a coarse grid: a gap smaller than
a cell of it is none worth telling. Knows the values only: not whether it would be worth looking there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hypersweep.core.analysis.levels import INACTIVE, Floats, Ints, Levels, continuous, short
from hypersweep.core.environment import text
from hypersweep.core.trial import Assignment

CELLS = 8  # of a pair's grid, along each parameter
PAIRED = 14  # parameters of which all pairs are looked at
LARGE = 0.2  # of a scale or square: smaller gaps are not told
ENOUGH = 5  # trials, before a gap means anything


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One parameter: how many trials had it, how many different values, and what was not tried."""

    parameter: str
    trials: int
    values: int
    gap: str  # the largest range (or all values) without a trial; empty: none
    size: float  # of that range, as a part of the scale


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """Two parameters, and the largest rectangle of their values without a trial."""

    pair: tuple[str, str]
    values: tuple[str, str]
    size: float  # as a part of the pair's square


def tried(levels: Sequence[Levels], assignments: Sequence[Assignment]) -> list[Tried]:
    """Of each parameter."""
    return [_of(each, [a[each.name] for a in assignments if each.name in a]) for each in levels]


def unseen(levels: Sequence[Levels], assignments: Sequence[Assignment]) -> list[Unseen]:
    """The pairs with the largest gaps first. Where a parameter alone has a gap, its pairs do not tell it again."""
    at = {each.name: _cells(each, assignments) for each in levels[:PAIRED]}
    found = [
        rectangle
        for i, a in enumerate(levels[:PAIRED])
        for b in levels[i + 1 : PAIRED]
        for rectangle in _rectangle(a, b, at)
    ]
    return sorted(found, key=lambda u: (-u.size, u.pair))


def _of(levels: Levels, values: Sequence[str | float]) -> Tried:
    different = sorted({levels.place(v) for v in values})
    if not values:
        gap, size = "all of it", 1.0
    elif levels.binned or continuous(levels.dimension):
        gap, size = _gap(levels, different)
    else:
        missing = [i for i in range(levels.count) if levels.dimension.domain.at(i) not in values]
        gap = ", ".join(text(levels.dimension.domain.at(i)) for i in missing)
        size = len(missing) / levels.count
    return Tried(parameter=levels.name, trials=len(values), values=len(different), gap=gap, size=size)


def _gap(levels: Levels, places: Sequence[float]) -> tuple[str, float]:
    """The longest way between two neighbours, or from an end to the first of them."""
    edges = [0.0, *places, 1.0]
    size, low = max((high - low, low) for low, high in pairwise(edges))
    near = levels.dimension.domain.near
    return (f"{short(near(low))} to {short(near(low + size))}", size) if size >= LARGE else ("", size)


def _cells(levels: Levels, assignments: Sequence[Assignment]) -> Ints:
    """Each assignment's cell along a parameter; INACTIVE where it has none."""
    if not levels.binned:
        return levels.of(assignments)
    places = [levels.place(a[levels.name]) if levels.name in a else INACTIVE for a in assignments]
    return np.array([INACTIVE if p < 0 else min(int(p * CELLS), CELLS - 1) for p in places], dtype=np.int64)


def _rectangle(a: Levels, b: Levels, at: Mapping[str, Ints]) -> Iterator[Unseen]:
    """The largest empty rectangle of the pair, if it is large and goes beyond what the parameters say alone."""
    both = (at[a.name] != INACTIVE) & (at[b.name] != INACTIVE)
    if both.sum() < ENOUGH:
        return
    seen = np.zeros((_width(a), _width(b)))
    np.add.at(seen, (at[a.name][both], at[b.name][both]), 1)
    rows, columns = seen.sum(axis=1) > 0, seen.sum(axis=0) > 0
    rectangle = max(_empty(seen, rows, columns, ordered=(a.ordered, b.ordered)), default=None)
    if rectangle is not None and (size := rectangle[0] / seen.size) >= LARGE:
        _, (top, bottom), (left, right) = rectangle
        values = (_span(a, top, bottom), _span(b, left, right))
        yield Unseen(pair=(a.name, b.name), values=values, size=size)


Flags = NDArray[np.bool_]
Rectangle = tuple[int, tuple[int, int], tuple[int, int]]


def _empty(seen: Floats, rows: Flags, columns: Flags, *, ordered: tuple[bool, bool]) -> Iterator[Rectangle]:
    """Empty rectangles: (cells, rows from and to, columns from and to). Of words, one row or column: they have no order."""
    height, width = seen.shape
    tall, wide = ordered
    for top in range(height):
        for bottom in range(top, height if tall else top + 1):
            free = (seen[top : bottom + 1].sum(axis=0) == 0) & columns
            if not rows[top : bottom + 1].any():
                continue
            for left, right in _runs(free, longest=width if wide else 1):
                yield (bottom - top + 1) * (right - left + 1), (top, bottom), (left, right)


def _runs(free: Flags, *, longest: int) -> Iterator[tuple[int, int]]:
    """First and last of each stretch."""
    start = None
    for i, is_free in enumerate([*free, False]):
        if is_free and start is None:
            start = i
        if start is not None and (not is_free or i - start >= longest):
            yield start, i - 1
            start = i if is_free else None


def _width(levels: Levels) -> int:
    return CELLS if levels.binned else levels.count


def _span(levels: Levels, first: int, last: int) -> str:
    if not levels.binned:
        return levels.span(first, last)
    near = levels.dimension.domain.near
    return f"{short(near(first / CELLS))} to {short(near((last + 1) / CELLS))}"
