"""Ends that are measured, and what a sweep knows before it begins, on the real control plane."""

import pytest

from tests.api.conftest import Stage
from tests.api.sweeps import parent_runs
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
