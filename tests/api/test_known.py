"""Ends that are measured, and what a sweep knows before it begins, on the real control plane."""

import pytest

from tests.api.conftest import Stage
from tests.api.sweeps import Run, ask, parent_runs, runs_in
from tests.api.trainers import hold, learn
from tests.cluster.waiting import eventually

pytestmark = pytest.mark.api

RESERVED = {"resources": {"requests": {"cpu": "2", "memory": "1Gi"}}}


def test_resource_hours_end_a_sweep_whatever_becomes_of_the_operator(stage: Stage) -> None:
    """Pods count while they hold a node, on the status, on each trial's run and on the sweep's; a restart forgets nothing."""
    stage.trainers.cast[stage.namespace, "hours"] = lambda told: (learn if told.trial == 0 else hold)(told)
    limit = {"resourceHours": [{"resource": "cpu", "max": 0.01}]}  # nine seconds of two pods with two cores each
    sweep = stage.apply("hours", container=RESERVED, stopWhen=limit)
    eventually(lambda: sweep.status.get("trials", {}).get("running") == 2, what="two trials to run", seconds=60)
    stage.operator.kill()
    stage.operator.start()
    sweep.wait("Finished")
    assert sweep.condition("Complete")["reason"] == "ResourceHoursSpent"
    assert "used 0.01" in sweep.condition("Finished")["message"]
    hours = sweep.status["resourceHours"]
    assert 0.01 <= hours["cpu"] < 0.03
    assert hours["memory"] == pytest.approx(hours["cpu"] / 2, rel=0.01)
    [parent] = parent_runs(stage.mlflow, f"{stage.namespace}/hours")
    assert parent.metrics["resource_hours/cpu"] == pytest.approx(hours["cpu"], rel=0.001)
    assert all("hypersweep.resourceHours" in run.tags for run in stage.runs(sweep).values())


def test_a_sweep_learns_from_another_and_forgets_nothing_when_the_operator_is_killed(stage: Stage) -> None:
    """What was taken is in the status, an Event and the ledger; runs that come later, and a kill -9, change nothing."""
    first = stage.apply("first", trials={"max": 8, "parallel": 4})
    experiment = first.wait("Complete")["tracking"]["experimentId"]
    stage.trainers.cast[stage.namespace, "second"] = lambda told: (learn if told.trial else hold)(told)
    source = {"experiment": f"{stage.namespace}/first"}
    second = stage.apply(
        "second",
        strategy={"name": "GP", "seed": 7},
        warmStart=[source],
        trials={"max": 4, "parallel": 1, "timeout": "15s", "attempts": 1},
    )
    second.wait_for("trials.running", 1)
    ask(stage.mlflow, "runs/create", experiment_id=experiment, tags=[{"key": "team", "value": "vision"}])
    stage.operator.kill()
    stage.operator.start()
    status = second.wait("Finished")
    assert (status["warmStart"]["found"], status["warmStart"]["taken"]) == (8, 8)
    assert second.events()["WarmStarted"] == ["8 of 8 runs taken"]
    assert status["progress"] == "4/4"
    assert status["trials"]["succeeded"] == 3
    assert "8 runs of a warm start" in status["strategy"]["reason"]
    kept = [run for run in runs_of(stage, second.name) if run.tags.get("hypersweep.kind") == "WarmStart"]
    assert [run.name for run in kept] == ["warm start"]


def test_a_namespace_learns_from_its_own_experiments_alone(stage: Stage) -> None:
    """As the administrator's configuration says; the refusal tells what is allowed. One that is not there yet is awaited."""
    foreign = stage.apply("foreign", warmStart=[{"experiment": "payroll/salaries"}])
    foreign.wait("Accepted", value="False")
    message = foreign.condition("Accepted")["message"]
    assert f'spec.warmStart[0].experiment: found "payroll/salaries"; allowed for namespace {stage.namespace}' in message
    assert f"{stage.namespace}/*" in message
    early = stage.apply("early", warmStart=[{"experiment": f"{stage.namespace}/late"}])
    early.wait("Accepted", value="False")
    assert early.condition("Accepted")["reason"] == "WarmStartRefused"
    stage.apply("late")
    assert "warmStart" in early.wait("Complete")


def runs_of(stage: Stage, sweep: str) -> list[Run]:
    """All runs of the experiment that a sweep has by default."""
    name = f"{stage.namespace}/{sweep}"
    [found] = ask(stage.mlflow, "experiments/search", max_results=2, filter=f"name = '{name}'")["experiments"]
    return runs_in(stage.mlflow, found["experiment_id"])


def test_the_second_of_two_equal_sweeps_runs_no_job(stage: Stage) -> None:
    """Its results are the first one's, also after a kill -9; the status and each run say so. An image by tag is refused."""
    pinned = {"image": f"example.com/train@sha256:{'a' * 64}"}
    both = {"reuse": {"dataFingerprint": "v1"}, "tracking": {"experiment": f"{stage.namespace}/shared"}}
    first = stage.apply("first", container=pinned, **both).wait("Complete")
    second = stage.apply("second", container=pinned, **both)
    stage.operator.kill()
    stage.operator.start()
    status = second.wait("Complete")
    assert status["trials"]["reused"] == status["trials"]["succeeded"] == 4
    assert status["best"]["objectives"] == first["best"]["objectives"]
    assert second.jobs() == []
    tagged = stage.apply("tagged", **both)
    tagged.wait("Accepted", value="False")
    assert "an image by digest" in tagged.condition("Accepted")["message"]
