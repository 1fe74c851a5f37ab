"""200 no-op trials on this machine: `hypersweep run` against Optuna with its MLflow callback, in one run.

Run it: python -m bench local [--trials 200] [--parallel 4]   (needs optuna-integration[mlflow])

Both search at random and log to one MLflow server on SQLite. Optuna's trial is a function call in its own process;
HyperSweep's is a process of its own (Python that logs one metric by REST), as a real training would be: the time that
such a process takes alone is printed too.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.local.conftest import Folder
from tests.tracking.server import mlflow


def hypersweep(folder: Path, uri: str, *, trials: int, parallel: int) -> float:
    """Seconds for the whole command, its start and end included."""
    place = Folder(folder, uri)
    began = time.monotonic()
    code, out = place.run(*place.arguments("--parallel", str(parallel), trials=trials), seconds=1800)
    if code != 0:
        sys.exit(out)
    return time.monotonic() - began


def optuna(uri: str, *, trials: int) -> float:
    """Seconds for the same number of trials by Optuna, in memory, with its callback."""
    import optuna as peer  # noqa: PLC0415
    from optuna_integration import MLflowCallback  # noqa: PLC0415

    peer.logging.set_verbosity(logging.WARNING)
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # two lines a trial
    study = peer.create_study(sampler=peer.samplers.RandomSampler(seed=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        callback = MLflowCallback(tracking_uri=uri, metric_name="loss")
        began = time.monotonic()
        study.optimize(lambda trial: trial.suggest_float("lr", 0.1, 0.9), n_trials=trials, callbacks=[callback])
    return time.monotonic() - began


def process() -> float:
    """Seconds for a Python that imports what the trial imports, and ends."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import json, os, signal, sys, time, urllib.request"], check=True)
    return time.monotonic() - began


def main() -> None:
    """Run both, print trials per second and the ratio."""
    parser = argparse.ArgumentParser(
        prog="python -m bench local", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        (folder / "bench").mkdir()
        with mlflow(f"sqlite:///{folder}/server/mlflow.db", folder / "server") as uri:
            ours = hypersweep(folder / "bench", uri, trials=given.trials, parallel=given.parallel)
            theirs = optuna(uri, trials=given.trials)
    print(f"hypersweep run, {given.parallel} at a time   {given.trials / ours:6.1f} trials/s")
    print(f"Optuna + MLflow callback      {given.trials / theirs:6.1f} trials/s")
    print(f"ratio                         {theirs / ours:6.2f}")
    print(f"an empty trial process        {1000 * process():6.0f} ms")


if __name__ == "__main__":
    main()
