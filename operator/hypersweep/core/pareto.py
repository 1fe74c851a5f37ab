"""The Pareto front of several objectives: the trials that no other is at least as good as in each, and better in one.

Owns the front, kept as trials come (O(front) each), which of it is shown, and the point to take where one is asked for.
Inside, every objective is signed so that smaller is better.
"""

from bisect import insort
from collections.abc import Sequence

from hypersweep.core.hypervolume import hypervolume
from hypersweep.core.improvement import End
from hypersweep.core.trial import Trial

Point = tuple[float, ...]

SHOWN = 20
REFERENCE = 5  # results, the first ones, that the reference point of the hypervolume is taken from …
MARGIN = 0.1  # … beyond the worst of them, by so much of the way from their best to their worst


class Front:
    """The front of the trials added. `signs`: of each objective, -1 where larger is better."""

    assignments = None

    def __init__(self, signs: Sequence[float]) -> None:
        self._signs = tuple(signs)
        self._members: list[tuple[Point, Trial]] = []
        self._first: list[tuple[float, int, Point]] = []  # the earliest results: end, index, point
        self._shown: list[Trial] | None = None
        self.top: Sequence[Trial] = ()

    def add(self, trial: Trial) -> None:
        point = tuple(sign * value for sign, value in zip(self._signs, trial.values, strict=True))
        insort(self._first, (trial.ended or 0.0, trial.index, point))
        del self._first[REFERENCE:]
        if any(_beats(other, point) or (other == point and t.index < trial.index) for other, t in self._members):
            return
        kept = [(other, t) for other, t in self._members if not _beats(point, other) and other != point]
        self._members = [*kept, (point, trial)]
        self._shown = None

    def exclude(self, trial: Trial) -> None:
        """It tells nothing of others."""

    @property
    def members(self) -> list[Trial]:
        """All of it, by index. Of trials with equal values the first is there."""
        return sorted((trial for _, trial in self._members), key=lambda t: t.index)

    @property
    def best(self) -> Trial | None:
        """The point nearest the ideal one, which is the best of each objective; each scaled by the front's range."""
        return self.front_and_best[1]

    @property
    def front(self) -> Sequence[Trial]:
        """All of it, or SHOWN that stand for it, by the first objective, best first."""
        return self.front_and_best[0]

    @property
    def front_and_best(self) -> tuple[list[Trial], Trial | None]:
        if self._shown is None:
            self._shown, self._best = self._chosen()
        return self._shown, self._best

    def reached(self, objective: int, value: float) -> Trial | None:
        """Whoever has the best value of an objective is on the front."""
        if not self._members:
            return None
        point, trial = min(self._members, key=lambda m: (m[0][objective], m[1].index))
        return trial if point[objective] <= self._signs[objective] * value else None

    def led_since(self, tolerance: float) -> End | None:
        """When the newest member came: those that ended later have not enlarged the hypervolume, whatever the reference point."""
        del tolerance  # there is none: the rules of the spec see to that
        return max(((trial.ended or 0.0, trial.index) for _, trial in self._members), default=None)

    def hypervolume(self) -> float | None:
        """The volume between the front and the reference point, in the product of the objectives' units.

        None until REFERENCE results are there; from then on the reference point stays, and the volume only grows.
        """
        if len(self._first) < REFERENCE:
            return None
        columns = zip(*(point for _, _, point in self._first), strict=True)
        return hypervolume([point for point, _ in self._members], [_beyond(column) for column in columns])

    def _chosen(self) -> tuple[list[Trial], Trial | None]:
        if not self._members:
            return [], None
        members = sorted(self._members, key=lambda m: (m[0], m[1].index))
        scaled = _scaled([point for point, _ in members])
        places = range(len(members))
        best = min(places, key=lambda i: (sum(x * x for x in scaled[i]), members[i][1].index))
        extremes = [min(places, key=lambda i, k=k: (scaled[i][k], i)) for k in range(len(self._signs))]  # type: ignore[misc]
        chosen = spread(scaled, list(dict.fromkeys([*extremes, best])), SHOWN)
        return [members[i][1] for i in sorted(chosen)], members[best][1]


def spread(points: Sequence[Point], chosen: list[int], count: int) -> list[int]:
    """Those chosen and further ones up to `count`, each the farthest from all chosen before it (Gonzalez, 1985)."""
    distances = [min(_distance(point, points[i]) for i in chosen) for point in points]
    found = list(chosen)
    while len(found) < min(count, len(points)):
        farthest = max(range(len(points)), key=lambda i: (distances[i], -i))
        if distances[farthest] == 0:  # scaled, some fronts coincide: whoever is left will do
            farthest = next(i for i in range(len(points)) if i not in found)
        found.append(farthest)
        distances = [min(d, _distance(p, points[farthest])) for d, p in zip(distances, points, strict=True)]
    return found


def _beats(a: Point, b: Point) -> bool:
    """At least as good in each, better in one."""
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def _scaled(points: Sequence[Point]) -> list[Point]:
    """Each coordinate from 0, the best, to 1, the worst. Halved first: a range of large values would overflow."""
    low = [min(column) / 2 for column in zip(*points, strict=True)]
    span = [(max(column) / 2 - least) or 1.0 for column, least in zip(zip(*points, strict=True), low, strict=True)]
    return [tuple((x / 2 - a) / s for x, a, s in zip(point, low, span, strict=True)) for point in points]


def _distance(a: Point, b: Point) -> float:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def _beyond(column: Sequence[float]) -> float:
    """The reference in one objective: beyond the worst of the first results."""
    worst, best = max(column), min(column)
    return worst + MARGIN * ((worst - best) or abs(worst) or 1.0)
