"""How a range of numbers is measured: where half of the way lies, and how likely each part of it is.

Owns the scales (Linear, Log, ReverseLog, Logit) and the distributions (uniform on the scale, Normal, LogNormal), nothing
else: a scale is a coordinate, in which `Domain`s take means and steps; a distribution says how a draw is spread over it.
Truncated to the bounds, by the inverse of the distribution function: part 0 is the lower bound, 1 the upper one.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

_STANDARD = NormalDist()
_FLAT = 1000  # a deviation of so many ranges is as good as uniform, and a wider one would be lost in rounding
_SMALLEST = 5e-324  # the inverse has no value at 0 …
_LARGEST = 1 - 2**-53  # … and at 1


@dataclass(frozen=True)
class Scale:
    """A coordinate: `of` a value, and back `to` one."""

    of: Callable[[float], float]
    to: Callable[[float], float]


SCALES: Mapping[str, Scale] = {
    "Linear": Scale(lambda x: x, lambda t: t),
    "Log": Scale(math.log, math.exp),
    "ReverseLog": Scale(lambda x: -math.log1p(-x), lambda t: -math.expm1(-t)),  # 0.9, 0.99, 0.999 are equal steps
    "Logit": Scale(lambda x: math.log(x) - math.log1p(-x), lambda t: 1 / (1 + math.exp(-t))),
}


@dataclass(frozen=True)
class Measure:
    """A scale, and how draws are spread over it: evenly, or around `mean` (a value) with a `deviation` (on the scale)."""

    scale: str = "Linear"
    mean: float | None = None
    deviation: float = 1.0

    @property
    def even(self) -> bool:
        """Whether equal distances between numbers are equally likely."""
        return self.scale == "Linear" and self.mean is None

    def __str__(self) -> str:
        if self.mean is None:
            return self.scale
        name = "LogNormal" if self.scale == "Log" else "Normal"
        return f"{name}({self.mean:g}, {self.deviation:g})"

    def of(self, value: float) -> float:
        """The coordinate of a value."""
        return SCALES[self.scale].of(value)

    def to(self, coordinate: float) -> float:
        """The value at a coordinate."""
        return SCALES[self.scale].to(coordinate)

    def between(self, low: float, high: float, part: float) -> float:
        """The coordinate at that part of the way from low to high (coordinates)."""
        if self.mean is None or low == high:
            return low * (1 - part) + high * part
        if part in (0, 1):
            return high if part else low
        centre, deviation, first, last = self._curve(low, high)
        share = min(max(first + (last - first) * part, _SMALLEST), _LARGEST)
        return min(max(centre + deviation * _STANDARD.inv_cdf(share), low), high)

    def way(self, low: float, high: float, coordinate: float) -> float:
        """The inverse: which part of the way from low to high a coordinate lies at."""
        if low >= high:
            return 0.5
        if self.mean is None:
            return min(max((coordinate - low) / (high - low), 0.0), 1.0)
        centre, deviation, first, last = self._curve(low, high)
        return min(max((_below((coordinate - centre) / deviation) - first) / (last - first), 0.0), 1.0)

    def _curve(self, low: float, high: float) -> tuple[float, float, float, float]:
        """Centre and deviation on the scale, and the distribution function at both ends."""
        centre = self.of(self.mean or 0.0)
        deviation = min(self.deviation, _FLAT * (high - low))
        return centre, deviation, _below((low - centre) / deviation), _below((high - centre) / deviation)


def _below(z: float) -> float:
    """The normal distribution function, exact also far below the mean."""
    return 0.5 * math.erfc(-z / math.sqrt(2))
