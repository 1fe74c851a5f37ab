"""Counting a space: exact sizes, and a rank for each assignment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core.domain import Levels
from hypersweep.core.errors import SpecError
from hypersweep.core.ranking import Ranking
from hypersweep.core.strategies import random as random_strategy
from hypersweep.testing.spaces import SPACES, Json, every, parameters, space


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
