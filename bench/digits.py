"""Auto with ASHA against Random without stopping: epochs that the digits sweep of the examples takes, by `hypersweep run`.

Run it: python -m bench digits [--trials 20] [--epochs 27] [--seeds 3] [--target 0.97]

Real sweeps of real networks: the built-in trainer, one thread a trial, two trials at a time, every curve in MLflow. The space is
that of examples/digits.yaml, but for what makes a trial long enough to be stopped: a CNN (width 8 to 64), 27 epochs.
Its initial trial is left out, since a published good one would decide the race for both. Every epoch that any trial logged
counts, also those between a verdict and the trial's end.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient

from tests.local.conftest import Folder
from tests.tracking.server import mlflow

EXAMPLE = Path(__file__).parents[1] / "examples" / "digits.yaml"
METRIC = "val_accuracy"
ASHA = {"type": "ASHA", "asha": {"minBudget": 1, "reductionFactor": 3}, "poll": "1s"}
ARMS: dict[str, dict[str, Any]] = {
    "Auto with ASHA": {"name": "Auto", "earlyStopping": ASHA},
    "Random without stopping": {"name": "Random"},
}


@dataclass(frozen=True)
class Course:
    """One sweep: what it found, and the epochs that went into it."""

    best: float  # of the trials that ran to their end, by their last epoch: what the status calls best
    epochs: int
    until: int | None  # epochs of all trials until the first one ended at the target; None: none did
    stopped: int
    seconds: float


def document(arm: dict[str, Any], *, name: str, seed: int, trials: int, epochs: int) -> dict[str, Any]:
    """The example with this arm's strategy and stopping."""
    found: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    spec = found["spec"]
    del spec["initialTrials"]
    next(p for p in spec["parameters"] if p["name"] == "width").update(min=8, max=64)
    spec["trainer"]["settings"].update(model="cnn", epochs=epochs)
    spec["trials"].update(max=trials, parallel=2)
    spec["strategy"] = {"name": arm["name"], "seed": seed}
    if stopping := arm.get("earlyStopping"):
        spec["earlyStopping"] = {**stopping, "asha": {**stopping["asha"], "maxBudget": epochs}}
    found["metadata"]["name"] = name
    return found


def course(folder: Path, uri: str, sweep: dict[str, Any], *, target: float) -> Course:
    """Run it to its end, and read from MLflow what it took."""
    folder.mkdir()
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    began = time.monotonic()
    code, out = Folder(folder, uri).run("run", "sweep.yaml", "--tracking-uri", uri, seconds=3600)
    if code != 0:
        sys.exit(out)
    return _read(MlflowClient(uri), sweep["metadata"]["name"], target=target, seconds=time.monotonic() - began)


def _read(client: MlflowClient, name: str, *, target: float, seconds: float) -> Course:
    experiment = client.get_experiment_by_name(name)
    runs = [r for r in client.search_runs([experiment.experiment_id]) if r.data.tags["hypersweep.kind"] == "Trial"]
    logged = {r.info.run_id: client.get_metric_history(r.info.run_id, METRIC) for r in runs}
    whole = [r for r in runs if r.data.tags["hypersweep.outcome"] == "Succeeded"]
    ends = [max(p.timestamp for p in logged[r.info.run_id]) for r in whole if r.data.metrics[METRIC] >= target]
    points = [p for curve in logged.values() for p in curve]
    return Course(
        best=max(r.data.metrics[METRIC] for r in whole),
        epochs=len(points),
        until=sum(p.timestamp <= min(ends) for p in points) if ends else None,
        stopped=sum(r.data.tags["hypersweep.outcome"] == "Stopped" for r in runs),
        seconds=seconds,
    )


def courses(given: argparse.Namespace, folder: Path, uri: str) -> Iterator[tuple[int, str, Course]]:
    """Every arm with every seed; arms take turns, so that a busy machine slows both alike."""
    for seed in range(given.seeds):
        for arm, settings in ARMS.items():
            name = f"{settings['name'].lower()}-{seed}"
            sweep = document(settings, name=name, seed=seed, trials=given.trials, epochs=given.epochs)
            yield seed, arm, course(folder / name, uri, sweep, target=given.target)


def main() -> None:
    """Run all, print a row for each sweep."""
    parser = argparse.ArgumentParser(
        prog="python -m bench digits", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--target", type=float, default=0.97)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"seed  arm                      best {METRIC}  epochs  until {given.target:g}  stopped  seconds")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        with mlflow(f"sqlite:///{folder}/server/mlflow.db", folder / "server") as uri:
            for seed, arm, found in courses(given, folder, uri):
                until = "never" if found.until is None else str(found.until)
                row = f"{seed:4}  {arm:23}  {found.best:17.4f}  {found.epochs:6}  {until:>10}"
                print(f"{row}  {found.stopped:7}  {found.seconds:7.0f}", flush=True)


if __name__ == "__main__":
    main()
