"""Expressions between parameters: what they mean, what they may cost, and what is said to those that mean nothing."""

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core import strategies
from hypersweep.core.constraints import Constraint
from hypersweep.core.errors import SpecError
from hypersweep.core.expression import read
from hypersweep.core.reach import reach
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.testing.spaces import Json, space

PARAMETERS: list[Json] = [
    {"name": "layers", "type": "Integer", "min": -8, "max": 8},
    {"name": "width", "type": "Integer", "min": 1, "max": 2**53},
    {"name": "lr", "type": "Float", "min": 0, "max": 1},
    {"name": "decay", "type": "Float", "min": 0, "max": 1, "step": 0.1},
    {"name": "batch-size", "type": "Discrete", "numbers": [16, 32]},
    {"name": "in", "type": "Boolean"},
    {"name": "model.kind", "type": "Categorical", "values": ["cnn", "it's", 'a "b"']},
    {"name": "heads", "type": "Integer", "min": 0, "max": 8, "when": [{"parameter": "model.kind", "values": ["cnn"]}]},
]
VALUES: Json = {
    "layers": -7,
    "width": 2**53,
    "lr": 0.1,
    "decay": 0.2,
    "batch-size": 16,
    "in": False,
    "model.kind": "it's",
}


REACHED = [  # over layers, lr and batch-size
    "layers * lr - `batch-size` < -15.9",
    "layers * layers > 63 || lr * `batch-size` >= 32",
    "-layers * lr >= 8",
    "(layers - 1) * (lr - 1) == 9",
    "layers in [lr, -lr, 8 * lr]",
    "!(layers < 8) && !(lr != 1)",
    "`batch-size` % 3 == 2 && `batch-size` / layers == -2",
]


def constraint(expression: str) -> Constraint:
    (found,) = space(PARAMETERS, [expression]).constraints
    return found


def said(expression: str) -> str:
    with pytest.raises(SpecError) as error:
        constraint(expression)
    (problem,) = error.value.problems
    assert problem.path == "spec.parameterConstraints[0].expression"
    return problem.message


# ---- meaning


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("lr + decay == 0.3", True),
        ("lr + decay <= 0.3", True),
        ("decay * 3 == 0.6", True),
        ("layers == -7.0", True),
        ("1 / 2 * 14 == -layers", True),
        ("width + 1 > width", True),
        ("width - 1 == 9007199254740991", True),
        ("layers % 4 == 1", True),
        ("2 + 3 * 2 == 8 && layers < 0", True),
        ("(2 + 3) * 2 == 10 && layers < 0", True),
        ("10 - 2 - 3 == 5 && layers < 0", True),
        ("layers > 0 && lr > 0 || decay > 0", True),
        ("layers > 0 && (lr > 0 || decay > 0)", False),
        ("!(layers > 0)", True),
        ("- - layers == layers", True),
        ("`in` == false", True),
        ("!`in`", True),
        ("`in`", False),
        ("`in` || layers < 0", True),
        ('model.kind == "it\'s"', True),
        ("model.kind == 'it\\'s'", True),
        ("model.kind != 'a \"b\"'", True),
        ("model.kind in ['cnn', \"it's\"]", True),
        ("model.kind in ['cnn']", False),
        ("layers in [1, 2 - 9, 3]", True),
        ("lr in [1e-1]", True),
        ("lr < 1.e0 && lr > .05", True),
        ("`batch-size` * layers <= -112", True),
        ("`batch-size`*layers<-112", False),
    ],
)
def test_an_expression_means_what_people_expect(expression: str, holds: bool) -> None:
    """Exact decimals, integers of any size, true division, and the precedence of every language."""
    assert constraint(expression).holds(VALUES) is holds


@pytest.mark.parametrize(
    "expression", ["lr / (decay - 0.2) > 0", "lr % (decay - 0.2) == 0", "!(lr / (layers + 7) > 0)"]
)
def test_a_division_by_zero_is_not_met(expression: str) -> None:
    """Nothing is true of a number that does not exist, its negation neither."""
    assert not constraint(expression).holds(VALUES)


def test_what_stands_left_guards_what_stands_right() -> None:
    """`||` and `&&` look no further than they must."""
    assert constraint("layers == -7 || lr / (layers + 7) > 1").holds(VALUES)
    assert not constraint("layers != -7 && lr / (layers + 7) > 1").holds(VALUES)


def test_a_constraint_on_an_inactive_parameter_holds() -> None:
    """It has nothing to say where the parameter does not exist."""
    found = constraint("heads > 4 && layers > 0")
    assert found.holds(VALUES)
    assert not found.holds({**VALUES, "model.kind": "cnn", "heads": 2})


@given(a=st.integers(-8, 8), b=st.floats(0, 1), c=st.integers(1, 2**53))
def test_comparisons_agree_with_exact_arithmetic(a: int, b: float, c: int) -> None:
    """Whatever the values: no rounding between what is compared."""
    values = {**VALUES, "layers": a, "lr": b, "width": c}
    assert constraint("layers < width").holds(values) == (a < c)
    assert constraint("lr <= layers").holds(values) == (b <= a)
    assert constraint("width - layers == width").holds(values) == (a == 0)
    assert constraint("lr * 2 - lr == lr").holds(values)


def test_an_assignment_meets_all_or_is_told_which_not() -> None:
    """Each broken constraint is named with the values that break it."""
    of = space(PARAMETERS, ["layers > 0", "lr < 0.5", "layers * lr > 0"])
    assert not of.meets(VALUES)
    assert of.meets({**VALUES, "layers": 1})
    assert [str(p) for p in of.problems(VALUES)] == [
        "parameters: found layers -7, lr 0.1; allowed: what meets `layers * lr > 0`",
        "parameters: found layers -7; allowed: what meets `layers > 0`",
    ]
    with pytest.raises(SpecError, match="allowed: what meets"):
        of.canonical(VALUES)


def test_the_order_of_constraints_has_no_meaning() -> None:
    """Two manifests that list the same constraints differently mean the same space."""
    assert space(PARAMETERS, ["layers > 0", "lr  <  0.5"]) == space(PARAMETERS, ["lr < 0.5", "layers > 0"])
    assert space(PARAMETERS, ["layers > 0"]) != space(PARAMETERS)


# ---- what means nothing


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("layer > 1", "no parameter is named `layer`; did you mean `layers`?"),
        ("batch-size > 1", "a name with `-` in it stands in backquotes: `batch-size`"),
        ("model.kind == cnn", 'a text stands in quotes: "cnn"'),
        ("layers = 1", "found '= 1' at character 8 (`==` compares)"),
        ("layers ^ 2 > 1", "there are no powers"),
        ("layers ** 2 > 1", "found `*` at character 9; a number, a text or a parameter is expected"),
        ("layers > 1 or lr > 1", "found `or` at character 12; an operator or the end is expected (`||` is or)"),
        ("1 < layers < 3", "found a second comparison at character 12; join two with &&"),
        ("(layers > 1", "`(` at character 1 is never closed; `)` is expected"),
        ("layers in [1, 2", "`[` at character 11 is never closed; `]` is expected"),
        ("layers >", "it ends where a number, a text or a parameter is expected"),
        ("layers in 3", "right of `in` a list is expected"),
        ("layers in []", "found `]` at character 12"),
        ("[layers] == 1", "a list [...] may only stand right of `in`"),
        ("min(layers, 2) > 1", "found `(` at character 4"),
        ("__import__('os')", "found `(` at character 11"),
        ("layers", "it is a number; a comparison is expected"),
        ("'cnn'", "it is text; a comparison is expected"),
        ("true || false", "it mentions no parameter"),
        ("layers > 'a'", '`>` wants a number here, and found "a", text'),
        ("model.kind > 'a'", "`>` wants a number here, and found model.kind, text"),
        ("layers == 'a'", '`==` wants a number here, and found "a", text'),
        ("`in` == 1", "`==` wants true or false here, and found 1.0, a number"),
        ("layers && lr > 1", "`&&` wants true or false here, and found layers, a number"),
        ("!layers", "`!` wants true or false here, and found layers, a number"),
        ("-`in` == 1", "`-` wants a number here, and found in, true or false"),
        ("model.kind in ['rnn']", 'model.kind is never "rnn"; allowed: "cnn"'),
        ("layers in ['rnn']", '`in` wants a number here, and found "rnn", text'),
        ("lr < 1e999", "found the number 1e999 at character 6; allowed: what a float can hold"),
        ("layers < " + "1" * 40, "allowed: what a float can hold"),
        ("(" * 60 + "layers > 1" + ")" * 60, "found more than 24 brackets and signs within each other"),
        ("!" * 200 + "`in`", "found more than 24 brackets and signs within each other"),
        ("layers > 1 ; lr", "found '; lr' at character 12"),
    ],
)
def test_an_expression_without_meaning_is_refused(expression: str, says: str) -> None:
    """With its place in the text, what was found there, and what is allowed."""
    assert says in said(expression)


@given(st.text(min_size=1, max_size=256))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing that a person may write breaks the reader."""
    with suppress(SpecError):
        space(PARAMETERS, [text])


@pytest.mark.parametrize(
    ("expression", "never"),
    [
        ("layers > 8", True),
        ("layers >= 8", False),
        ("layers < -8", True),
        ("width + layers < -7", True),
        ("width + layers <= -7", False),
        ("lr * 2 - decay > 2", True),
        ("lr * 2 - decay >= 2", False),
        ("-lr > 0", True),
        ("layers * `batch-size` == 257", True),
        ("layers * `batch-size` == 256", False),
        ("layers in [9, 10] || lr > 1", True),
        ("layers in [8, 10]", False),
        ("lr < 0.5 && layers > 8", True),
        ("!(layers <= 8)", True),
        ("!(layers <= 7)", False),
        ("layers != layers", False),
        ("lr / decay < -1", False),
        ("`in` && 1 > 2", True),
        ("model.kind != 'cnn' && lr > 1", True),
    ],
)
def test_what_can_never_hold_is_refused_where_intervals_show_it(expression: str, never: bool) -> None:
    """In a space of any size; what only a closer look would show is left to the search."""
    if never:
        assert "it never holds, whatever values these parameters have" in said(expression)
    else:
        assert constraint(expression)


@given(a=st.integers(-8, 8), b=st.floats(0, 1), c=st.sampled_from([16, 32]), text=st.sampled_from(REACHED))
def test_what_is_met_somewhere_is_never_called_impossible(a: int, b: float, c: int, text: str) -> None:
    """Wherever an expression holds, interval arithmetic must allow it."""
    tree = read(text)
    domains = {d.name: d.domain for d in space(PARAMETERS).dimensions}
    truth = Constraint(text, "", tree).holds({**VALUES, "layers": a, "lr": b, "batch-size": c})
    assert not truth or True in (reach(tree, domains) or ())


# ---- cost


def test_an_evaluation_is_bounded() -> None:
    """The longest product of the widest numbers, of the smallest, and the longest quotient: milliseconds each."""
    made = [
        {"name": "a", "type": "Float", "min": 1e-300, "max": 1e18},
        {"name": "b", "type": "Float", "min": 1, "max": 2},
    ]
    for text in ("*".join("a" * 120) + " < 1", "a/" * 60 + "b < 1", "a%b*" * 60 + "b < 1"):
        (found,) = space(made, [text]).constraints
        begun = time.process_time()
        for value in (1e-300, 1.2345678901234567e-299, 1e18, 1.7976931348623157e17):
            assert found.holds({"a": value, "b": 1.3}) in (True, False)
        assert time.process_time() - begun < 0.2


def test_thousands_of_candidates_may_be_tested() -> None:
    """A strategy proposes many points for each one that it takes."""
    of = space(PARAMETERS, ["layers * `batch-size` <= 256", "lr + decay < 0.9", "model.kind != 'cnn' || heads > 1"])
    begun = time.process_time()
    for _ in range(2000):
        of.meets(VALUES)
    assert time.process_time() - begun < 0.5


# ---- a whole sweep


def sweep(constraints: list[str], *, parameters: list[Json], **fields: Any) -> SweepSpec:
    return SweepSpec.model_validate(
        {
            "objectives": [{"metric": "loss", "goal": "Minimize"}],
            "parameters": parameters,
            "parameterConstraints": [{"expression": e} for e in constraints],
            **fields,
        }
    )


SMALL: list[Json] = [{"name": n, "type": "Integer", "min": 1, "max": 10} for n in "ab"]
LARGE: list[Json] = [{"name": n, "type": "Float", "min": 0, "max": 1, "points": 1000} for n in "ab"]


@pytest.mark.parametrize("name", ["Grid", "Random", "TPE"])
def test_a_small_space_that_nothing_meets_is_refused(name: str) -> None:
    """Proven by looking at all of it, before anything is spent."""
    (problem,) = strategies.problems(sweep(["a + b == 19", "a == b"], parameters=SMALL, strategy={"name": name}))
    assert str(problem) == "spec.parameterConstraints: found none among all 100 points of the space that meets them"
    assert strategies.problems(sweep(["a + b == 18", "a == b"], parameters=SMALL, strategy={"name": name})) == []


@pytest.mark.parametrize("name", ["Grid", "Random", "TPE"])
def test_a_large_space_that_nothing_meets_is_given_up(name: str) -> None:
    """No search goes on for ever: the answer is None, and the sweep ends with a reason of its own."""
    spec = sweep(["a * b == 0.123456"], parameters=LARGE, strategy={"name": name})
    assert strategies.gives_up(spec)
    assert strategies.suggest(spec, history=(), pending=(), trial=0) is None


def test_a_rare_point_is_found() -> None:
    """One in a thousand."""
    spec = sweep(["a + b <= 0.04"], parameters=LARGE, strategy={"name": "Random"})
    found = [strategies.suggest(spec, history=(), pending=(), trial=i) for i in range(5)]
    assert all(f is not None and Space.of(spec).meets(f) for f in found)


def test_the_size_with_constraints_is_said_to_be_an_upper_bound() -> None:
    """What they rule out is not counted, and people are told so."""
    spec = sweep(["a < b"], parameters=SMALL)
    assert strategies.size(spec) == 100
    assert "100 points, fewer by what parameterConstraints rule out" in strategies.effective(spec)[1]
