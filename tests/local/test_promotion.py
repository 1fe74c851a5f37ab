"""`mode: Promote` on a laptop: real processes are ended at a rung, and resumed from their checkpoints."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.local.conftest import Folder

pytestmark = pytest.mark.tracking

RESUMING = '''
"""Logs a falling loss, a point a step, from where its checkpoint is; at the first step a new trial waits to be ended."""
import json, os, signal, sys, time, urllib.request

trial, lr = os.environ["HYPERSWEEP_TRIAL"], float(os.environ["HP_LR"])
place = os.path.join(os.environ["HYPERSWEEP_CHECKPOINT_DIR"], "step")
done = int(open(place).read()) if os.path.exists(place) else -1

def terminated(*_):
    open(place, "w").write(str(step))
    sys.exit(143)

signal.signal(signal.SIGTERM, terminated)
for step in range(done + 1, 4):
    print("step", step, flush=True)
    point = {"key": "loss", "value": lr + 1 / (step + 1), "timestamp": int(time.time() * 1000), "step": step}
    body = json.dumps({"run_id": os.environ["MLFLOW_RUN_ID"], **point}).encode()
    address = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric"
    urllib.request.urlopen(urllib.request.Request(address, body, {"Content-Type": "application/json"}), timeout=20).read()
    if step == 1 and lr > 0.2:
        time.sleep(300)
'''
TRAIN = {
    "name": "train",
    "image": "none",
    "command": [sys.executable, "trial.py"],
    "env": [{"name": "HYPERSWEEP_CHECKPOINT_DIR", "value": "/c/$(HYPERSWEEP_TRIAL)"}],
    "volumeMounts": [{"name": "c", "mountPath": "/c"}],
}
POD = {"containers": [TRAIN], "volumes": [{"name": "c", "persistentVolumeClaim": {"claimName": "c"}}]}


def test_a_paused_trial_goes_on_from_its_checkpoint(folder: Folder, tmp_path: Path) -> None:
    """The second best waits until two more have come to the rung; no step is trained twice; who is never resumed is stopped."""
    (tmp_path / "trial.py").write_text(RESUMING)
    document = {
        "apiVersion": "hypersweep.dev/v1alpha1",
        "kind": "HyperparameterSweep",
        "metadata": {"name": folder.name},
        "spec": {
            "objectives": [{"metric": "loss", "goal": "Minimize"}],
            "parameters": [{"name": "lr", "type": "Discrete", "numbers": [0.1, 0.4, 0.6, 0.9]}],
            "initialTrials": [{"parameters": {"lr": lr}} for lr in (0.1, 0.4, 0.6, 0.9)],
            "trials": {"max": 4, "parallel": 1},
            "earlyStopping": {
                "type": "ASHA",
                "asha": {"minBudget": 1, "reductionFactor": 2, "maxBudget": 2, "mode": "Promote"},
                "poll": "1s",
            },
            "job": {"template": {"spec": {"template": {"spec": POD}}}},
        },
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(document))
    code, out = folder.run("run", "sweep.yaml", "--tracking-uri", folder.uri)
    assert code == 0, out
    assert "2 stopped" in out
    steps = {
        (int(re.findall(r"\d+", path.parent.name)[0]), path.stem): re.findall(r"step (\d)", path.read_text())
        for path in tmp_path.rglob("attempt-*.log")
    }
    assert steps == {
        (0, "attempt-1"): ["0", "1", "2", "3"],
        (1, "attempt-1"): ["0", "1"],
        (1, "attempt-2"): ["2", "3"],
        (2, "attempt-1"): ["0", "1"],
        (3, "attempt-1"): ["0", "1"],
    }
