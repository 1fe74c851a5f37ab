"""What a trial's curve says at the budgets that a rule looks at: the data of every verdict.

Owns how a point is chosen. A mark is the first point at or beyond a budget, by the time it was logged: a step that is
missing, late or logged again by a resumed attempt gives the same mark, whoever reads the curve, and whenever.
"""

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """A value of the metric. `budget`: where on the axis (a step, or what a counting metric said)."""

    budget: float
    value: float
    time: float  # when it was logged, seconds since the epoch


@dataclass(frozen=True)
class Mark:
    """The value at a budget, and when it was logged."""

    value: float
    time: float


Marks = Mapping[int, Mark]  # by budget


def marks_of(points: Iterable[Point], budgets: Iterable[int]) -> Marks:
    """The mark at each of these budgets that the curve has reached."""
    ordered = sorted(points, key=lambda p: (p.budget, p.time))
    found = {b: next((p for p in ordered if p.budget >= b), None) for b in budgets}
    return {budget: Mark(point.value, point.time) for budget, point in found.items() if point is not None}


class Table:
    """The marks of all trials, by budget, in the order in which they were logged. Values are losses: smaller is better."""

    def __init__(self) -> None:
        self._rungs: dict[int, list[tuple[float, int, float]]] = defaultdict(list)  # (time, trial, loss)
        self._marks: dict[int, dict[int, tuple[float, int, float]]] = defaultdict(dict)

    def put(self, trial: int, marks: Marks, *, sign: float) -> None:
        """A trial's marks are these, and no others."""
        self.drop(trial)
        for budget, mark in marks.items():
            entry = mark.time, trial, loss(mark.value, sign)
            self._marks[trial][budget] = entry
            insort(self._rungs[budget], entry)

    def drop(self, trial: int) -> None:
        """A trial has no marks any more."""
        for budget, entry in self._marks.pop(trial, {}).items():
            self._rungs[budget].remove(entry)

    def peers(self, budget: int, mark: Mark, trial: int) -> Sequence[float]:
        """Losses that were logged at a budget before this trial's mark."""
        rung = self._rungs.get(budget, [])
        return [entry[2] for entry in rung[: bisect_left(rung, (mark.time, trial))]]


def loss(value: float, sign: float) -> float:
    """A value as a loss; what is not finite is worse than anything."""
    return sign * value if math.isfinite(value) else math.inf
