"""Early stopping on a real API server: curves in a real MLflow, verdicts in the ledger, Jobs that go; the operator is killed."""

import json
from collections.abc import Mapping

import pytest

from tests.api.conftest import Stage
from tests.api.sweeps import SECONDS, Sweep
from tests.api.trainers import Play, Told, loss
from tests.cluster.waiting import eventually

pytestmark = pytest.mark.api

TRIALS, KILLS = 12, 3
RULE = {"type": "ASHA", "asha": {"minBudget": 1, "reductionFactor": 2, "maxBudget": 2}, "poll": "1s"}


class Learners:
    """One at a time, each logs its curve; one that ASHA should stop then trains on for ever."""

    def __init__(self) -> None:
        self.at_rung: list[float] = []
        self.hopeless: dict[int, bool] = {}

    def __call__(self, told: Told) -> Play:
        end = loss(told.parameters)
        if told.trial not in self.hopeless:
            better = sum(other < end for other in self.at_rung)
            self.hopeless[told.trial] = better >= max(1, (len(self.at_rung) + 1) // 2)
            self.at_rung.append(end)
        play = Play(metrics={"loss": [end + 2, end + 1, end]})
        return Play(metrics=play.metrics, ends=None) if self.hopeless[told.trial] else play


def _ended(sweep: Sweep) -> int:
    return int(sweep.status.get("progress", "0/").split("/")[0])


def test_hopeless_trials_are_stopped_though_the_operator_is_killed(stage: Stage) -> None:
    """Just those that the rule names; each run says why, keeps its curve, and is closed; the Jobs are gone."""
    learners = Learners()
    stage.trainers.cast[stage.namespace, "stopped"] = learners
    sweep = stage.apply("stopped", trials={"max": TRIALS, "parallel": 1}, earlyStopping=RULE, cleanup={"stopped": "0s"})
    for kill in range(KILLS):
        some = 3 * (kill + 1)
        eventually(lambda some=some: _ended(sweep) >= some, what=f"{some} trials to end", seconds=SECONDS)
        stage.operator.kill()
        stage.operator.start()
    status = sweep.wait("Complete")
    runs = stage.runs(sweep)
    outcomes: Mapping[int, str] = {index: run.outcome for index, run in runs.items()}
    assert outcomes == {index: "Stopped" if learners.hopeless[index] else "Succeeded" for index in range(TRIALS)}
    assert status["trials"]["stopped"] == sum(learners.hopeless.values()) > 3
    for index, run in runs.items():
        assert list(json.loads(run.tags["hypersweep.rungs"])) == ["1"]
        if learners.hopeless[index]:
            assert (run.status, run.tags["hypersweep.reason"]) == ("KILLED", "ASHA")
            assert run.tags["hypersweep.message"].startswith("stopped at budget 1 with ")
    assert status["best"]["trial"] == min(range(TRIALS), key=lambda i: learners.at_rung[i])
    assert not [job for job in sweep.jobs() if not job["status"].get("conditions")]
