"""`hypersweep rerun --cluster`: one Job with the user's rights, that no operator takes for its own, gone afterwards."""

import os
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.api.conftest import Stage
from tests.api.sweeps import Run, ask
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kwok import scenario
from tests.cluster.waiting import eventually

pytestmark = pytest.mark.api
SELECTOR = "-l=hypersweep.dev/rerun"


def rerun(crd: ControlPlane, stage: Stage, run: Run) -> "subprocess.Popen[str]":
    """The command, as a person with a kubeconfig gives it; the namespace is the sweep's."""
    command = [
        sys.executable,
        "-m",
        "hypersweep.cli.main",
        "rerun",
        run.id,
        "--cluster",
        "--tracking-uri",
        stage.mlflow,
    ]
    environment = {**os.environ, "KUBECONFIG": str(crd.kubeconfig)}
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, cwd="/"
    )


def the_pod(stage: Stage) -> Any:
    """That of the repetition, once it runs."""

    def running() -> Any:
        pods = stage.kubectl.json("get", "pods", SELECTOR)["items"]
        return next((pod for pod in pods if pod["status"].get("phase") == "Running"), None)

    return eventually(running, what="the repetition's pod to run", seconds=90)


def play(stage: Stage, pod: Any, *, loss: float, ending: str) -> dict[str, str]:
    """Its trainer logs and ends; what it was told."""
    told = {e["name"]: e["value"] for e in pod["spec"]["containers"][0]["env"] if "value" in e}
    point = {"key": "loss", "value": loss, "timestamp": int(time.time() * 1000), "step": 2}
    ask(stage.mlflow, "runs/log-metric", run_id=told["MLFLOW_RUN_ID"], **point)
    ends = [f"{key}={value}" for key, value in scenario(ending, duration="50ms").items()]
    stage.kubectl("annotate", "--overwrite", "pod", pod["metadata"]["name"], *ends)
    return told


def test_a_trial_is_repeated_as_a_job_of_its_own(crd: ControlPlane, shared: Stage) -> None:
    """Same value: 0. Another: 1. Interrupted: the Job is gone, too. The finished sweep notices nothing of it."""
    sweep = shared.apply("again", trials={"max": 2, "parallel": 2})
    status = sweep.wait("Complete")
    first = shared.runs(sweep)[1]

    command = rerun(crd, shared, first)
    pod = the_pod(shared)
    assert not any(key.startswith("hypersweep.dev/sweep") for key in pod["metadata"]["labels"])
    (job,) = shared.kubectl.json("get", "jobs", SELECTOR)["items"]
    assert "ownerReferences" not in job["metadata"]
    told = play(shared, pod, loss=first.metrics["loss"], ending="succeed")
    out, _ = command.communicate(timeout=120)
    assert command.returncode == 0, out
    assert "the image example.com/train:1 has no digest" in out
    assert (told["HYPERSWEEP_SEED"], told["HYPERSWEEP_TRIAL"]) == (first.tags["hypersweep.seed"], "1")

    command = rerun(crd, shared, first)
    play(shared, the_pod(shared), loss=5.0, ending="succeed")
    out, _ = command.communicate(timeout=120)
    assert command.returncode == 1, out
    assert f"loss: {first.metrics['loss']!r} then, 5.0 now" in out

    command = rerun(crd, shared, first)
    the_pod(shared)
    command.terminate()
    out, _ = command.communicate(timeout=60)
    assert command.returncode == 130, out
    eventually(
        lambda: not shared.kubectl("get", "jobs", SELECTOR, "-o", "name"), what="the Jobs to be gone", seconds=60
    )
    assert sweep.status["trials"] == status["trials"]
    assert len(shared.runs(sweep)) == 2
