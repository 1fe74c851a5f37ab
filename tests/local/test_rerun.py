"""`hypersweep rerun` on a laptop: a trial again, on a real MLflow, with a training that depends on its seed."""

import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from hypersweep.cli.main import main
from hypersweep.core.goyaml import dump
from tests.local.conftest import Folder
from tests.tracking.stores import QUIET

pytestmark = [pytest.mark.tracking, QUIET]

TRAIN = '''
"""Stochastic gradient descent on noisy lines, begun and shuffled by the seed. Logs by MLflow's REST API."""
import json, os, time, urllib.request
import numpy as np

draws = np.random.default_rng(int(os.environ["HYPERSWEEP_SEED"]))
x = np.random.default_rng(0).normal(size=(200, 5))
y = x @ np.arange(5.0) + np.random.default_rng(1).normal(size=200)
weights = draws.normal(size=5)
for i in draws.integers(0, 200, size=400):
    weights -= float(os.environ["HP_LR"]) * (x[i] @ weights - y[i]) * x[i]
if os.path.exists("fail"):
    raise SystemExit("the data are not there")
assert os.environ.get("API_TOKEN", "right") == "right", "a wrong token"
point = {"key": "loss", "value": float(np.mean((x @ weights - y) ** 2)), "timestamp": int(time.time() * 1000), "step": 0}
body = json.dumps({"run_id": os.environ["MLFLOW_RUN_ID"], **point}).encode()
address = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric"
urllib.request.urlopen(urllib.request.Request(address, body, {"Content-Type": "application/json"}), timeout=20).read()
'''


class Swept:
    """A sweep that was run in a folder, and the command that repeats its trials."""

    def __init__(self, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.client = MlflowClient(tracking_uri=folder.uri)
        (folder.path / "train.py").write_text(TRAIN)

    def run(self, **container: Any) -> None:
        """Two trials."""
        train = {"name": "train", "image": "train:1", "command": [sys.executable, "train.py"], **container}
        spec = {
            "objectives": [{"metric": "loss", "goal": "Minimize"}],
            "parameters": [{"name": "lr", "type": "Float", "min": 0.001, "max": 0.05, "scale": "Log"}],
            "strategy": {"name": "Random", "seed": 3},
            "trials": {"max": 2, "parallel": 2},
            "job": {"template": {"spec": {"template": {"spec": {"containers": [train]}}}}},
        }
        document = {"apiVersion": "hypersweep.dev/v1alpha1", "kind": "HyperparameterSweep"}
        document |= {"metadata": {"name": self.folder.name}, "spec": spec}
        (self.folder.path / "sweep.yaml").write_text(dump(document))
        code, out = self.folder.run("run", "sweep.yaml", "--tracking-uri", self.folder.uri)
        assert code == 0, out

    def runs(self, kind: str) -> list[Any]:
        experiment = self.client.get_experiment_by_name(self.folder.name)
        found = self.client.search_runs([experiment.experiment_id], f"tags.`hypersweep.kind` = '{kind}'")
        return sorted(found, key=lambda run: run.info.start_time)

    def again(self, run: str, *options: str) -> tuple[int, str]:
        code = main(["rerun", run, "--tracking-uri", self.folder.uri, *options])
        out, err = self._capsys.readouterr()
        return code, out + err


@pytest.fixture
def swept(folder: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Swept:
    monkeypatch.chdir(folder.path)
    return Swept(folder, capsys)


def test_a_trial_comes_out_the_same_with_its_seed_and_otherwise_with_another(swept: Swept) -> None:
    """Both values are shown; the new run belongs to no ledger, and says whose repetition it is."""
    swept.run()
    first = swept.runs("Trial")[1]
    code, out = swept.again(first.info.run_id)
    assert code == 0, out
    loss = first.data.metrics["loss"]
    assert f"loss: {loss!r} then, {loss!r} now" in out
    (new,) = swept.runs("Rerun")
    assert new.data.metrics == first.data.metrics
    assert new.data.params == first.data.params
    assert (new.info.status, new.data.tags["hypersweep.same"]) == ("FINISHED", "true")
    assert new.data.tags["hypersweep.rerunOf"] == first.info.run_id
    assert "hypersweep.id" not in new.data.tags

    code, out = swept.again(first.info.run_id, "--seed", "1")
    assert code == 1, out
    assert "not the same" in out
    assert swept.runs("Rerun")[1].data.tags["hypersweep.same"] == "false"
    assert swept.again(first.info.run_id, "--seed", "1", "--tolerance", "1000")[0] == 0

    (swept.folder.path / "fail").touch()
    code, out = swept.again(first.info.run_id)
    assert code == 1, out
    assert "the data are not there" in out
    assert swept.runs("Rerun")[3].info.status == "FAILED"

    code, out = swept.folder.run("run", "sweep.yaml", "--tracking-uri", swept.folder.uri)
    assert code == 0, out
    assert len(swept.runs("Trial")) == 2


def test_what_the_sweeps_run_withholds_is_asked_of_the_shell(swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    swept.run(env=[{"name": "API_TOKEN", "value": "right"}], args=["--hub-password", "swordfish"])
    assert "swordfish" not in str([run.data.tags for run in swept.runs("Sweep")])
    run = swept.runs("Trial")[0].info.run_id
    monkeypatch.delenv("API_TOKEN", raising=False)
    code, out = swept.again(run)
    assert code == 2
    assert "withholds the values of API_TOKEN (of spec.job.template" in out
    assert "HUB_PASSWORD (of" in out
    assert swept.runs("Rerun") == []
    monkeypatch.setenv("API_TOKEN", "right")
    code, out = swept.again(run, "--set-env", "HUB_PASSWORD=swordfish")
    assert code == 0, out
    assert "not quite the trial's template" not in out
    code, out = swept.again(run, "--set-env", "HUB_PASSWORD=another")
    assert code == 0, out
    assert "not quite the trial's template" in out


def test_what_cannot_be_repeated_is_refused_with_its_reason(swept: Swept) -> None:
    swept.run()
    trial, (parent,) = swept.runs("Trial")[0], swept.runs("Sweep")
    assert swept.again("0" * 32) == (2, f"hypersweep: no run {'0' * 32} in {swept.folder.uri}\n")
    assert "is no trial of a sweep but a Sweep" in swept.again(parent.info.run_id)[1]
    code, out = swept.again(trial.info.run_id, "--cluster")
    assert code == 2
    assert "give --namespace" in out

    def without(tag: str, value: str) -> str:
        swept.client.set_tag(trial.info.run_id, tag, value)
        code, out = swept.again(trial.info.run_id)
        assert code == 2
        return out

    assert "has not ended" in without("hypersweep.outcome", "Open")
    assert "was stopped early" in without("hypersweep.outcome", "Stopped")
    swept.client.set_tag(trial.info.run_id, "hypersweep.outcome", "Succeeded")
    assert "does not hold the spec" in without("hypersweep.template", "abc")
    assert "which holds the template, is gone" in without("mlflow.parentRunId", "0" * 32)
    assert not Path("hypersweep-runs/rerun").exists()
