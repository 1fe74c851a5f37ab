"""Early stopping on a laptop: real processes, a real MLflow."""

import sys
from pathlib import Path

import pytest
import yaml

from tests.local.conftest import Folder

pytestmark = pytest.mark.tracking

CURVE = '''
"""Logs a falling loss, a point a step; a hopeless trial then trains on for minutes."""
import json, os, signal, sys, time, urllib.request

def terminated(*_):
    open(f"terminated-{os.environ['HYPERSWEEP_TRIAL']}", "w").close()
    sys.exit(143)

signal.signal(signal.SIGTERM, terminated)
lr = float(os.environ["HP_LR"])
for step in (1, 2, 3):
    point = {"key": "loss", "value": lr + 1 / step, "timestamp": int(time.time() * 1000), "step": step}
    body = json.dumps({"run_id": os.environ["MLFLOW_RUN_ID"], **point}).encode()
    address = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric"
    urllib.request.urlopen(urllib.request.Request(address, body, {"Content-Type": "application/json"}), timeout=20).read()
if lr > 0.5:
    time.sleep(300)
'''


def test_a_hopeless_trial_is_asked_to_end(folder: Folder, tmp_path: Path) -> None:
    """It gets SIGTERM soon after it crossed the budget, counts as stopped, and does not keep the sweep from its end."""
    (tmp_path / "trial.py").write_text(CURVE)
    template = {"containers": [{"name": "train", "image": "none", "command": [sys.executable, "trial.py"]}]}
    document = {
        "apiVersion": "hypersweep.dev/v1alpha1",
        "kind": "HyperparameterSweep",
        "metadata": {"name": folder.name},
        "spec": {
            "objectives": [{"metric": "loss", "goal": "Minimize"}],
            "parameters": [{"name": "lr", "type": "Discrete", "numbers": [0.1, 0.4, 0.6, 0.9]}],
            "strategy": {"name": "Grid"},
            "trials": {"max": 4, "parallel": 2},
            "earlyStopping": {"type": "Threshold", "threshold": {"value": 1.0, "atBudget": 2}},
            "job": {"template": {"spec": {"template": {"spec": template}}}},
        },
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(document))
    code, out = folder.run("run", "sweep.yaml", "--tracking-uri", folder.uri)
    assert code == 0, out
    assert len(list(tmp_path.rglob("terminated-*"))) == 2
    assert "2 stopped" in out
