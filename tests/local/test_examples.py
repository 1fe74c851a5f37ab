"""The examples on a laptop, from the command to what a user looks at in MLflow.

The space, the objectives and all else are the examples'; in place of the built-in trainer, which takes seconds a trial, a
process that is quick logs the metrics of that name, as plain functions of the parameters that it is given.
"""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml

from hypersweep.core.manifest import parse
from hypersweep.core.pareto import REFERENCE
from hypersweep.core.space import Space
from tests.api.sweeps import Run, parent_runs, trial_runs
from tests.local.conftest import Folder

pytestmark = pytest.mark.tracking

EXAMPLES = Path(__file__).parents[2] / "examples"
TRIAL = """
import json, math, os, time, urllib.request

given = json.loads(os.environ["HYPERSWEEP_PARAMETERS"])
luck = int(os.environ["HYPERSWEEP_SEED"]) / 2**31 / 20
width, layers = given.get("width", 32), given.get("layers", 1)
off = abs(math.log10(given["lr"]) + 2) / 4 + given.get("dropout", 0.2) / 4 + 1 / width
metrics = {"val_accuracy": 1 - off, "val_loss": off + luck, "weights": 64 * width + (layers - 1) * width**2,
           "val_calibration_error": given.get("dropout", 0) / 2}
for step in (1, 2):
    points = [{"key": k, "value": v, "timestamp": int(time.time() * 1000), "step": step} for k, v in metrics.items()]
    body = json.dumps({"run_id": os.environ["MLFLOW_RUN_ID"], "metrics": points}).encode()
    address = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-batch"
    urllib.request.urlopen(urllib.request.Request(address, body, {"Content-Type": "application/json"}), timeout=20).read()
"""


def ran(folder: Folder, name: str, *, trials: int) -> tuple[dict[str, Any], str, dict[int, Run], Run]:
    """An example, run to its end: the document, what was printed, the trials' runs, and the sweep's own."""
    document = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    document["metadata"]["name"] = folder.name
    del document["spec"]["trainer"]
    container = {"name": "train", "image": "x", "command": [sys.executable, "trial.py"]}
    document["spec"]["job"] = {"template": {"spec": {"template": {"spec": {"containers": [container]}}}}}
    (folder.path / "trial.py").write_text(TRIAL)
    (folder.path / "sweep.yaml").write_text(yaml.safe_dump(document))
    code, out = folder.run("run", "sweep.yaml", "--trials", str(trials), "--tracking-uri", folder.uri)
    assert code == 0, out
    [parent] = parent_runs(folder.uri, folder.name)
    runs = trial_runs(folder.uri, folder.name)
    assert len(runs) == trials
    return document, out, runs, parent


def test_two_objectives_end_in_a_front(folder: Folder) -> None:
    """That of the runs that keep the bound, on the terminal and on the sweep's run, with the volume that it covers."""
    _, out, runs, parent = ran(folder, "two-objectives", trials=20)
    kept = {i: run for i, run in runs.items() if run.metrics["val_calibration_error"] <= 0.1}
    assert REFERENCE <= len(kept) < len(runs)
    assert {i for i, run in runs.items() if run.outcome == "Succeeded"} == set(kept)
    points = {i: (run.metrics["val_accuracy"], -run.metrics["weights"]) for i, run in kept.items()}
    beaten = {i for i, (a, b) in points.items() for c, d in points.values() if (c, d) != (a, b) and c >= a and d >= b}
    front = set(points) - beaten
    assert set(json.loads(parent.tags["hypersweep.paretoFront"])) == front
    assert parent.metrics["hypervolume"] > 0
    table = out[out.index("Pareto front") :]
    assert {int(row.split()[1]) for row in table.splitlines() if row.startswith("│")} == front


def test_inactive_parameters_are_nowhere(folder: Folder) -> None:
    """A trial's run has the parameters that are active for its choices and numbers, at each depth, and no other."""
    document, _, runs, _ = ran(folder, "conditional", trials=14)
    space = Space.of(parse(document)[1])
    for run in runs.values():
        choice, sgd = run.params["optimizer"], run.params["optimizer"] == "sgd"
        deep = int(run.params["layers"]) >= 2 and int(run.params["width"]) >= 32
        expected = {"lr", "optimizer", "layers", "width"}
        expected |= {"momentum"} if sgd else {"beta2"} if choice == "adam" else set()
        expected |= {"batch_size"} if choice != "rprop" else set()
        expected |= {"nesterov"} if sgd and float(run.params["momentum"]) >= 0.1 else set()
        expected |= {"dropout"} if deep else set()
        assert set(run.params) == expected
        assert int(run.params["layers"]) * int(run.params["width"]) <= 256
    conditional = {d.name for d in space.dimensions if d.when}
    assert conditional <= {name for run in runs.values() for name in run.params}  # each was active somewhere


def test_repeats_race_and_are_judged_by_their_mean(folder: Folder) -> None:
    """No assignment has more seeds than it may, contenders have several, and the table shows means."""
    _, out, runs, _ = ran(folder, "repeats", trials=10)
    losses = defaultdict[frozenset[tuple[str, str]], list[float]](list)
    for run in runs.values():
        losses[frozenset(run.params.items())].append(run.metrics["val_loss"])
    assert 10 > len(losses) >= 5
    assert 1 < max(map(len, losses.values())) <= 3
    assert len({run.tags["hypersweep.seed"] for run in runs.values()}) == 10
    table = out[out.index("best trials") :]
    rows = re.findall(r"^│ +\d+ │ +(\S+) │ +(\d) │ +(\S+) to (\S+) │", table, re.MULTILINE)
    assert len(rows) == table.count("\n│") == len(losses)
    assert any(seeds != "1" for _, seeds, _, _ in rows)
    for mean, seeds, low, high in rows:
        assert float(low) < float(mean) < float(high)
        assert [len(v) for v in losses.values() if fmean(v) == pytest.approx(float(mean), rel=1e-4)] == [int(seeds)]
