"""`mode: Promote` on a real API server: a Job goes at a rung, the trial waits, and another Job of it resumes."""

from dataclasses import replace

import pytest

from tests.api import sweeps
from tests.api.conftest import Stage
from tests.api.sweeps import SECONDS
from tests.api.trainers import Play, Told
from tests.cluster.waiting import eventually

pytestmark = pytest.mark.api

RULE = {"type": "ASHA", "asha": {"minBudget": 1, "reductionFactor": 2, "maxBudget": 2, "mode": "Promote"}, "poll": "1s"}
CHECKPOINTS = {
    "name": "train",
    "image": "example.com/train:1",
    "env": [{"name": "HYPERSWEEP_CHECKPOINT_DIR", "value": "/c/$(HYPERSWEEP_TRIAL)"}],
    "volumeMounts": [{"name": "c", "mountPath": "/c"}],
}


def resuming(told: Told) -> Play:
    """The first is the best; the others hang at the rung (points have the steps 0 and 1), and end well when they are resumed."""
    play = Play(metrics={"loss": [1.1 + told.trial, 0.1 + told.trial]})
    return play if told.trial == 0 or told.attempt > 1 else replace(play, ends=None)


def test_a_paused_trial_is_resumed_though_the_operator_is_killed(stage: Stage) -> None:
    """Trial 1 waits until three others have come to the rung; 2 and 3 are never resumed; no Job is left at work."""
    stage.trainers.cast[stage.namespace, "paused"] = resuming
    trials = {"max": 4, "parallel": 1}
    manifest = sweeps.manifest("paused", trials=trials, earlyStopping=RULE, container=CHECKPOINTS)
    manifest["spec"]["job"]["template"]["spec"]["template"]["spec"]["volumes"] = [
        {"name": "c", "hostPath": {"path": "/c"}}
    ]
    sweep = sweeps.apply(stage.kubectl, manifest)
    eventually(
        lambda: sweep.status.get("trials", {}).get("paused", 0) >= 1, what="a trial to be paused", seconds=SECONDS
    )
    stage.operator.kill()
    stage.operator.start()
    status = sweep.wait("Complete")
    runs = stage.runs(sweep)
    assert {i: run.outcome for i, run in runs.items()} == {0: "Succeeded", 1: "Succeeded", 2: "Stopped", 3: "Stopped"}
    assert {i: run.tags["hypersweep.attempt"] for i, run in runs.items()} == {0: "1", 1: "2", 2: "1", 3: "1"}
    assert runs[2].tags["hypersweep.reason"] == "ASHA"
    assert runs[2].tags["hypersweep.rung"] == "1"
    assert (status["trials"]["paused"], status["trials"]["stopped"]) == (0, 2)
    assert not [job for job in sweep.jobs() if not job["status"].get("conditions")]
