"""Search spaces for tests: a few with names, and Hypothesis' choice of small ones."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from hypothesis import strategies as st

from hypersweep.core.space import Space
from hypersweep.core.spec import Parameter, ParameterConstraint

Json = dict[str, Any]

OPTIMIZER: list[Json] = [
    {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam", "rprop"]},
    {"name": "nesterov", "type": "Boolean", "when": [{"parameter": "optimizer", "values": ["sgd"]}]},
    {
        "name": "momentum",
        "type": "Float",
        "min": 0,
        "max": 0.9,
        "step": 0.3,
        "when": [{"parameter": "optimizer", "values": ["sgd", "rprop"]}, {"parameter": "nesterov", "values": ["true"]}],
    },
]  # 3: adam, rprop, sgd without nesterov; 4: sgd with it

SPACES: Mapping[str, list[Json]] = {
    "one point": [{"name": "only", "type": "Categorical", "values": ["this"]}],
    "one interval": [{"name": "x", "type": "Float", "min": -1, "max": 1, "points": 5}],
    "small, conditional": OPTIMIZER,
    "small, all types": [
        {"name": "count", "type": "Integer", "min": -1, "max": 1},
        {"name": "rate", "type": "Float", "min": 0.1, "max": 0.3, "step": 0.1},
        {"name": "size", "type": "Discrete", "numbers": [64, 16]},
        {"name": "bias", "type": "Boolean"},
    ],
    "mixed": [
        {"name": "lr", "type": "Float", "min": 1e-5, "max": 0.1, "scale": "Log", "points": 9},
        {"name": "dropout", "type": "Float", "min": 0, "max": 0.5, "points": 6},
        {"name": "width", "type": "Integer", "min": 1, "max": 1024, "scale": "Log"},
        {"name": "layers", "type": "Integer", "min": 2, "max": 12, "step": 5},
        {"name": "batch", "type": "Discrete", "numbers": [16, 32.5, 64]},
        *OPTIMIZER,
    ],
    "one rare branch without end": [
        {"name": "kind", "type": "Categorical", "values": [f"k{i}" for i in range(40)]},
        {
            "name": "x",
            "type": "Float",
            "min": 0,
            "max": 1,
            "points": 500,
            "when": [{"parameter": "kind", "values": ["k7"]}],
        },
    ],
    "wide": [{"name": f"n{i}", "type": "Integer", "min": 1, "max": 2**53} for i in range(6)],
    "small, numbers as parents": [
        {"name": "layers", "type": "Integer", "min": 0, "max": 2},
        {"name": "bias", "type": "Boolean"},
        {"name": "width", "type": "Discrete", "numbers": [16, 64], "when": [{"parameter": "layers", "min": 1}]},
        {
            "name": "dropout",
            "type": "Float",
            "min": 0,
            "max": 0.2,
            "step": 0.1,
            "when": [{"parameter": "width", "min": 20, "max": 64}, {"parameter": "layers", "min": 2}],
        },
        {
            "name": "act",
            "type": "Boolean",
            "when": [{"parameter": "dropout", "max": 0}, {"parameter": "bias", "values": ["true"]}],
        },
    ],
    "numbers as parents": [
        {"name": "lr", "type": "Float", "min": 1e-5, "max": 0.1, "scale": "Log", "points": 9},
        {"name": "warmup", "type": "Integer", "min": 1, "max": 1000, "when": [{"parameter": "lr", "min": 1e-3}]},
        {
            "name": "shape",
            "type": "Float",
            "min": 0,
            "max": 1,
            "points": 5,
            "when": [{"parameter": "warmup", "max": 500}],
        },
        {"name": "flat", "type": "Boolean", "when": [{"parameter": "shape", "min": 0.25, "max": 0.75}]},
    ],
    "scales and distributions": [
        {"name": "momentum", "type": "Float", "min": 0, "max": 0.999, "scale": "ReverseLog", "points": 5},
        {"name": "mix", "type": "Float", "min": 0.001, "max": 0.999, "scale": "Logit", "points": 5},
        {"name": "keep", "type": "Float", "min": 0.5, "max": 0.99, "step": 0.01, "scale": "ReverseLog"},
        {
            "name": "decay",
            "type": "Float",
            "min": 1e-6,
            "max": 1,
            "distribution": "LogNormal",
            "mean": 1e-3,
            "deviation": 2,
            "points": 5,
        },
        {
            "name": "epochs",
            "type": "Integer",
            "min": 1,
            "max": 50,
            "distribution": "Normal",
            "mean": 10,
            "deviation": 8,
        },
        {
            "name": "tilt",
            "type": "Float",
            "min": -1,
            "max": 1,
            "step": 0.25,
            "distribution": "Normal",
            "mean": 0,
            "deviation": 0.5,
        },
    ],
    "small, constrained": [
        *OPTIMIZER,
        {"name": "layers", "type": "Integer", "min": 1, "max": 4},
        {"name": "batch-size", "type": "Discrete", "numbers": [16, 32, 64]},
    ],
    "mixed, constrained": [
        {"name": "lr", "type": "Float", "min": 1e-5, "max": 0.1, "scale": "Log", "points": 9},
        {"name": "warmup", "type": "Float", "min": 0, "max": 0.5, "points": 6},
        {"name": "decay", "type": "Float", "min": 0, "max": 0.5, "points": 6},
        {"name": "width", "type": "Integer", "min": 1, "max": 1024, "scale": "Log"},
        {"name": "heads", "type": "Integer", "min": 1, "max": 16},
        *OPTIMIZER,
    ],
}
CONSTRAINTS: Mapping[str, list[str]] = {
    "small, constrained": ["layers * `batch-size` <= 96", "optimizer != 'rprop' || layers > 1", "momentum + 0.1 < 0.7"],
    "mixed, constrained": ["warmup + decay <= 0.5", "width % heads == 0", "optimizer in ['adam', 'sgd'] || lr < 1e-2"],
}


def space(parameters: Sequence[Json], constraints: Sequence[str] = ()) -> Space:
    return Space.from_parameters(
        [Parameter.model_validate(p) for p in parameters],
        constrained=[ParameterConstraint(expression=e, message=None) for e in constraints],
    )


def every(of: Space) -> Iterator[Json]:
    """All assignments of a finite space, found the slow way: each combination of values, kept if it has no problems."""
    options = [[None, *(d.domain.at(i) for i in range(d.domain.size or 0))] for d in of.dimensions]
    for values in product(*options):
        assignment = {d.name: v for d, v in zip(of.dimensions, values, strict=True) if v is not None}
        if not of.problems(assignment):
            yield assignment


@st.composite
def parameters(draw: st.DrawFn, *, finite: bool = False, most: int = 5) -> list[Json]:
    """The parameters of a small space, in any order, some conditional on others."""
    names = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=most, unique=True))
    made: list[Json] = []
    for name in names:
        made.append({"name": name, **draw(_finite | _infinite if not finite else _finite)})
        parents = made[:-1]
        chosen = draw(st.lists(st.sampled_from(parents), max_size=2, unique_by=lambda p: p["name"])) if parents else []
        made[-1]["when"] = [draw(_condition(parent)) for parent in chosen]
    return draw(st.permutations(made))


@st.composite
def _condition(draw: st.DrawFn, parent: Json) -> Json:
    if parent["type"] not in ("Boolean", "Categorical"):
        numbers = parent.get("numbers") or [parent["min"], parent["max"]]
        edge = draw(st.sampled_from([*numbers, (numbers[0] + numbers[-1]) / 2]))
        return {"parameter": parent["name"], draw(st.sampled_from(["min", "max"])): edge}
    values = parent.get("values", ["true", "false"])
    return {"parameter": parent["name"], "values": draw(st.lists(st.sampled_from(values), min_size=1, unique=True))}


@st.composite
def _stepped(draw: st.DrawFn) -> Json:
    low, step = draw(st.integers(-10, 10)), draw(st.integers(1, 5))
    high = low + draw(st.integers(0, 3 * step))
    if draw(st.booleans()):
        return {"type": "Integer", "min": low, "max": high, "step": step}
    return {"type": "Float", "min": low / 10, "max": high / 10, "step": step / 10}


@st.composite
def _range(draw: st.DrawFn, *, kind: str, most: float) -> Json:
    scale = draw(st.sampled_from(["Linear", "Log"]))
    numbers: st.SearchStrategy[float] = st.integers(1 if scale == "Log" else -int(most), int(most))
    if kind == "Float":
        numbers = st.floats(1e-300 if scale == "Log" else -most, most)
    low, high = sorted((draw(numbers), draw(numbers)))
    return {"type": kind, "min": low, "max": high, "scale": scale}


_finite = st.one_of(
    st.just({"type": "Boolean"}),
    st.integers(1, 3).map(lambda n: {"type": "Categorical", "values": ["on", "1", "☃"][:n]}),
    st.lists(st.integers(-5, 5) | st.sampled_from([0.5, 1e-7, 1e17]), min_size=1, max_size=3, unique=True).map(
        lambda numbers: {"type": "Discrete", "numbers": numbers}
    ),
    _stepped(),
)
_infinite = _range(kind="Float", most=1e18) | _range(kind="Integer", most=2**53)
