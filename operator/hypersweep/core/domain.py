"""The values that one parameter can take: a few choices, an even lattice, or an interval.

Owns bounds, steps, scales, exact types, and what "uniform" means for each. Knows neither `when` nor other parameters.
Values are exact: what JSON writes and reads again is the same value.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from hypersweep.core.measure import Measure
from hypersweep.core.spec import Parameter
from hypersweep.core.trial import Value
from hypersweep.core.wording import shown

_BITS = 64  # of a draw
_NEAR = Fraction(1, 10**9)  # of a step: how far beside the lattice a person's decimal may lie


class Domain(Protocol):
    """What a strategy may ask of a parameter's values."""

    @property
    def size(self) -> int | None:
        """How many values there are; None: more than can be counted."""
        ...

    def at(self, index: int) -> Value:
        """The value of that index, 0 ≤ index < size."""
        ...

    def index(self, value: Any) -> int:
        """The index of a value without problems, where there is a size."""
        ...

    def draw(self, bits: int) -> Value:
        """The value for 64 random bits: uniform on the parameter's scale, each step of a linear one equally likely."""
        ...

    def near(self, part: float) -> Value:
        """The value at a part (0 … 1) of the way through all of them, measured on the parameter's scale."""
        ...

    def part(self, value: Any) -> float:
        """The inverse of `near`, for a value without problems."""
        ...

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, what was found and what is allowed; None: nothing."""
        ...

    def canonical(self, value: Any) -> Value:
        """A value without problems in its exact type."""
        ...


@dataclass(frozen=True)
class Levels:
    """Countably many values of a parameter: so many, and which; numbers ascend."""

    size: int
    at: Callable[[int], Value]

    def first(self, holds: Callable[[Any], bool]) -> int:
        """The first level that something holds for, given that it holds for all after that one. `size`: for none."""
        low, high = 0, self.size
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(self.at(middle)) else (middle + 1, high)
        return low


@dataclass(frozen=True)
class Choices:
    """Discrete, Categorical, Boolean: each value equally likely."""

    values: tuple[Value, ...]
    noun: str  # of the values' type, as a message names it

    @property
    def size(self) -> int:
        return len(self.values)

    def at(self, index: int) -> Value:
        return self.values[index]

    def index(self, value: Any) -> int:
        return self.values.index(value)

    def draw(self, bits: int) -> Value:
        return self.values[bits * len(self.values) >> _BITS]

    def near(self, part: float) -> Value:
        return self.values[min(int(part * self.size), self.size - 1)]

    def part(self, value: Any) -> float:
        return (self.index(value) + 0.5) / self.size

    def problem(self, value: Any) -> str | None:
        if self._typed(value) and value in self.values:
            return None
        return f"found {shown(value)}; allowed: the {self.noun} {', '.join(map(shown, self.values))}"

    def canonical(self, value: Any) -> Value:
        return self.values[self.values.index(value)]

    def _typed(self, value: Any) -> bool:
        if self.noun == "numbers":
            return is_number(value)
        return type(value) is type(self.values[0])


@dataclass(frozen=True)
class Lattice:
    """Integer, and Float with a step: `low`, `low + step`, … in exact arithmetic: 0.1 and two steps of 0.1 are 0.3."""

    low: Fraction
    step: Fraction
    size: int
    measure: Measure
    whole: bool  # Integer

    def at(self, index: int) -> int | float:
        exact = self.low + index * self.step
        return int(exact) if self.whole else float(exact)

    def index(self, value: Any) -> int:
        return min(max(round((_exact(value) - self.low) / self.step), 0), self.size - 1)

    def draw(self, bits: int) -> int | float:
        if self.measure.even:
            return self.at(bits * self.size >> _BITS)  # exact, also for more values than floats can tell apart
        return self.near(_part(bits))

    def near(self, part: float) -> int | float:
        if self.size == 1 or self.measure.even:
            return self.at(min(int(part * self.size), self.size - 1))
        place = self.measure.between(*self._edges, part)
        index = min(max(math.floor((_exact(self.measure.to(place)) - self.low) / self.step), 0), self.size - 1)
        upper = min(index + 1, self.size - 1)
        nearer = 2 * place > self._coordinate(index) + self._coordinate(upper)
        return self.at(upper if nearer else index)

    def part(self, value: Any) -> float:
        if self.size == 1 or self.measure.even:
            return (self.index(value) + 0.5) / self.size
        return self.measure.way(*self._edges, self.measure.of(value))

    @property
    def even(self) -> bool:
        """Whether each value is equally likely."""
        return self.size == 1 or self.measure.even

    @property
    def _edges(self) -> tuple[float, float]:
        """Coordinates where the first value's bin begins and the last one's ends, half a step of the scale beyond them."""
        first, second, last, previous = map(self._coordinate, (0, 1, self.size - 1, self.size - 2))
        return first - (second - first) / 2, last + (last - previous) / 2

    def _coordinate(self, index: int) -> float:
        return self.measure.of(float(self.at(index)))

    def problem(self, value: Any) -> str | None:
        if not is_number(value) or (self.whole and value != int(value)):
            return f"found {shown(value)}; allowed: {'an integer' if self.whole else 'a number'} {self.told}"
        place = (_exact(value) - self.low) / self.step
        if not -_NEAR <= place <= self.size - 1 + _NEAR or abs(place - round(place)) > _NEAR:
            return f"found {shown(value)}; allowed: {self.told}"
        return None

    def canonical(self, value: Any) -> int | float:
        return self.at(self.index(value))

    def crossed(self, low: float | None, high: float | None) -> bool:
        """Whether a value lies from low to high (None: no bound)."""
        first = 0 if low is None else max(math.ceil((_exact(low) - self.low) / self.step), 0)
        last = self.size - 1 if high is None else min(math.floor((_exact(high) - self.low) / self.step), self.size - 1)
        return first <= last

    @property
    def told(self) -> str:
        """The values in words."""
        steps = "" if self.whole and self.step == 1 else f" in steps of {float(self.step):.12g}"
        return f"from {self.at(0)} to {self.at(self.size - 1)}{steps}"


@dataclass(frozen=True)
class Interval:
    """Float without a step: every number from low to high, both included."""

    low: float
    high: float
    measure: Measure

    @property
    def size(self) -> int | None:
        return 1 if self.low == self.high else None

    def at(self, index: int) -> float:
        """The only value of an interval that holds one."""
        del index
        return self.low

    def index(self, value: Any) -> int:
        del value
        return 0

    def draw(self, bits: int) -> float:
        return self.near(_part(bits))

    def near(self, part: float) -> float:
        return self._clipped(self.measure.to(self.measure.between(*self._ends, part)))

    def part(self, value: Any) -> float:
        return self.measure.way(*self._ends, self.measure.of(value))

    def points(self, count: int) -> Sequence[float]:
        """`count` values, evenly spaced on the scale, from low to high exactly; fewer where floats run out.

        Those between are rounded to 12 digits: 0.01, not 0.009999999999999995, and the same on every machine.
        """
        inner = [self._clipped(float(f"{self.near(k / (count - 1)):.12g}")) for k in range(1, count - 1)]
        return sorted({self.low, self.high, *inner})

    def problem(self, value: Any) -> str | None:
        if is_number(value) and self.low <= value <= self.high:
            return None
        return f"found {shown(value)}; allowed: a number from {self.low} to {self.high}"

    def canonical(self, value: Any) -> float:
        return float(value) + 0.0  # and no negative zero

    @property
    def _ends(self) -> tuple[float, float]:
        return self.measure.of(self.low), self.measure.of(self.high)

    def _clipped(self, value: float) -> float:
        return min(max(value, self.low), self.high)


def domain(parameter: Parameter) -> Domain:
    """The values of a parameter that has passed the schema."""
    match parameter.type:
        case "Boolean":
            return Choices((False, True), "booleans")
        case "Categorical":
            return Choices(tuple(parameter.values or ()), "strings")
        case "Discrete":
            return Choices(_numbers(parameter.numbers or ()), "numbers")
        case "Integer":
            return _lattice(parameter, step=parameter.step or 1)
        case "Float" if parameter.step:
            return _lattice(parameter, step=parameter.step)
    low, high = _bounds(parameter)
    return Interval(float(low) + 0.0, float(high) + 0.0, _measure(parameter))


def _lattice(parameter: Parameter, *, step: float) -> Lattice:
    low, high = map(_exact, _bounds(parameter))
    size = (high - low) // _exact(step) + 1
    return Lattice(low, _exact(step), size, _measure(parameter), parameter.type == "Integer")


def _measure(parameter: Parameter) -> Measure:
    if parameter.distribution is None:
        return Measure(parameter.scale or "Linear")
    if parameter.mean is None or parameter.deviation is None:
        raise TypeError(f"{parameter.name}: a distribution without mean and deviation passed the schema")
    scale = "Log" if parameter.distribution == "LogNormal" else "Linear"
    return Measure(scale, parameter.mean, parameter.deviation)


def _bounds(parameter: Parameter) -> tuple[float, float]:
    if parameter.min is None or parameter.max is None:
        raise TypeError(f"{parameter.name}: a parameter of type {parameter.type} without min and max passed the schema")
    return parameter.min, parameter.max


def _numbers(numbers: Sequence[float]) -> tuple[Value, ...]:
    """In ascending order and of one type: integers if all are whole (Go's JSON writes 16.0 as 16), else floats."""
    whole = all(float(n).is_integer() for n in numbers)
    return tuple(sorted({int(n) if whole else float(n) for n in numbers}))


def _part(bits: int) -> float:
    """Random bits as a number 0 ≤ part < 1, with all the digits that floats near 1 have."""
    return (bits >> (_BITS - 53)) / 2**53


def exact(value: Any) -> Any:
    """A value for exact arithmetic: of a float, the decimal that a person wrote; anything else is exact already."""
    return Fraction(repr(value)) if isinstance(value, float) else value


def _exact(value: float) -> Fraction:
    return Fraction(exact(value))


def is_number(value: Any) -> bool:
    """Whether JSON would call it a number; true is none."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)  # of any length: float() would overflow
