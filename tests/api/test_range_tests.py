"""Learning-rate range tests before trial 0, on the real control plane."""

import json
import threading

import pytest

from hypersweep.core.range_test import ANSWER, FIRST
from tests.api.conftest import Stage
from tests.api.sweeps import parent_runs
from tests.api.trainers import Play, Told
from tests.cluster.waiting import eventually

pytestmark = pytest.mark.api

FOUND = {"sgd": (0.01, 0.1), "adam": (1e-4, 1e-3)}
SEARCH = {
    "parameters": [
        {"name": "lr", "type": "Float", "min": 1e-6, "max": 1, "scale": "Log"},
        {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam"]},
    ],
    "learningRateRangeTest": {"parameter": "lr", "optimizer": "optimizer"},
    "trials": {"max": 4, "parallel": 1},
}


def answer(optimizer: str) -> str:
    low, high = FOUND[optimizer]
    return json.dumps({"verdict": "Falls", "reason": "it falls", "suggestion": {"min": low, "max": high}})


def test_range_tests_narrow_the_search_though_the_operator_dies_between_them(stage: Stage) -> None:
    """A Job for each optimizer, once; then trials within what was found, which the status, Events and the sweep's run tell."""
    second = threading.Event()

    def play(told: Told) -> Play:
        if "HYPERSWEEP_RANGE_TEST" not in told.environment:
            return Play(metrics={"loss": [1.0]})
        assert json.loads(told.environment["HYPERSWEEP_RANGE_TEST"]) == {"min": 1e-7, "max": 1}
        if told.trial == FIRST + 1 and not second.is_set():
            return Play(ends=None)  # it goes on, while the operator dies
        return Play(metrics={"loss": [0.0]}, tags={ANSWER: answer(told.parameters["optimizer"])})

    stage.trainers.cast[stage.namespace, "tested"] = play
    sweep = stage.apply("tested", **SEARCH)
    eventually(lambda: len(stage.trainers.of(stage.namespace, "tested")) == 2, what="the second to run", seconds=60)
    eventually(
        lambda: "RangeTested" in sweep.events(), what="the first to be told of", seconds=60
    )  # an Event may be lost
    stage.operator.kill()
    second.set()
    [running] = [pod for pod in sweep.pods() if pod["metadata"]["labels"]["hypersweep.dev/trial"] == str(FIRST + 1)]
    stage.kubectl("delete", "pod", running["metadata"]["name"], "--wait=false")  # its node is drained, say
    stage.operator.start()
    status = sweep.wait("Complete")

    runs = stage.runs(sweep)
    assert sorted(runs) == [0, 1, 2, 3, FIRST, FIRST + 1]
    for index in range(4):
        chosen = json.loads(runs[index].tags["hypersweep.parameters"])
        low, high = FOUND[chosen["optimizer"]]
        assert low <= chosen["lr"] <= high, chosen
    assert status["progress"] == "4/4"
    assert status["trials"]["created"] == status["trials"]["succeeded"] == 4
    assert status["best"]["value"] == "1"  # not the range tests' 0
    tests = status["learningRateRangeTests"]
    assert {test["optimizer"]: (test["min"], test["max"]) for test in tests} == FOUND
    assert len(sweep.events()["RangeTested"]) == 2
    [parent] = parent_runs(stage.mlflow, f"{stage.namespace}/tested")
    assert json.loads(parent.tags["hypersweep.learningRateRangeTest.1"])["optimizer"] == "adam"
    first = [told for told in stage.trainers.of(stage.namespace, "tested") if told.trial == FIRST]
    assert len(first) == 1, "the range test that had ended ran again"
