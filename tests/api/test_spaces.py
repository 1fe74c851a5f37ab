"""Conditional and constrained spaces on the real control plane: what a trial sees, and how a sweep of them ends."""

import json

import pytest

from hypersweep.core.manifest import parse
from hypersweep.core.space import Space
from tests.api.conftest import Stage
from tests.api.sweeps import manifest
from tests.api.trainers import Play, Told

pytestmark = pytest.mark.api

SPACE = {
    "parameters": [
        {"name": "layers", "type": "Integer", "min": 1, "max": 3, "default": 2},
        {"name": "width", "type": "Discrete", "numbers": [16, 64], "default": 16},
        {"name": "skip", "type": "Boolean", "when": [{"parameter": "layers", "min": 2}]},
        {
            "name": "drop",
            "type": "Float",
            "min": 0,
            "max": 0.4,
            "step": 0.2,
            "when": [{"parameter": "skip", "values": ["true"]}, {"parameter": "width", "min": 20}],
        },
    ],
    "parameterConstraints": [{"expression": "layers * width <= 128", "message": "does not fit"}],
    "strategy": {"name": "TPE", "seed": 3},
}
POINTS = 10  # layers 1: two; 2: skip off or on at width 16, off or on with three drops at 64; 3: two, at width 16 only


def train(told: Told) -> Play:
    """Best with a wide layer and little dropped."""
    value = 10 - told.parameters["layers"] - 0.05 * told.parameters["width"] + told.parameters.get("drop", 0.1)
    return Play(metrics={"loss": [float(value)]})


def test_a_conditional_and_constrained_sweep_runs_to_the_end_of_its_space(shared: Stage) -> None:
    """The defaults first; no inactive parameter, no broken constraint, no point twice; then SpaceExhausted, honestly."""
    shared.trainers.cast[shared.namespace, "nested"] = train
    sweep = shared.apply("nested", **SPACE, trials={"max": 50, "parallel": 3})
    status = sweep.wait("Complete")
    assert sweep.condition("Finished")["reason"] == "SpaceExhausted"
    assert status["progress"] == f"{POINTS}/50"
    space = Space.of(parse(manifest("nested", **SPACE))[1])
    told = sorted(shared.trainers.of(shared.namespace, "nested"), key=lambda one: one.trial)
    assert {k: v for k, v in told[0].parameters.items() if k in ("layers", "width")} == {"layers": 2, "width": 16}
    assert [space.problems(one.parameters) for one in told] == [[]] * POINTS
    assert len({json.dumps(one.parameters, sort_keys=True) for one in told}) == POINTS
    assert status["best"]["parameters"] == {"drop": 0.0, "layers": 2, "skip": True, "width": 64}
    runs = shared.runs(sweep)
    assert {one.trial: set(one.parameters) for one in told} == {index: set(run.params) for index, run in runs.items()}
    assert {len(run.params) for run in runs.values()} == {2, 3, 4}  # nothing inactive in MLflow either, at any depth


def test_a_sweep_whose_constraints_leave_nothing_to_find_says_so(shared: Stage) -> None:
    """Where it cannot be proven beforehand: the sweep is accepted, looks, and ends with a reason of its own."""
    unmet = {
        "parameters": [{"name": n, "type": "Float", "min": 0, "max": 1} for n in ("a", "b")],
        "parameterConstraints": [{"expression": "a * b == 0.123456"}],
        "strategy": {"name": "Random", "seed": 3},
    }
    sweep = shared.apply("unmet", **unmet)
    sweep.wait("Finished")
    assert (sweep.condition("Finished")["reason"], sweep.condition("Failed")["status"]) == ("ConstraintsUnmet", "True")
    assert "parameterConstraints" in sweep.condition("Finished")["message"]
    assert shared.trainers.of(shared.namespace, "unmet") == []
