"""A sweep from `kubectl apply` to its best trial: what its status, its events and its ledger say afterwards."""

import json
from collections.abc import Sequence

import pytest

from hypersweep.core.names import TEMPLATE_ANNOTATION
from tests.api.conftest import Stage
from tests.api.sweeps import Sweep, artifact, parent_runs
from tests.api.trainers import Play, Told, learn, loss

pytestmark = pytest.mark.api

TRIALS = 6


def teach(told: Told) -> Play:
    """The trainer logs one parameter itself, in a spelling of its own."""
    return Play(metrics=learn(told).metrics, params={"x": f"{told.parameters['x']:.3e}"})


@pytest.fixture(scope="module")
def digits(shared: Stage) -> Sweep:
    """A sweep that has run to its end. Leave it as it is."""
    shared.trainers.cast[shared.namespace, "digits"] = teach
    sweep = shared.apply("digits", trials={"max": TRIALS, "parallel": 3})
    sweep.wait("Complete")
    return sweep


def told_of(stage: Stage, sweep: Sweep) -> Sequence[Told]:
    return stage.trainers.of(stage.namespace, sweep.name)


def test_every_trial_runs_once_and_the_best_is_the_best(shared: Stage, digits: Sweep) -> None:
    """The status names the trial whose objective is smallest, exactly, with its parameters and its run."""
    status, told = digits.status, told_of(shared, digits)
    assert sorted((one.trial, one.attempt) for one in told) == [(index, 1) for index in range(TRIALS)]
    ranked = sorted(told, key=lambda one: loss(one.parameters))
    assert [entry["trial"] for entry in status["top"]] == [one.trial for one in ranked]
    assert status["best"] == status["top"][0]
    assert status["best"]["parameters"] == ranked[0].parameters
    assert status["best"]["objectives"] == {"loss": loss(ranked[0].parameters)}
    assert status["best"]["run"]["id"] == ranked[0].run


def test_its_conditions_are_what_gitops_tools_wait_for(digits: Sweep) -> None:
    """kstatus: of this generation, neither reconciling nor stalled; one condition to wait for, and why it holds."""
    body = digits.body
    status = body["status"]
    assert status["observedGeneration"] == body["metadata"]["generation"] == 1
    conditions = {c["type"]: c for c in status["conditions"]}
    assert {kind for kind, c in conditions.items() if c["status"] == "True"} == {
        "Accepted",
        "TrackingAvailable",
        "Finished",
        "Complete",
    }
    assert {kind for kind, c in conditions.items() if c["status"] == "False"} == {
        "Reconciling",
        "Stalled",
        "Suspended",
        "Failed",
    }
    assert conditions["Finished"]["reason"] == conditions["Complete"]["reason"] == "MaxTrialsReached"


def test_its_status_is_small_and_counts_every_trial(digits: Sweep) -> None:
    """Counts add up, times are told, nothing but what is declared is in it, and it is far from a size that hurts."""
    status = digits.status
    assert (status["phase"], status["progress"]) == ("Complete", f"{TRIALS}/{TRIALS}")
    counts = {kind: count for kind, count in status["trials"].items() if count}
    assert counts == {"created": TRIALS, "succeeded": TRIALS}
    assert status["startTime"] <= status["completionTime"]
    assert "eta" not in status
    assert status["strategy"]["effective"] == "Random"
    assert len(json.dumps(status)) < 30_000


def test_the_ledger_has_it_all(shared: Stage, digits: Sweep) -> None:
    """A parent run and one closed run a trial: the curve, the params, the outcome with the frozen objective, the lineage."""
    status, told = digits.status, {one.trial: one for one in told_of(shared, digits)}
    found = shared.runs(digits)
    assert {index: run.id for index, run in found.items()} == {index: one.run for index, one in told.items()}
    for index, run in found.items():
        parameters = told[index].parameters
        assert (run.status, run.outcome) == ("FINISHED", "Succeeded")
        assert json.loads(run.tags["hypersweep.parameters"]) == parameters
        assert run.params == {"x": f"{parameters['x']:.3e}", "side": parameters["side"]}, "the trainer's own spelling"
        assert run.metrics["loss"] == json.loads(run.tags["hypersweep.result"])["value"] == loss(parameters)
        assert run.tags["hypersweep.seed"] == told[index].environment["HYPERSWEEP_SEED"]
    (parent,) = parent_runs(shared.mlflow, f"{shared.namespace}/digits")
    assert (parent.id, parent.status) == (status["tracking"]["parentRun"], "FINISHED")
    assert {run.tags["mlflow.parentRunId"] for run in found.values()} == {parent.id}
    assert parent.metrics["best"] == status["best"]["objectives"]["loss"]


def test_its_report_is_among_the_artifacts_of_its_run(shared: Stage, digits: Sweep) -> None:
    """The status says where, and MLflow's server serves it from there."""
    report = digits.wait_for("report.state", "Written")["report"]
    (parent,) = parent_runs(shared.mlflow, f"{shared.namespace}/digits")
    text = artifact(shared.mlflow, parent.id, report["path"])
    assert f"Rests on {TRIALS} trials: {TRIALS} succeeded." in text
    assert f"it takes 20 finite results of loss, and there are {TRIALS}" in text
    assert artifact(shared.mlflow, parent.id, "hypersweep-report/history.svg").startswith("<svg")
    assert "What we learned" in parent.tags["mlflow.note.content"]


def test_kubectl_get_shows_how_it_went(shared: Stage, digits: Sweep) -> None:
    """The printer columns, with their values."""
    header, line = shared.kubectl("get", "hps", "digits").splitlines()
    assert header.split() == ["NAME", "STRATEGY", "PHASE", "PROGRESS", "RUNNING", "FAILED", "BEST", "AGE"]
    best = digits.status["best"]["value"]
    assert line.split()[:-1] == ["digits", "Random", "Complete", f"{TRIALS}/{TRIALS}", "0", "0", best]


def test_kubectl_describe_shows_its_story(shared: Stage, digits: Sweep) -> None:
    """An Event for each transition, each once: accepted, every new best, finished."""
    events = digits.events()
    assert events.keys() >= {"Accepted", "NewBest", "MaxTrialsReached"}
    assert all(len(set(notes)) == len(notes) for notes in events.values())
    assert f"trial {digits.status['best']['trial']}: {digits.status['best']['value']}" in events["NewBest"]
    described = shared.kubectl("describe", "hps", "digits")
    assert "MaxTrialsReached" in described.split("Events:")[1]


def test_a_trials_job_and_pod_are_found_by_its_labels(shared: Stage, digits: Sweep) -> None:
    """`kubectl logs -l hypersweep.dev/sweep=…,hypersweep.dev/trial=…` finds the pod; the Job names its run and template."""
    selector = "-l=hypersweep.dev/sweep=digits,hypersweep.dev/trial=2"
    (pod,), (job,) = (shared.kubectl.json("get", kind, selector)["items"] for kind in ("pods", "jobs"))
    assert pod["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    annotations = job["metadata"]["annotations"]
    assert annotations["hypersweep.dev/run"] == shared.runs(digits)[2].id
    assert len({one["metadata"]["annotations"][TEMPLATE_ANNOTATION] for one in digits.jobs()}) == 1


def test_the_object_is_left_as_the_user_wrote_it(shared: Stage, digits: Sweep) -> None:
    """No finalizer, no annotation, no word of the spec by the operator: GitOps tools see no drift."""
    meta = shared.kubectl.json("get", "hps", digits.name, "--show-managed-fields")["metadata"]
    assert "finalizers" not in meta
    assert meta["annotations"].keys() == {"kubectl.kubernetes.io/last-applied-configuration"}
    wrote = {entry["manager"]: set(entry["fieldsV1"]) for entry in meta["managedFields"]}
    assert wrote["hypersweep"] == {"f:status"}
