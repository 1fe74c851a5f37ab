"""Auto with ASHA against Random without stopping: epochs that the digits sweep of the examples takes.

Run it: python -m bench digits [--node] [--trials 20] [--epochs 27] [--seeds 3] [--target 0.97]

By `hypersweep run`, or with `--node` in containers: the images are built, the machine becomes a Kubernetes node (root on
Debian), the chart is installed with its MLflow, and the sweeps are applied to it.

Real sweeps of real networks: the built-in trainer, one thread a trial, two trials at a time, every curve in MLflow. The space is
that of examples/digits.yaml, but for what makes a trial long enough to be stopped: a CNN (width 8 to 64), 27 epochs.
Its initial trial is left out, since a published good one would decide the race for both. Every epoch that any trial logged
counts, also those between a verdict and the trial's end.
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.node import RealNode
from tests.e2e.release import Release, installed, load_images
from tests.local.conftest import Folder
from tests.tracking.server import mlflow

Json = dict[str, Any]
Ask = Callable[..., Any]  # MLflow's REST API: a path below api/2.0/mlflow/, the body by keyword; without one, a GET
Run = Callable[[Json], Ask]  # a sweep to its end

EXAMPLE = Path(__file__).parents[1] / "examples" / "digits.yaml"
METRIC = "val_accuracy"
ASHA = {"type": "ASHA", "asha": {"minBudget": 1, "reductionFactor": 3}, "poll": "1s"}
ARMS: dict[str, Json] = {
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


def document(arm: Json, *, name: str, seed: int, trials: int, epochs: int) -> Json:
    """The example with this arm's strategy and stopping."""
    found: Json = yaml.safe_load(EXAMPLE.read_text())
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


def course(run: Run, sweep: Json, *, target: float) -> Course:
    """Run it to its end, and read from MLflow what it took."""
    began = time.monotonic()
    ask = run(sweep)
    return _read(ask, sweep["metadata"]["name"], target=target, seconds=time.monotonic() - began)


def _read(ask: Ask, name: str, *, target: float, seconds: float) -> Course:
    experiments = ask("experiments/search", max_results=1000)["experiments"]
    (experiment,) = (e["experiment_id"] for e in experiments if e["name"].rpartition("/")[2] == name)
    runs = ask("runs/search", experiment_ids=[experiment], max_results=1000)["runs"]
    trials = [run for run in runs if _tag(run, "kind") == "Trial"]
    path = f"metrics/get-history?metric_key={METRIC}&run_id="
    logged = {run["info"]["run_id"]: ask(path + run["info"]["run_id"])["metrics"] for run in trials}
    ended = [logged[run["info"]["run_id"]] for run in trials if _tag(run, "outcome") == "Succeeded"]
    last = [max(points, key=lambda p: p["step"]) for points in ended]
    ends = [int(p["timestamp"]) for p in last if p["value"] >= target]
    points = [p for curve in logged.values() for p in curve]
    return Course(
        best=max(p["value"] for p in last),
        epochs=len(points),
        until=sum(int(p["timestamp"]) <= min(ends) for p in points) if ends else None,
        stopped=sum(_tag(run, "outcome") == "Stopped" for run in trials),
        seconds=seconds,
    )


def _tag(run: Json, name: str) -> str:
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    return str(tags.get(f"hypersweep.{name}", ""))


@contextmanager
def laptop(folder: Path) -> Iterator[Run]:
    """Sweeps by `hypersweep run`, one thread a trial."""

    def run(sweep: Json) -> Ask:
        place = folder / sweep["metadata"]["name"]
        place.mkdir()
        (place / "sweep.yaml").write_text(yaml.safe_dump(sweep))
        code, out = Folder(place, uri).run("run", "sweep.yaml", "--tracking-uri", uri, seconds=3600)
        if code != 0:
            sys.exit(out)
        return ask

    def ask(path: str, **body: Any) -> Any:
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"{uri}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    (folder / "server").mkdir()
    with mlflow(f"sqlite:///{folder}/server/mlflow.db", folder / "server") as uri:
        yield run


@contextmanager
def node(folder: Path) -> Iterator[Run]:
    """Sweeps in containers on the real node, which is left up if it was."""
    machine = RealNode()
    with machine.reserved():
        was_up = machine.is_up()
        try:
            machine.up()
            load_images(machine)
            with installed(machine, folder) as release:
                yield lambda sweep: _applied(release, sweep)
        finally:
            if not was_up:
                machine.down()


def _applied(release: Release, sweep: Json) -> Ask:
    release.kubectl.apply(sweep)
    found = release.finished(sweep["metadata"]["name"], seconds=3600)
    if "best" not in found["status"]:
        sys.exit(json.dumps(found["status"], indent=2))
    return release.mlflow


def courses(given: argparse.Namespace, run: Run) -> Iterator[tuple[int, str, Course]]:
    """Every arm with every seed; arms take turns, so that a busy machine slows both alike."""
    for seed in range(given.seeds):
        for arm, settings in ARMS.items():
            name = f"{settings['name'].lower()}-{seed}"
            sweep = document(settings, name=name, seed=seed, trials=given.trials, epochs=given.epochs)
            yield seed, arm, course(run, sweep, target=given.target)


def main() -> None:
    """Run all, print a row for each sweep."""
    parser = argparse.ArgumentParser(
        prog="python -m bench digits", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--node", action="store_true", help="in containers, on this machine as a Kubernetes node")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--target", type=float, default=0.97)
    given = parser.parse_args()
    print(f"seed  arm                      best {METRIC}  epochs  until {given.target:g}  stopped  seconds", flush=True)
    with tempfile.TemporaryDirectory() as name, (node if given.node else laptop)(Path(name)) as run:
        for seed, arm, found in courses(given, run):
            until = "never" if found.until is None else str(found.until)
            row = f"{seed:4}  {arm:23}  {found.best:17.4f}  {found.epochs:6}  {until:>10}"
            print(f"{row}  {found.stopped:7}  {found.seconds:7.0f}", flush=True)


if __name__ == "__main__":
    main()
