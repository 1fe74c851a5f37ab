"""`learningRateRangeTest` on a laptop, with a script that knows how to answer."""

import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from hypersweep.core.range_test import ANSWER, FIRST, read
from tests.local.conftest import Folder

pytestmark = pytest.mark.tracking

ANSWERING = '''
"""Answers a range test, else logs `loss`, by MLflow's REST API."""
import json, os, sys, time, urllib.request

def post(verb, body):
    address = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/" + verb
    data = json.dumps({"run_id": os.environ["MLFLOW_RUN_ID"], **body}).encode()
    urllib.request.urlopen(urllib.request.Request(address, data, {"Content-Type": "application/json"}), timeout=20).read()

if asked := os.environ.get("HYPERSWEEP_RANGE_TEST"):
    said = {"verdict": "Falls", "reason": "asked for " + asked, "suggestion": {"min": 0.01, "max": 0.02}}
    post("set-tag", {"key": "hypersweep.lrRange", "value": json.dumps(said)})
else:
    lr = float(os.environ["HP_LR"])
    assert 0.01 <= lr <= 0.02, lr
    post("log-metric", {"key": "loss", "value": lr, "timestamp": int(time.time() * 1000), "step": 0})
'''

MANIFEST = """
apiVersion: hypersweep.dev/v1alpha1
kind: HyperparameterSweep
metadata: {name: tested}
spec:
  objectives: [{metric: loss, goal: Minimize}]
  parameters: [{name: lr, type: Float, min: 0.001, max: 2, scale: Log}]
  strategy: {name: Random}
  learningRateRangeTest: {parameter: lr}
  trials: {max: 3, parallel: 3}
  job: {template: {spec: {template: {spec: {containers: [{name: train, image: none, command: [PYTHON, trial.py]}]}}}}}
"""


def runs_of(folder: Folder, experiment: str) -> list[Run]:
    client = MlflowClient(folder.uri)
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


def test_a_script_that_answers_narrows_the_search(folder: Folder) -> None:
    """Its interval is what trials are given; the terminal says what was found; a second command does not test again."""
    (folder.path / "trial.py").write_text(ANSWERING)
    Path(folder.path / "sweep.yaml").write_text(MANIFEST.replace("PYTHON", sys.executable))
    code, out = folder.run("run", "sweep.yaml", "--tracking-uri", folder.uri)
    assert code == 0, out
    assert 'learning-rate range test: Falls: asked for {"min": 1e-07, "max": 2.0}' in " ".join(out.split()), out
    assert "3 succeeded" in out
    code, out = folder.run("run", "sweep.yaml", "--tracking-uri", folder.uri)
    assert "resumed: 3 trials" in out
    assert len(list(folder.path.glob("hypersweep-runs/*/trial-1000000-*/attempt-*.log"))) == 1
    [test] = [run for run in runs_of(folder, "tested") if ANSWER in run.data.tags]
    code, out = folder.run("rerun", test.info.run_id, "--tracking-uri", folder.uri)
    assert (code, "is no trial but a learning-rate range test" in out) == (2, True), out


TRAINED = """
apiVersion: hypersweep.dev/v1alpha1
kind: HyperparameterSweep
metadata: {name: trained}
spec:
  objectives: [{metric: val_loss, goal: Minimize}]
  parameters:
  - {name: lr, type: Float, min: 1.0e-6, max: 1, scale: Log}
  - {name: optimizer, type: Categorical, values: [sgd, adam]}
  strategy: {name: Random}
  learningRateRangeTest: {parameter: lr, optimizer: optimizer}
  trainer: {settings: {task: digits, model: mlp, epochs: 1}}
  trials: {max: 1, parallel: 2}
"""


def test_the_built_in_trainer_tests_each_optimizer_and_trains_in_what_it_finds(folder: Folder) -> None:
    """On real data: SGD takes larger rates than Adam, and the trial has one of its own optimizer's."""
    (folder.path / "sweep.yaml").write_text(TRAINED)
    code, out = folder.run("run", "sweep.yaml", "--tracking-uri", folder.uri, seconds=150)
    assert code == 0, out
    runs = runs_of(folder, "trained")
    found = {run.data.params["optimizer"]: read(run.data.tags[ANSWER]) for run in runs if ANSWER in run.data.tags}
    sgd, adam = (found[optimizer].suggestion for optimizer in ("sgd", "adam"))
    assert sgd is not None
    assert adam is not None
    assert adam[0] < sgd[0]
    assert adam[1] < sgd[1]
    [trial] = [run for run in runs if int(run.data.tags.get("hypersweep.trial", FIRST)) < FIRST]
    low, high = found[trial.data.params["optimizer"]].suggestion or (0, 0)
    assert low <= float(trial.data.params["lr"]) <= high
