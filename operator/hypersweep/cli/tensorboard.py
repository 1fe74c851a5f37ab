"""`hypersweep tensorboard`: the event files of all trials of a sweep, from MLflow, in TensorBoard side by side.

Owns which files are fetched and where they go: DIR/trial-0007 for trial 7, only what is not there yet. Works while the
sweep runs: while TensorBoard is open, the files of trials that end are added. Changes nothing in MLflow.
"""

import argparse
import asyncio
import importlib.util
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from hypersweep.cli.analyze import asked
from hypersweep.core.errors import HyperSweepError
from hypersweep.tracking.archive import Archived, archived
from hypersweep.tracking.client import ClientStore

if TYPE_CHECKING:
    from mlflow import MlflowClient

ARTIFACTS = "tensorboard"  # the folder of a run where the built-in trainer keeps its event files; yours may do so too
AT_ONCE = 4  # requests: MLflow is no faster with more
AGAIN = 30.0  # seconds between looks for trials that have ended


def main(given: argparse.Namespace) -> int:
    """Fetch, and serve unless told otherwise. Exit code: TensorBoard's, or 0; what cannot be found is a HyperSweepError."""
    if not given.no_serve and importlib.util.find_spec("tensorboard") is None:
        raise HyperSweepError(
            "TensorBoard is not installed here: pip install tensorboard, or fetch the files only, with --no-serve"
        )
    sweep = asyncio.run(_sweep(given))
    folder = given.dir or Path("hypersweep-tensorboard") / sweep.name.replace("/", "-")
    have = fetch(given.tracking_uri, sweep, folder)
    if not have:
        raise HyperSweepError(
            f'no trial of "{sweep.name}" has event files in {given.tracking_uri}: the built-in trainer sends them when a '
            f"trial ends, unless its setting tensorboard is false; your own image can log them as artifacts in {ARTIFACTS}/"
        )
    print(f"event files of {have} of {len(sweep.trials)} trials are in {folder}")
    return 0 if given.no_serve else _serve(given, folder)


async def _sweep(given: argparse.Namespace) -> Archived:
    """The newest sweep of that name."""
    which, _ = asked(given)
    store = ClientStore(given.tracking_uri)
    try:
        await store.migrate()
        found = await archived(store, await store.experiments(), **which)
    finally:
        await store.close()
    if len(found) > 1:
        print(f"note: {len(found) - 1} older sweeps of that name are left out", file=sys.stderr)
    return found[-1]


def fetch(uri: str, sweep: Archived, folder: Path) -> int:
    """Bring what is missing in `folder`, which is made; how many trials have event files there."""
    from mlflow import MlflowClient  # noqa: PLC0415  (takes seconds)
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    client = MlflowClient(uri)
    runs = {folder / f"trial-{trial.index:04}": trial.run for trial in sweep.trials if trial.run}
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return sum(pool.map(lambda item: _fetch_trial(client, *item), runs.items()))
    except (MlflowException, OSError) as error:
        raise HyperSweepError(f"event files can't be fetched from {uri}: {error}") from error


def _fetch_trial(client: "MlflowClient", place: Path, run: str) -> bool:
    for file in client.list_artifacts(run, ARTIFACTS):
        target = place / Path(file.path).name
        if file.is_dir or (target.exists() and target.stat().st_size == file.file_size):
            continue
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place) as arriving:  # TensorBoard must not see half of it
            Path(client.download_artifacts(run, file.path, arriving)).replace(target)
    return any(place.glob("events.out.tfevents.*"))


def _serve(given: argparse.Namespace, folder: Path) -> int:
    """TensorBoard until it is closed, with what comes meanwhile."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends TensorBoard too
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    with subprocess.Popen([*command, "--host", given.host, "--port", str(given.port)]) as process:
        try:
            while True:
                try:
                    return process.wait(AGAIN)
                except subprocess.TimeoutExpired:
                    _look_again(given, folder)
        finally:
            process.terminate()


def _look_again(given: argparse.Namespace, folder: Path) -> None:
    try:
        fetch(given.tracking_uri, asyncio.run(_sweep(given)), folder)
    except HyperSweepError as error:  # MLflow is away: what is there stays open
        print(f"hypersweep: {error}", file=sys.stderr)
