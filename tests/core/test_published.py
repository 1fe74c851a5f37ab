"""Initial trials of published values: which values they take, and what is said of those that cannot be tried."""

from typing import Any

import pytest

from hypersweep.core import strategies
from hypersweep.core.admission import advice
from hypersweep.core.proposals import propose
from hypersweep.core.spec import SweepSpec
from tests.core.builders import make_spec

OPTIMIZER = {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam"]}
LR = {"name": "lr", "type": "Float", "min": 1e-4, "max": 0.5, "scale": "Log"}
MOMENTUM = {
    "name": "momentum",
    "type": "Float",
    "min": 0,
    "max": 0.99,
    "when": [{"parameter": "optimizer", "values": ["sgd"]}],
}


def sweep(*parameters: dict[str, Any], settings: dict[str, Any] | None = None, **given: Any) -> SweepSpec:
    """A sweep of the built-in trainer whose first trial is what is published, beside `given`."""
    return make_spec(
        parameters=list(parameters),
        trainer={"settings": settings or {}},
        initialTrials=[{"defaults": "Published", "parameters": given}],
    )


SHAPES = {"optimizer": "adam", "data": "shapes"}
SGD_RESNET = {"optimizer": "sgd", "model": "resnet"}
NADAM_FIRST = {**OPTIMIZER, "values": ["nadam", "sgd"]}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(sweep(LR), {"lr": 0.001}, id="trainer's-own-optimizer"),
        pytest.param(sweep(LR, settings={"optimizer": "sgd"}), {"lr": 0.01}, id="fixed-optimizer"),
        pytest.param(sweep(LR, settings=SGD_RESNET), {"lr": 0.1}, id="fixed-optimizer-and-model"),
        pytest.param(sweep(LR, settings=SHAPES), {"lr": 3e-4}, id="model-of-the-task"),
        pytest.param(sweep(LR, OPTIMIZER, MOMENTUM), {"lr": 0.001, "optimizer": "adam"}, id="searched-trainer's-own"),
        pytest.param(sweep(LR, NADAM_FIRST), {"lr": 0.002, "optimizer": "nadam"}, id="searched-the-first"),
        pytest.param(
            sweep(LR, OPTIMIZER, MOMENTUM, optimizer="sgd"),
            {"lr": 0.01, "optimizer": "sgd", "momentum": 0.9},
            id="searched-and-given",
        ),
        pytest.param(sweep(LR, lr=0.25), {"lr": 0.25}, id="given-goes-before"),
        pytest.param(sweep({**LR, "default": 0.125}), {"lr": 0.001}, id="before-the-parameter's-default"),
    ],
)
def test_the_first_trial_takes_what_is_published(spec: SweepSpec, expected: dict[str, Any]) -> None:
    assert strategies.problems(spec) == []
    assert strategies.first(spec)[0] == expected
    proposal = propose(spec, history=[], pending=[], trial=0)
    assert proposal is not None
    assert proposal.name == "published"


def test_a_value_out_of_bounds_is_said_and_another_tried() -> None:
    """The parameter is filled as if nothing were published for it; the warning names the source."""
    spec = sweep(LR | {"max": 0.0005})
    assert 1e-4 <= float(strategies.first(spec)[0]["lr"]) <= 0.0005
    (warning,) = [p for p in advice(spec) if p.path == "spec.initialTrials[0].defaults"]
    assert "0.001 is published for lr (Kingma & Ba 2015" in warning.message
    assert "found 0.001; allowed" in warning.message


def test_constraints_go_before_what_is_published() -> None:
    """Values that break a constraint give way to those that meet it."""
    spec = make_spec(
        parameters=[LR],
        trainer={},
        parameterConstraints=[{"expression": "lr > 0.1"}],
        initialTrials=[{"defaults": "Published"}],
    )
    assert strategies.problems(spec) == []
    assert float(strategies.first(spec)[0]["lr"]) > 0.1
