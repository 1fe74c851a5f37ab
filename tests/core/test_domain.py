"""The values of one parameter: exact types, bounds and steps, and what is equally likely."""

import json
import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core.domain import Interval, Lattice, domain
from hypersweep.core.keyed import number
from hypersweep.core.measure import Measure
from hypersweep.core.spec import Parameter
from hypersweep.testing.spaces import Json, parameters, space


def parameter(**fields: Any) -> Parameter:
    return Parameter.model_validate({"name": "x", **fields})


def bits() -> st.SearchStrategy[int]:
    return st.integers(0, 2**64 - 1)


# ---- exact values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "values"),
    [
        ([64, 16.0, 32], "[16, 32, 64]"),
        ([0.5, 1], "[0.5, 1.0]"),
        ([2, 2.0], "[2]"),
        ([-0.0, 1], "[0, 1]"),
    ],
)
def test_discrete_numbers_are_of_one_type(numbers: list[float], values: str) -> None:
    """All integers, or all floats: 16.0 reaches the API server as 16, and a trial must not see the difference."""
    found = domain(parameter(type="Discrete", numbers=numbers))
    assert json.dumps([found.at(i) for i in range(found.size or 0)]) == values


def test_steps_are_counted_in_decimals() -> None:
    """0.1 + 0.1 + 0.1 is 0.3 on a lattice, not 0.30000000000000004, and the last value is not lost to rounding."""
    found = domain(parameter(type="Float", min=0.1, max=0.7, step=0.1))
    assert [found.at(i) for i in range(found.size or 0)] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


def test_large_integers_are_exact() -> None:
    """±2^53 are in reach, odd numbers between them too."""
    found = domain(parameter(type="Integer", min=-(2**53), max=2**53))
    assert (found.size, found.at(0), found.at(2**54), found.at(2**54 - 1)) == (2**54 + 1, -(2**53), 2**53, 2**53 - 1)


@given(made=parameters(most=1), draw=bits())
def test_a_drawn_value_is_allowed_and_survives_json(made: list[Json], draw: int) -> None:
    """Bounds, steps and types hold for any random bits, and writing and reading changes nothing."""
    values = space(made).dimensions[0].domain
    value = values.draw(draw)
    again = json.loads(json.dumps(value))
    assert values.problem(value) is None
    assert (again, type(again)) == (value, type(value))
    assert (values.canonical(again), type(values.canonical(again))) == (value, type(value))


@given(made=parameters(finite=True, most=1))
def test_values_and_indices_are_inverse(made: list[Json]) -> None:
    """`at` and `index` agree, and values ascend where they are numbers."""
    values = space(made).dimensions[0].domain
    found = [values.at(i) for i in range(values.size or 0)]
    assert [values.index(v) for v in found] == list(range(len(found)))
    if made[0]["type"] in ("Integer", "Float", "Discrete"):
        assert found == sorted(set(found))


# ---- uniform means ---------------------------------------------------------------------------------------------------


def draws(values: Any, count: int = 4000) -> list[Any]:
    return [values.draw(number("test", i)) for i in range(count)]


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "Integer", "min": 1, "max": 4},
        {"type": "Float", "min": 0, "max": 0.35, "step": 0.1},
        {"type": "Discrete", "numbers": [1, 10, 100, 1000]},
        {"type": "Categorical", "values": list("abcd")},
    ],
)
def test_each_value_is_equally_likely(fields: Json) -> None:
    """The ends of a range get as much as its middle: 1,000 of 4,000 each, within five standard deviations."""
    counts = Counter(draws(domain(parameter(**fields))))
    assert len(counts) == 4
    assert all(abs(n - 1000) < 5 * math.sqrt(750) for n in counts.values())


@pytest.mark.parametrize("kind", ["Float", "Integer"])
def test_each_decade_of_a_logarithm_is_equally_likely(kind: str) -> None:
    """Log: three decades of the range get a third each."""
    counts = Counter(int(math.log10(v)) for v in draws(domain(parameter(type=kind, min=100, max=99_999, scale="Log"))))
    assert set(counts) == {2, 3, 4}
    assert all(abs(n - 4000 / 3) < 5 * math.sqrt(4000 * 2 / 9) for n in counts.values())


def test_an_integer_on_a_log_scale_has_the_share_between_its_neighbours() -> None:
    """1 and 2 of 1, 2, 3, 4 are drawn as often as their distance in the logarithm to the neighbours says."""
    counts = Counter(draws(domain(parameter(type="Integer", min=1, max=4, scale="Log"))))
    edges = [2**-0.5, 2**0.5, 6**0.5, 12**0.5, 4 * (4 / 3) ** 0.5]
    for value, (low, high) in enumerate(pairwise(edges), start=1):
        share = math.log(high / low) / math.log(edges[-1] / edges[0])
        assert abs(counts[value] / 4000 - share) < 5 * math.sqrt(share * (1 - share) / 4000)


def test_a_lattice_on_a_log_scale_keeps_its_steps() -> None:
    """Should a step on a log scale be allowed one day, the values are the lattice's."""
    lattice = Lattice(low=Fraction(8), step=Fraction(8), size=128, measure=Measure("Log"), whole=True)
    found = draws(lattice)
    assert all(v % 8 == 0 and 8 <= v <= 1024 for v in found)
    assert sum(v <= 64 for v in found) > 1000


@pytest.mark.parametrize(
    ("scale", "points"),
    [
        ("Log", [1e-05, 1e-04, 1e-03, 1e-02, 0.1]),
        ("Linear", [1e-05, 0.0250075, 0.050005, 0.0750025, 0.1]),
    ],
)
def test_points_are_even_on_the_scale_with_exact_ends(scale: str, points: list[float]) -> None:
    """Numbers on a grid are those that a person would write."""
    assert Interval(1e-5, 0.1, Measure(scale)).points(5) == points


# ---- scales and distributions ----------------------------------------------------------------------------------------


CURVED: dict[str, Json] = {
    "ReverseLog": {"min": 0, "max": 0.9999, "scale": "ReverseLog"},
    "ReverseLog with steps": {"min": 0.5, "max": 0.99, "step": 0.01, "scale": "ReverseLog"},
    "Logit": {"min": 1e-6, "max": 1 - 1e-6, "scale": "Logit"},
    "Normal": {"min": -3, "max": 10, "distribution": "Normal", "mean": 1, "deviation": 2},
    "Normal with steps": {"min": 0, "max": 1, "step": 0.05, "distribution": "Normal", "mean": 0.3, "deviation": 0.1},
    "Normal at an edge": {"min": 0, "max": 1, "distribution": "Normal", "mean": 0, "deviation": 0.3},
    "Normal, far wider than its bounds": {"min": 0, "max": 1, "distribution": "Normal", "mean": 1, "deviation": 1e18},
    "Normal, far narrower than its bounds": {
        "min": -1e18,
        "max": 1e18,
        "distribution": "Normal",
        "mean": 0,
        "deviation": 1,
    },
    "LogNormal": {"min": 1e-5, "max": 1, "distribution": "LogNormal", "mean": 1e-3, "deviation": 1.5},
}


@pytest.mark.parametrize("name", CURVED)
def test_a_curved_range_stays_within_its_bounds(name: str) -> None:
    """Both ends are reached, and nothing beyond; parts ascend with values, and are where they were."""
    values = domain(parameter(type="Float", **CURVED[name]))
    found = [values.near(k / 1000) for k in range(1001)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == pytest.approx((CURVED[name]["min"], CURVED[name]["max"]), rel=1e-12)
    assert all(values.problem(v) is None for v in [*found, *(values.draw(number(i)) for i in range(1000))])
    if "narrower" not in name and "steps" not in name:
        assert all(abs(values.part(v) - k / 1000) < 1e-6 for k, v in enumerate(found))


@pytest.mark.parametrize(
    ("fields", "share", "expected"),
    [
        (CURVED["ReverseLog"], lambda v: v < 0.9, 1 / 4),
        (CURVED["ReverseLog"], lambda v: v > 0.999, 1 / 4),
        ({"min": 0.01, "max": 0.99, "scale": "Logit"}, lambda v: v < 0.5, 1 / 2),
        ({"min": 0.01, "max": 0.99, "scale": "Logit"}, lambda v: v > 0.9, math.log(11) / math.log(99) / 2),
        ({"min": -50, "max": 50, "distribution": "Normal", "mean": 3, "deviation": 2}, lambda v: 1 < v < 5, 0.6827),
        (CURVED["Normal at an edge"], lambda v: v < 0.3, 0.6827 / 0.99914),
        (
            {"min": 1e-9, "max": 1e9, "distribution": "LogNormal", "mean": 0.01, "deviation": 2.302585},
            lambda v: v > 0.1,
            0.1587,
        ),
        (
            {"min": 1e-9, "max": 1e9, "distribution": "LogNormal", "mean": 0.01, "deviation": 0.5},
            lambda v: v < 0.01,
            0.5,
        ),
        (CURVED["Normal, far wider than its bounds"], lambda v: v < 0.25, 0.25),
        (CURVED["Normal with steps"], lambda v: 0.175 < v < 0.425, 0.7887 / 0.9994),
    ],
)
def test_draws_are_spread_as_the_scale_or_distribution_says(
    fields: Json, share: Callable[[float], bool], expected: float
) -> None:
    """Of 4,000 draws, within five standard deviations."""
    found = sum(map(share, draws(domain(parameter(type="Float", **fields))))) / 4000
    assert abs(found - expected) < 5 * math.sqrt(expected * (1 - expected) / 4000)


def test_integers_may_be_distributed_too() -> None:
    """Each has the share between its neighbours: 68 % within one deviation, plus half a step either way."""
    found = draws(domain(parameter(type="Integer", min=0, max=100, distribution="Normal", mean=50, deviation=10)))
    assert all(type(v) is int for v in found)
    assert abs(sum(40 <= v <= 60 for v in found) / 4000 - 0.7063) < 0.04
