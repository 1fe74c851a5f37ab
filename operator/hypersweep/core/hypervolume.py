"""The hypervolume of a set of points: how much of the space up to a reference point they dominate. Exact, up to three dimensions.

Pure. Smaller is better in each coordinate. The third is swept from best to worst, and the area that the points so far
dominate in the other two is kept as a staircase, so that n points cost O(n log n) (Beume et al., IEEE TEVC 13(5), 2009).
(Optuna has one of its own, which is private.)
"""

from bisect import bisect_left
from collections.abc import Sequence


def hypervolume(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """The volume dominated by one to three-dimensional points; what lies beyond the reference counts nothing."""
    missing = 3 - len(reference)
    corner = (*reference, *(1.0,) * missing)
    solid = [(*point, *(0.0,) * missing) for point in points]
    inside = sorted(
        (p for p in solid if all(x < r for x, r in zip(p, corner, strict=True))), key=lambda p: p[::-1]
    )  # ties too: a sum depends on its order
    stairs = _Stairs(corner[0], corner[1])
    volume = 0.0
    for place, (x, y, z) in enumerate(inside):
        stairs.add(x, y)
        until = inside[place + 1][2] if place + 1 < len(inside) else corner[2]
        volume += stairs.area * (until - z)
    return volume


class _Stairs:
    """The area that points of a plane dominate, up to a corner: from left to right, steps that go down."""

    def __init__(self, right: float, top: float) -> None:
        self.area = 0.0
        self._right, self._top = right, top
        self._x: list[float] = []
        self._y: list[float] = []

    def add(self, x: float, y: float) -> None:
        first = bisect_left(self._x, x)
        ceiling = self._y[first - 1] if first > 0 else self._top
        if ceiling <= y or (first < len(self._x) and self._x[first] == x and self._y[first] <= y):
            return
        last, left = first, x
        while last < len(self._x) and self._y[last] >= y:  # steps that are swallowed
            self.area += (self._x[last] - left) * (ceiling - y)
            left, ceiling = self._x[last], self._y[last]
            last += 1
        right = self._x[last] if last < len(self._x) else self._right
        self.area += (right - left) * (ceiling - y)
        self._x[first:last], self._y[first:last] = [x], [y]
