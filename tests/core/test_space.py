"""The search space: what is active, what is wrong with an assignment, exact values, exact counts."""

import json
import math
import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core.domain import Interval, Lattice, Levels, domain
from hypersweep.core.errors import SpecError
from hypersweep.core.keyed import number, permuted
from hypersweep.core.measure import Measure
from hypersweep.core.ranking import Ranking
from hypersweep.core.space import Space
from hypersweep.core.spec import Parameter
from hypersweep.core.strategies import random as random_strategy
from hypersweep.testing.spaces import OPTIMIZER, SPACES, Json, every, parameters, space

GOOD: Json = {"lr": 0.001, "dropout": 0.5, "width": 64, "layers": 7, "batch": 32.5, "optimizer": "adam"}
SGD: Json = {"optimizer": "sgd", "nesterov": True, "momentum": 0.3}


def parameter(**fields: Any) -> Parameter:
    return Parameter.model_validate({"name": "x", **fields})


def bits() -> st.SearchStrategy[int]:
    return st.integers(0, 2**64 - 1)


# ---- which parameters there are


@given(made=parameters(), seed=st.randoms())
def test_the_order_of_the_list_has_no_meaning(made: list[Json], seed: random.Random) -> None:
    """Two manifests that list the same parameters differently mean the same space."""
    shuffled = seed.sample(made, len(made))
    assert space(made) == space(shuffled)


def test_parents_come_before_children_and_names_decide_the_rest() -> None:
    """Canonical order, on which draws of conditional parameters rely."""
    assert [d.name for d in space(SPACES["mixed"]).dimensions] == [
        "batch",
        "dropout",
        "layers",
        "lr",
        "optimizer",
        "width",
        "nesterov",
        "momentum",
    ]


@pytest.mark.parametrize(
    ("assignment", "active"),
    [
        ({"optimizer": "adam"}, {"optimizer"}),
        ({"optimizer": "sgd", "nesterov": False}, {"optimizer", "nesterov"}),
        ({"optimizer": "sgd", "nesterov": True}, {"optimizer", "nesterov", "momentum"}),
        ({"optimizer": "rprop", "nesterov": True}, {"optimizer"}),
        ({"optimizer": ["sgd"], "nesterov": True}, {"optimizer"}),
        ({}, {"optimizer"}),
    ],
)
def test_a_parameter_is_active_where_all_its_conditions_hold(assignment: Json, active: set[str]) -> None:
    """All of `when` must hold, and a condition on an inactive parent does not, whatever value stands there."""
    assert set(space(OPTIMIZER).active(assignment)) == active


@pytest.mark.parametrize(
    ("when", "path", "says"),
    [
        ({"a": "c", "b": "a", "c": "b"}, "spec.parameters[0].when", "a → c → b → a"),
        ({"b": "b"}, "spec.parameters[1].when", "b → b"),
    ],
)
def test_conditions_that_lead_in_a_circle_are_refused(when: dict[str, str], path: str, says: str) -> None:
    """The API server cannot see circles; the message shows the way round."""
    made: list[Json] = [{"name": name, "type": "Boolean"} for name in "abc"]
    for child, parent in when.items():
        made["abc".index(child)]["when"] = [{"parameter": parent, "values": ["true"]}]
    with pytest.raises(SpecError) as error:
        space(made)
    assert [p.path for p in error.value.problems] == [path]
    assert says in str(error.value)


def test_a_circle_leaves_others_out_of_its_message() -> None:
    """A parameter that merely hangs on a circle is not accused."""
    with pytest.raises(SpecError) as error:
        space(
            [
                {"name": "a", "type": "Boolean", "when": [{"parameter": "m", "values": ["true"]}]},
                {"name": "m", "type": "Boolean", "when": [{"parameter": "n", "values": ["true"]}]},
                {"name": "n", "type": "Boolean", "when": [{"parameter": "m", "values": ["true"]}]},
            ]
        )
    assert "m → n → m" in str(error.value)
    assert "a →" not in str(error.value)


# ---- what is wrong with an assignment


@pytest.mark.parametrize(
    ("change", "path", "says"),
    [
        ({"learning_rate": 1}, "learning_rate", "no such parameter"),
        ({"lrr": 1}, "lrr", "did you mean `lr`?"),
        ({"lr": None}, "lr", "found nothing; allowed: a number from 1e-05 to 0.1"),
        ({"lr": 0.2}, "lr", "found 0.2; allowed: a number from 1e-05 to 0.1"),
        ({"lr": "1e-3"}, "lr", 'found "1e-3"'),
        ({"lr": True}, "lr", "found true"),
        ({"lr": math.nan}, "lr", "found NaN"),
        ({"lr": 10**400}, "lr", "found 1000"),
        ({"width": 10**400}, "width", "found 1000"),
        ({"width": 0}, "width", "found 0; allowed: from 1 to 1024"),
        ({"width": 2.5}, "width", "found 2.5; allowed: an integer from 1 to 1024"),
        ({"width": math.inf}, "width", "found Infinity; allowed: an integer"),
        ({"layers": 3}, "layers", "found 3; allowed: from 2 to 12 in steps of 5"),
        ({"layers": 17}, "layers", "found 17"),
        ({"batch": 33}, "batch", "found 33; allowed: the numbers 16.0, 32.5, 64.0"),
        ({"batch": "16"}, "batch", 'found "16"'),
        ({"optimizer": "Adam"}, "optimizer", 'found "Adam"; allowed: the strings "sgd", "adam", "rprop"'),
        ({"optimizer": ["adam"]}, "optimizer", 'found ["adam"]'),
        ({"optimizer": "sgd"}, "nesterov", "missing"),
        ({"nesterov": True}, "nesterov", "the parameter is inactive: it exists only where optimizer is sgd"),
        ({**SGD, "nesterov": "true"}, "nesterov", 'found "true"; allowed: the booleans false, true'),
        ({**SGD, "nesterov": 1}, "nesterov", "found 1"),
        ({**SGD, "momentum": 0.4}, "momentum", "found 0.4; allowed: from 0.0 to 0.9 in steps of 0.3"),
    ],
)
def test_problems_say_where_what_and_what_is_allowed(change: Json, path: str, says: str) -> None:
    """One wrong thing in an otherwise right assignment is named."""
    found = space(SPACES["mixed"]).problems({**GOOD, **change}, path="spec.initialTrials[2].parameters")
    assert f"spec.initialTrials[2].parameters.{path}" in [p.path for p in found]
    assert any(says in p.message for p in found)


@pytest.mark.parametrize(
    "change", [{}, SGD, {"layers": 7.0}, {"lr": 0.1}, {"batch": 16}, {**SGD, "momentum": 0.1 + 0.2}]
)
def test_right_assignments_have_no_problems(change: Json) -> None:
    """Bounds are inclusive, 7.0 is an integer to JSON, and 0.30000000000000004 means 0.3."""
    assert space(SPACES["mixed"]).problems({**GOOD, **change}) == []


def test_each_problem_is_told() -> None:
    """A person corrects an assignment once, not once per mistake."""
    found = space(SPACES["mixed"]).problems({"lr": 1, "zz": 0})
    assert {p.path.removeprefix("parameters.") for p in found} == {
        "lr",
        "zz",
        "dropout",
        "width",
        "layers",
        "batch",
        "optimizer",
    }


# ---- exact values


def test_canonical_values_have_exact_types() -> None:
    """What Go's JSON or a person spells differently becomes one thing."""
    found = space(SPACES["mixed"]).canonical(
        {
            "optimizer": "sgd",
            "nesterov": True,
            "momentum": 0.1 + 0.2,
            "lr": 1e-2,
            "dropout": 0,
            "width": 8.0,
            "layers": 2,
            "batch": 16,
        }
    )
    assert json.dumps(found) == (
        '{"batch": 16.0, "dropout": 0.0, "layers": 2, "lr": 0.01, "optimizer": "sgd", "width": 8, "nesterov": true, '
        '"momentum": 0.3}'
    )


def test_a_wrong_assignment_has_no_canonical_form() -> None:
    """Nothing is guessed."""
    with pytest.raises(SpecError, match=r"parameters\.width: missing"):
        space(SPACES["mixed"]).canonical({k: v for k, v in GOOD.items() if k != "width"})


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


# ---- uniform means


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


# ---- scales and distributions


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


# ---- defaults of numbers as parents


NESTED: list[Json] = [
    {"name": "layers", "type": "Integer", "min": 1, "max": 4},
    {"name": "width2", "type": "Discrete", "numbers": [16, 64], "when": [{"parameter": "layers", "min": 2}]},
    {
        "name": "skip",
        "type": "Boolean",
        "when": [{"parameter": "width2", "min": 20, "max": 64}, {"parameter": "layers", "max": 3}],
    },
    {"name": "gate", "type": "Float", "min": 0, "max": 1, "when": [{"parameter": "skip", "values": ["true"]}]},
    {"name": "fine", "type": "Float", "min": 0, "max": 1, "when": [{"parameter": "gate", "min": 0.5}]},
]


@pytest.mark.parametrize(
    ("assignment", "active"),
    [
        ({"layers": 1}, "layers"),
        ({"layers": 2, "width2": 16}, "layers width2"),
        ({"layers": 2, "width2": 64, "skip": True, "gate": 0.49}, "layers width2 skip gate"),
        ({"layers": 3, "width2": 64, "skip": True, "gate": 0.5}, "layers width2 skip gate fine"),
        ({"layers": 4, "width2": 64, "skip": True}, "layers width2"),
        ({"layers": "2"}, "layers"),
        ({"layers": True}, "layers"),
        ({"layers": math.nan}, "layers"),
    ],
)
def test_conditions_on_numbers_hold_within_their_range(assignment: Json, active: str) -> None:
    """Both ends included, nested to any depth; a value that is no number makes nothing active."""
    assert " ".join(space(NESTED).active(assignment)) == active


def test_an_inactive_parameter_is_told_with_its_range() -> None:
    """The message says where the parameter exists."""
    found = space(NESTED).problems({"layers": 1, "width2": 16})
    assert [p.message for p in found] == [
        "found a value, but the parameter is inactive: it exists only where layers is at least 2"
    ]


# ---- counting


@given(made=parameters(finite=True, most=3))
def test_the_size_is_exact(made: list[Json]) -> None:
    """Counting by dynamic programming gives what listing gives."""
    of = space(made)
    assert of.cardinality == sum(1 for _ in every(of))


@given(made=parameters(finite=True, most=3))
def test_ranks_name_every_assignment_once(made: list[Json]) -> None:
    """Decoding 0 … size - 1 gives all assignments, each once."""
    of = space(made)
    ranking = of.ranking([Levels(d.domain.size or 0, d.domain.at) for d in of.dimensions])
    decoded = []
    for rank in range(ranking.total):
        levels = ranking.at(rank)
        decoded.append({d.name: d.domain.at(levels[i]) for i, d in enumerate(of.dimensions) if i in levels})
    assert {of.key(a) for a in decoded} == {of.key(a) for a in every(of)}
    assert len(decoded) == ranking.total


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("one point", 1),
        ("one interval", None),
        ("small, conditional", 7),
        ("small, all types", 36),
        ("mixed", None),
        ("one rare branch without end", None),
        ("wide", 2 ** (6 * 53)),
        ("small, numbers as parents", 2 + 2 * 2 + (1 + 3) + (1 + 2 + 2)),
        ("numbers as parents", None),
        ("scales and distributions", None),
    ],
)
def test_sizes_of_known_spaces(name: str, size: int | None) -> None:
    """Counted by hand; intervals make a space infinite."""
    assert space(SPACES[name]).cardinality == size


def test_an_interval_that_is_never_active_does_not_make_a_space_infinite() -> None:
    """Two conditions that exclude each other leave a finite space."""
    contradiction = [{"parameter": "a", "values": ["true"]}, {"parameter": "b", "values": ["true"]}]
    assert (
        space(
            [
                {"name": "a", "type": "Boolean"},
                {"name": "b", "type": "Boolean", "when": [{"parameter": "a", "values": ["false"]}]},
                {"name": "x", "type": "Float", "min": 0, "max": 1, "when": contradiction},
            ]
        ).cardinality
        == 3
    )


def test_a_hundred_parameters_are_counted_at_once() -> None:
    """Ten families of ten: (1 + 2 * 3^9)^10 assignments, from a few hundred states."""
    made: list[Json] = []
    for family in range(10):
        made.append({"name": f"p{family}", "type": "Categorical", "values": ["x", "y", "z"]})
        when = [{"parameter": f"p{family}", "values": ["x", "y"]}]
        made += [{"name": f"c{family}{i}", "type": "Integer", "min": 1, "max": 3, "when": when} for i in range(9)]
    assert space(made).cardinality == (1 + 2 * 3**9) ** 10


def test_conditions_too_entangled_to_count_are_refused() -> None:
    """Twenty parents with all pairs of children: a bounded effort, then a message."""
    rules: list[list[tuple[int, list[range]]]] = [[] for _ in range(20)]
    rules += [[(i, [range(1)]), (j, [range(1, 2)])] for i in range(20) for j in range(i)]
    with pytest.raises(SpecError, match=r"spec\.parameters: found conditions that depend on each other"):
        Ranking([3] * len(rules), rules).total  # noqa: B018


def test_there_is_no_rank_beyond_the_last() -> None:
    """A rank out of range is a mistake of ours, not a wrapped-around point."""
    ranking = Ranking([2, 3], [[], [(0, [range(1, 2)])]])
    assert ranking.total == 4
    for rank in (-1, 4):
        with pytest.raises(IndexError):
            ranking.at(rank)


def test_a_parent_of_endless_values_is_counted() -> None:
    """2^53 integers of which half have a child: no list of them is made. An interval as a parent makes a space infinite."""
    child = {"name": "b", "type": "Boolean", "when": [{"parameter": "n", "min": 2**52 + 1}]}
    assert space([{"name": "n", "type": "Integer", "min": 1, "max": 2**53}, child]).cardinality == 2**52 + 2 * 2**52
    assert space([{"name": "n", "type": "Float", "min": 1, "max": 2}, {**child, "when": []}]).cardinality is None


@given(made=parameters(finite=True, most=4), data=st.data())
def test_each_rank_of_a_conditional_space_is_an_assignment(made: list[Json], data: st.DataObject) -> None:
    """Whatever the parents are: what is active has a value, and nothing else has."""
    of = space(made)
    points = random_strategy.points(of)
    point = points.at(data.draw(st.integers(0, points.size - 1)))
    assert of.problems(point) == []


# ---- keys and permutations


@given(made=parameters(finite=True, most=3))
def test_keys_are_equal_for_equal_assignments_only(made: list[Json]) -> None:
    """Duplicates are found whatever the order of a mapping, also after JSON; different points differ."""
    of = space(made)
    found = list(every(of))
    assert len({of.key(a) for a in found}) == len(found)
    for a in found:
        assert of.key(json.loads(json.dumps(dict(reversed(a.items()))))) == of.key(a)


@given(size=st.integers(1, 300), seed=st.integers())
def test_a_permutation_has_every_number_once(size: int, seed: int) -> None:
    """Any size, any key."""
    assert sorted(permuted(i, size=size, key=(seed,)) for i in range(size)) == list(range(size))


@pytest.mark.parametrize("size", [10**12, 2**200])
def test_a_permutation_of_a_huge_range_is_a_few_hashes(size: int) -> None:
    """Nothing is held in memory, and neighbours do not stay neighbours."""
    found = [permuted(i, size=size, key=("k",)) for i in range(200)]
    assert len(set(found)) == 200
    assert all(0 <= n < size for n in found)
    assert max(found) > 0.9 * size
    assert found != sorted(found)


def test_keys_of_different_shape_do_not_collide() -> None:
    """A hash of ("a", 1) is not that of ("a1",), nor of ("a", "1")."""
    keys: list[tuple[int | str, ...]] = [("a", 1), ("a1",), ("a", "1"), ("a", 1, ""), (1, "a"), ("a\x1fi1",)]
    assert len({number(*key) for key in keys}) == len(keys)


def test_an_unsorted_space_is_what_from_parameters_is_for() -> None:
    """Paths follow the manifest's order, though the space has its own."""
    of = Space.from_parameters([Parameter.model_validate(p) for p in reversed(OPTIMIZER)])
    assert {d.name: d.path for d in of.dimensions} == {
        "momentum": "spec.parameters[0]",
        "nesterov": "spec.parameters[1]",
        "optimizer": "spec.parameters[2]",
    }
