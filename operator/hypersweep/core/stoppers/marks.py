"""What a trial's curve says at the budgets that a rule looks at: the data of every verdict.

Owns how a point is chosen. A mark is the first point at or beyond a budget, by the time it was logged: a step that is
missing, late or logged again by a resumed attempt gives the same mark, whoever reads the curve, and whenever.
"""

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
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


def marks_of(points: Iterable[Point], budgets: Iterable[int]) -> dict[int, Mark]:
    """The mark at each of these budgets that the curve has reached."""
    ordered = sorted(points, key=_logged)
    found = {b: next((p for p in ordered if p.budget >= b), None) for b in budgets}
    return {budget: Mark(point.value, point.time) for budget, point in found.items() if point is not None}


def broken(points: Iterable[Point], marks: Marks) -> dict[int, Mark]:
    """The first point that is NaN or infinite, as a mark beside these; empty when all are finite."""
    for point in sorted(points, key=_logged):
        if not math.isfinite(point.value):
            place = math.floor(point.budget)
            taken = place in marks and math.isfinite(marks[place].value)  # a finite value was logged there before
            return {place + taken: Mark(point.value, point.time)}
    return {}


def curve_since(points: Iterable[Point]) -> float | None:
    """When the metric had points at two places of the axis; None: it is no curve (yet)."""
    ordered = sorted(points, key=_logged)
    return next((p.time for p in ordered if p.budget != ordered[0].budget), None)


def _logged(point: Point) -> tuple[float, float, bool, float]:
    """In which order points were logged; of two at one time and place, which MLflow lists as it likes, the smaller is first."""
    return point.time, point.budget, math.isnan(point.value), point.value


class Table:
    """The marks of trials that have ended or wait, by budget, in the order of their times. Losses: smaller is better."""

    def __init__(self) -> None:
        self._rungs: dict[int, list[tuple[float, float]]] = defaultdict(list)  # (time, loss)
        self._losses: dict[int, list[float]] = defaultdict(list)  # ascending

    def put(self, marks: Marks, *, sign: float) -> None:
        """A trial has ended with these marks."""
        for budget, mark in marks.items():
            its = loss(mark.value, sign)
            insort(self._rungs[budget], (mark.time, its))
            insort(self._losses[budget], its)

    def take_back(self, marks: Marks, *, sign: float) -> None:
        """A trial that was put here with these marks goes on."""
        for budget, mark in marks.items():
            its = loss(mark.value, sign)
            for kept, entry in ((self._rungs[budget], (mark.time, its)), (self._losses[budget], its)):
                del kept[bisect_left(kept, entry)]

    def size(self, budget: int) -> int:
        """How many have come to a budget."""
        return len(self._losses.get(budget, ()))

    def better(self, budget: int, than: float) -> int:
        """How many have a smaller loss there."""
        return bisect_left(self._losses.get(budget, ()), than)

    def split(self, budget: int, time: float) -> tuple[list[float], list[tuple[float, float]]]:
        """Losses at a budget from before `time`, ascending; and (time, loss) of those from then on."""
        rung = self._rungs.get(budget, [])
        first = bisect_left(rung, (time,))
        if first == len(rung):
            return list(self._losses.get(budget, ())), []
        return sorted(its for _, its in rung[:first]), rung[first:]


def loss(value: float, sign: float) -> float:
    """A value as a loss; what is not finite is worse than anything."""
    return sign * value if math.isfinite(value) else math.inf
