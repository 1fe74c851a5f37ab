"""A sweep that is suspended, drained, edited, deleted, replaced while it runs."""

import json
from typing import Any

import pytest

from hypersweep.core.names import TEMPLATE_ANNOTATION
from tests.api import sweeps
from tests.api.conftest import Stage
from tests.api.sweeps import place
from tests.api.trainers import PLAYED, Told, hold, learn
from tests.cluster.clients import ToolError
from tests.cluster.kwok import PREFIX, scenario
from tests.cluster.waiting import eventually

pytestmark = pytest.mark.api


def told(stage: Stage, name: str) -> list[Told]:
    return stage.trainers.of(stage.namespace, name)


def running(stage: Stage, name: str, count: int, **changes: Any) -> sweeps.Sweep:
    """A sweep whose first trials run, and go on until they are told otherwise."""
    stage.trainers.cast[stage.namespace, name] = hold
    sweep = stage.apply(name, **changes)
    sweep.wait_for("trials.running", count)
    return sweep


def end(stage: Stage, sweep: sweeps.Sweep) -> None:
    """From now on trainers learn; those that run now succeed."""
    stage.trainers.cast[stage.namespace, sweep.name] = learn
    how = [f"{key}={value}" for key, value in scenario("succeed", duration="50ms").items()]
    stage.kubectl("annotate", "pods", sweep.selector, "--overwrite", *how)


# ---- suspension ------------------------------------------------------------------------------------------------------


def test_a_suspended_sweep_runs_nothing_and_goes_on_with_the_same_trials(shared: Stage) -> None:
    """Its Jobs are deleted, no attempt is charged; resumed, the same trials run in the same runs, and the rest after them."""
    sweep = running(shared, "paused", 2)
    sweep.edit(suspend=True)
    assert sweep.wait("Suspended")["phase"] == "Suspended"
    sweep.leaves_nothing()
    status = sweep.wait_for("trials.running", 0)
    assert (status["trials"]["created"], status["progress"]) == (2, "0/4")
    assert {index: (run.outcome, run.tags["hypersweep.charged"]) for index, run in shared.runs(sweep).items()} == {
        0: ("Open", "0"),
        1: ("Open", "0"),
    }
    shared.trainers.cast[shared.namespace, "paused"] = learn
    sweep.edit(suspend=False)
    sweep.wait("Complete")
    by_trial: dict[int, list[Told]] = {}
    for one in told(shared, "paused"):
        by_trial.setdefault(one.trial, []).append(one)
    assert {index: len(them) for index, them in sorted(by_trial.items())} == {0: 2, 1: 2, 2: 1, 3: 1}
    for them in by_trial.values():
        assert len({(one.run, json.dumps(one.parameters), one.attempt) for one in them}) == 1
    assert {run.tags["hypersweep.charged"] for run in shared.runs(sweep).values()} == {"0"}
    assert sweep.events().keys() >= {"Suspended", "Resumed"}


def test_a_trial_that_is_resumed_at_once_waits_for_its_old_pod_to_be_gone(shared: Stage) -> None:
    """Two pods of one trial would write to one checkpoint."""
    slow = {**PLAYED, PREFIX + "terminating-for": "3s"}
    sweep = running(shared, "hasty", 1, annotations=slow, trials={"max": 1, "parallel": 1})
    (before,) = sweep.pods()
    sweep.edit(suspend=True)
    eventually(lambda: sweep.pods()[0]["metadata"].get("deletionTimestamp"), what="the pod to be told to end")
    sweep.edit(suspend=False)

    def replaced() -> bool:
        live = [pod for pod in sweep.pods() if pod["status"].get("phase") in ("Pending", "Running")]
        assert len(live) <= 1, [pod["metadata"]["name"] for pod in live]
        return bool(live) and live[0]["metadata"]["uid"] != before["metadata"]["uid"]

    eventually(replaced, what="the new pod", seconds=60)
    end(shared, sweep)
    sweep.wait("Complete")


def test_a_sweep_may_be_applied_suspended(shared: Stage) -> None:
    """Nothing runs before it is let go; it is current meanwhile, as kstatus has it."""
    sweep = shared.apply("asleep", suspend=True, trials={"max": 1})
    status = sweep.wait("Suspended")
    assert (status["observedGeneration"], status["trials"]["created"]) == (1, 0)
    assert not sweep.jobs()
    sweep.edit(suspend=False)
    sweep.wait("Complete")


def test_no_room_lets_the_running_trials_end_and_begins_none(shared: Stage) -> None:
    """`parallel: 0` drains; raised again, the sweep goes on."""
    sweep = running(shared, "drained", 2)
    sweep.edit(trials={"parallel": 0})
    sweep.wait_for("observedGeneration", 2)
    assert sweep.wait_for("trials.running", 2), "running ones are left alone"
    end(shared, sweep)
    status = sweep.wait_for("progress", "2/4")
    assert (status["trials"]["created"], status["trials"]["succeeded"]) == (2, 2)
    sweep.edit(trials={"parallel": 4})
    sweep.wait("Complete")
    assert len(told(shared, "drained")) == 4


# ---- edits -----------------------------------------------------------------------------------------------------------


def test_more_trials_continue_a_finished_sweep(shared: Stage) -> None:
    """Terminal holds for a generation: the trials there are count, the new ones follow, and it is complete again."""
    sweep = shared.apply("longer", trials={"max": 2, "parallel": 2})
    sweep.wait("Complete")
    sweep.edit(trials={"max": 5})
    sweep.wait_for("progress", "5/5")
    status = sweep.wait("Complete")
    assert status["observedGeneration"] == 2
    assert sorted(one.trial for one in told(shared, "longer")) == [0, 1, 2, 3, 4]
    assert "Continued" in sweep.events()
    (parent,) = sweeps.parent_runs(shared.mlflow, f"{shared.namespace}/longer")
    assert (parent.status, parent.tags["hypersweep.trials.succeeded"]) == ("FINISHED", "5")


def test_fewer_trials_end_the_sweep(shared: Stage) -> None:
    """What runs may end; nothing new begins."""
    sweep = running(shared, "shorter", 2)
    sweep.edit(trials={"max": 2})
    sweep.wait_for("observedGeneration", 2)
    end(shared, sweep)
    assert sweep.wait("Complete")["progress"] == "2/2"
    assert len(told(shared, "shorter")) == 2


def test_the_search_is_frozen(shared: Stage) -> None:
    """The API server refuses, and says why; the sweep runs on."""
    sweep = running(shared, "frozen", 2)
    with pytest.raises(ToolError, match="frozen"):
        sweep.edit(strategy={"seed": 8})
    with pytest.raises(ToolError, match="suspend"):
        sweep.edit(job={"container": "train"})
    assert sweep.body["metadata"]["generation"] == 1
    end(shared, sweep)
    sweep.wait("Complete")


def test_how_trials_run_may_change_while_suspended(shared: Stage) -> None:
    """Later Jobs have the new template, and carry its hash; the trials' parameters stay."""
    sweep = running(shared, "mended", 2)
    before = {place(job): job["metadata"]["annotations"][TEMPLATE_ANNOTATION] for job in sweep.jobs()}
    first = {one.trial: one.parameters for one in told(shared, "mended")}
    sweep.edit(suspend=True)
    sweep.leaves_nothing()
    document = sweeps.manifest("mended", container={"image": "example.com/train:2"}, suspend=True)
    sweeps.apply(shared.kubectl, document)
    shared.trainers.cast[shared.namespace, "mended"] = learn
    sweep.edit(suspend=False)
    sweep.wait("Complete")
    jobs = sweep.jobs()
    after = {job["metadata"]["annotations"][TEMPLATE_ANNOTATION] for job in jobs}
    assert len(after) == 1
    assert after.isdisjoint(before.values())
    images = {c["image"] for job in jobs for c in job["spec"]["template"]["spec"]["containers"]}
    assert images == {"example.com/train:2"}
    assert {one.trial: one.parameters for one in told(shared, "mended") if one.trial in first} == first


# ---- its end ---------------------------------------------------------------------------------------------------------


def test_deleting_a_sweep_leaves_nothing_but_its_results(shared: Stage) -> None:
    """Jobs and pods go with it; MLflow keeps the runs."""
    sweep = running(shared, "deleted", 2)
    sweep.delete()
    sweep.leaves_nothing()
    assert {run.outcome for run in shared.runs(sweep).values()} == {"Open"}
    assert shared.operator.runs


def test_a_sweep_that_is_replaced_goes_on_where_it_was(shared: Stage) -> None:
    """`kubectl replace --force` makes another object; what the ledger holds counts, and no trial is run twice."""
    sweep = running(shared, "again", 2)
    document = sweeps.manifest("again")
    end(shared, sweep)
    sweep.wait("Complete")
    uid = sweep.body["metadata"]["uid"]
    document["spec"]["trials"] = {"max": 6, "parallel": 2}
    shared.kubectl("replace", "--force", "-f", "-", stdin=json.dumps(document))
    status = sweep.wait("Complete")
    assert sweep.body["metadata"]["uid"] != uid
    assert (status["progress"], status["trials"]["resumed"], status["trials"]["succeeded"]) == ("6/6", 4, 6)
    assert sorted(one.trial for one in told(shared, "again")) == list(range(6))
    (note,) = sweep.events()["ResumedFromLedger"]
    assert note.startswith("4 trials")
    assert "tracking.sweep" in note, "how to start afresh"


def test_trials_that_ran_when_it_was_replaced_run_anew(shared: Stage) -> None:
    """Their Jobs went with the old object; the same trials are launched for the new one, in the same runs."""
    sweep = running(shared, "taken-up", 2)
    first = {one.trial: (one.run, one.parameters) for one in told(shared, "taken-up")}
    shared.trainers.cast[shared.namespace, "taken-up"] = learn
    shared.kubectl("replace", "--force", "-f", "-", stdin=json.dumps(sweeps.manifest("taken-up")))
    status = sweep.wait("Complete")
    assert (status["trials"]["resumed"], status["trials"]["succeeded"]) == (0, 4)
    again = {one.trial: (one.run, one.parameters) for one in told(shared, "taken-up")[2:]}
    assert {index: again[index] for index in first} == first
    assert len(again) == 4
