"""Sweeps from `kubectl apply` to their end, in real containers. The tests build on each other, in their order."""

import time
from typing import Any

import pytest

from tests.cluster.clients import ToolError
from tests.cluster.waiting import eventually
from tests.e2e.release import CHART, NAME, REPOSITORY, Release, image

pytestmark = pytest.mark.e2e

DIGITS = REPOSITORY / "examples" / "digits.yaml"


def sweep(name: str, container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A sweep of one trial with a container of our own."""
    template = {"spec": {"template": {"spec": {"containers": [{"name": "train", **container}]}}}}
    search = {
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": [{"name": "lr", "type": "Float", "min": 0.001, "max": 0.1}],
        "job": {"template": template},
        "trials": {"max": 1, "attempts": 1},
    }
    return {
        "apiVersion": "hypersweep.dev/v1alpha1",
        "kind": "HyperparameterSweep",
        "metadata": {"name": name},
        "spec": {**search, **spec},
    }


def greedy() -> dict[str, Any]:
    """A sweep whose trial needs more memory than it may use."""
    program = "x = bytearray(512 * 2**20)"
    limits = {"resources": {"limits": {"memory": "64Mi"}}}
    return sweep("greedy", {"image": image("operator"), "command": ["python", "-c", program], **limits})


def absent() -> dict[str, Any]:
    """A sweep whose image is nowhere."""
    return sweep("absent", {"image": "localhost/absent:v1", "command": ["train"]})


def condition(found: dict[str, Any], kind: str) -> dict[str, Any]:
    """A condition of a sweep."""
    (one,) = [c for c in found["status"]["conditions"] if c["type"] == kind]
    return dict(one)


def test_the_digits_sweep_finds_a_good_network(release: Release) -> None:
    """The example, as a user would apply it: all its trials run, and the best has learnt to read digits."""
    release.kubectl.apply(absent(), greedy())  # they fail meanwhile
    release.kubectl("apply", "-f", str(DIGITS))
    found = release.finished("digits", seconds=1500)
    status, most = found["status"], found["spec"]["trials"]["max"]
    assert condition(found, "Complete")["status"] == "True", status["summary"]
    assert status["progress"] == f"{most}/{most}"
    assert status["trials"]["succeeded"] >= most - 2, status["failures"]
    assert status["best"]["objectives"]["val_accuracy"] >= 0.95


def test_its_results_are_in_mlflow(release: Release) -> None:
    """A parent run, and one run for each trial, closed, with the best run's curve in it."""
    status = release.kubectl.json("get", "hps", "digits")["status"]
    runs = release.mlflow("runs/search", experiment_ids=[status["tracking"]["experimentId"]], max_results=100)["runs"]
    assert len(runs) == status["trials"]["created"] + 1
    (best,) = [run for run in runs if run["info"]["run_id"] == status["best"]["run"]["id"]]
    metrics = {metric["key"]: metric for metric in best["data"]["metrics"]}
    assert metrics["val_accuracy"]["value"] == status["best"]["objectives"]["val_accuracy"]
    assert metrics["val_accuracy"]["step"] > 1
    params = {param["key"]: param["value"] for param in best["data"]["params"]}
    assert params.keys() >= status["best"]["parameters"].keys()
    trials = [run for run in runs if run["info"]["run_id"] != status["tracking"]["parentRun"]]
    assert {run["info"]["status"] for run in trials} <= {"FINISHED", "FAILED"}


def test_a_trial_out_of_memory_is_reported_as_such(release: Release) -> None:
    """The kernel killed it: infeasible, not tried again, and the status says so."""
    status = release.finished("greedy", seconds=300)["status"]
    assert (status["trials"]["infeasible"], status["trials"]["failed"]) == (1, 0)
    assert [(group["reason"], group["count"]) for group in status["failures"]] == [("OutOfMemory", 1)]


def test_an_image_that_is_nowhere_is_reported_as_such(release: Release) -> None:
    """After a bounded wait the trial fails, with the runtime's own words."""
    found = release.finished("absent", seconds=600)
    (group,) = found["status"]["failures"]
    assert group["reason"] == "ImageNotPulled"
    assert "localhost/absent:v1" in group["log"]
    assert condition(found, "Failed")["status"] == "True"
    events = release.kubectl("get", "events", "--field-selector=involvedObject.name=absent")
    assert "ImageNotPulled" in events


def test_a_restarted_operator_changes_nothing(release: Release) -> None:
    """It reads ends from the status and the ledger: no Job is made, no result moves."""
    kubectl = release.kubectl

    def verdicts() -> dict[str, Any]:
        sweeps = kubectl.json("get", "hps")["items"]
        return {one["metadata"]["name"]: (one["status"]["trials"], one["status"].get("best")) for one in sweeps}

    before, jobs = verdicts(), set(kubectl("get", "jobs", "-o", "name").split())
    kubectl("rollout", "restart", f"deployment/{NAME}-hypersweep")
    kubectl("rollout", "status", f"deployment/{NAME}-hypersweep", "--timeout=120s", seconds=150)
    assert (verdicts(), set(kubectl("get", "jobs", "-o", "name").split())) == (before, jobs)


def test_a_release_may_hold_a_sweep(release: Release) -> None:
    """`helm upgrade --wait` returns once the sweep is accepted, and does not wait for its trials."""
    held = sweep("held", {"image": image("operator"), "command": ["sleep", "3600"]})
    values = {**release.values(), "extraObjects": [held]}
    release.helm("upgrade", NAME, str(CHART), "--values=-", "--wait", "--timeout=3m", values=values)
    assert condition(release.kubectl.json("get", "hps", "held"), "Accepted")["status"] == "True"


def test_helm_says_that_a_sweep_it_waits_for_is_refused(release: Release) -> None:
    """A sweep that names a tracking server nobody gave the operator: the upgrade fails, and not by running out of time."""
    refused = sweep("refused", {"image": image("operator")}, tracking={"server": "nowhere"})
    values = {**release.values(), "extraObjects": [refused]}
    began = time.monotonic()
    with pytest.raises(ToolError, match="HyperparameterSweep"):
        release.helm("upgrade", NAME, str(CHART), "--values=-", "--wait", "--timeout=4m", values=values)
    assert time.monotonic() - began < 200
    message = condition(release.kubectl.json("get", "hps", "refused"), "Stalled")["message"]
    assert "nowhere" in message
    assert "default" in message


def test_uninstalling_leaves_nothing(release: Release) -> None:
    """With `crds.keep=false` and no claim kept, all goes, down to trials' Jobs and pods (but the operator's Lease)."""
    # Not `all`: that holds sweeps for as long as kubectl remembers them.
    everything = "deployments,replicasets,jobs,pods,services,configmaps,secrets,serviceaccounts,roles,rolebindings,pvc"
    release.helm("uninstall", NAME, "--wait", "--timeout=3m")

    def left() -> set[str]:
        names = set(release.kubectl("get", everything, "-o", "name").split())
        names |= set(release.kubectl("get", "clusterroles,clusterrolebindings,crds", "-o", "name").split())
        ours = {name for name in names if "hypersweep" in name}
        return (ours | {name for name in names if name.startswith(("job", "pod"))}) - {""}

    eventually(lambda: not left(), what="everything to be gone", seconds=180, every=1)
