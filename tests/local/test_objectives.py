"""`hypersweep run` of sweeps that are judged by more than one number: the same file as in a cluster."""

import re
import sys
import textwrap
from typing import Any

import pytest
import yaml

from tests.local.conftest import Folder

pytestmark = pytest.mark.tracking

TRIAL = """
import json, os, time, urllib.request
lr, seed = float(os.environ["HP_LR"]), int(os.environ["HYPERSWEEP_SEED"]) / 2**31
found = {"loss": lr + float(os.environ["NOISE"]) * seed, "accuracy": lr**0.5, "ms": 50 if lr < 0.3 else 5}
for key, value in found.items():
    point = {"key": key, "value": value, "timestamp": int(time.time() * 1000), "step": 0}
    point["run_id"] = os.environ["MLFLOW_RUN_ID"]
    address = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric"
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(address, json.dumps(point).encode(), headers), timeout=20).read()
"""


def run(folder: Folder, *, noise: float = 0.0, **spec: Any) -> tuple[int, str]:
    """A sweep of these fields, to its end."""
    (folder.path / "trial.py").write_text(textwrap.dedent(TRIAL))
    environment = [{"name": "NOISE", "value": str(noise)}]
    container = {"name": "train", "image": "i", "command": [sys.executable, "trial.py"], "env": environment}
    document = {
        "apiVersion": "hypersweep.dev/v1alpha1",
        "kind": "HyperparameterSweep",
        "metadata": {"name": folder.name},
        "spec": {
            "objectives": [{"metric": "loss", "goal": "Minimize"}],
            "parameters": [{"name": "lr", "type": "Float", "min": 0.1, "max": 0.9}],
            "strategy": {"name": "Random", "seed": 3},
            "job": {"template": {"spec": {"template": {"spec": {"containers": [container]}}}}},
            **spec,
        },
    }
    (folder.path / "sweep.yaml").write_text(yaml.safe_dump(document))
    return folder.run("run", "sweep.yaml", "--tracking-uri", folder.uri)


def test_two_objectives_and_a_constraint_end_in_a_front(folder: Folder) -> None:
    """The table shows every objective; what violates the constraint is named, and not in it."""
    objectives = [{"metric": "loss", "goal": "Minimize"}, {"metric": "accuracy", "goal": "Maximize"}]
    limit = [{"metric": "ms", "max": 20}]
    code, out = run(folder, objectives=objectives, constraints=limit, trials={"max": 6, "parallel": 3})
    assert code == 0, out
    ended = dict(re.findall(r"^trial (\d+): (\w+)", out, re.MULTILINE))
    assert len(ended) == 6
    table = out[out.index("Pareto front") :]
    rows = {row.split()[1]: row.split() for row in table.splitlines() if re.match(r"^\W\s+\d+ ", row)}
    assert sorted(rows) == sorted(trial for trial, outcome in ended.items() if outcome == "Succeeded")
    assert re.search(r"^trial \d+: Infeasible", out, re.MULTILINE)


def test_repeats_are_judged_as_one(folder: Folder) -> None:
    """Six trials are three assignments, of which the table shows the means."""
    code, out = run(folder, noise=0.1, repeats={"count": 2}, trials={"max": 6, "parallel": 2})
    assert code == 0, out
    values = [float(value) for value in re.findall(r"^trial \d+: Succeeded, loss ([\d.]+)", out, re.MULTILINE)]
    assert len(values) == 6
    table = out[out.index("best trials") :]
    means = [float(row.split()[3]) for row in table.splitlines() if re.match(r"^\W\s+\d+ ", row)]
    assert len(means) == 3
    assert sum(means) / 3 == pytest.approx(sum(values) / 6, rel=1e-4)
