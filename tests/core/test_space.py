"""The search space: what is active, what is wrong with an assignment, and its one canonical form."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core.errors import SpecError
from hypersweep.core.space import Space
from hypersweep.core.spec import Parameter
from hypersweep.testing.spaces import OPTIMIZER, SPACES, Json, every, parameters, space

GOOD: Json = {"lr": 0.001, "dropout": 0.5, "width": 64, "layers": 7, "batch": 32.5, "optimizer": "adam"}
SGD: Json = {"optimizer": "sgd", "nesterov": True, "momentum": 0.3}


# ---- which parameters there are --------------------------------------------------------------------------------------


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


def test_an_unsorted_space_is_what_from_parameters_is_for() -> None:
    """Paths follow the manifest's order, though the space has its own."""
    of = Space.from_parameters([Parameter.model_validate(p) for p in reversed(OPTIMIZER)])
    assert {d.name: d.path for d in of.dimensions} == {
        "momentum": "spec.parameters[0]",
        "nesterov": "spec.parameters[1]",
        "optimizer": "spec.parameters[2]",
    }


# ---- numbers as parents ----------------------------------------------------------------------------------------------


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


# ---- what is wrong with an assignment --------------------------------------------------------------------------------


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


# ---- one form for equal assignments ----------------------------------------------------------------------------------


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


@given(made=parameters(finite=True, most=3))
def test_keys_are_equal_for_equal_assignments_only(made: list[Json]) -> None:
    """Duplicates are found whatever the order of a mapping, also after JSON; different points differ."""
    of = space(made)
    found = list(every(of))
    assert len({of.key(a) for a in found}) == len(found)
    for a in found:
        assert of.key(json.loads(json.dumps(dict(reversed(a.items()))))) == of.key(a)
