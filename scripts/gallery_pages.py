# ruff: noqa: INP001  (a script, not a package)
"""TensorBoard's own pages of four trainings as pictures: what `hypersweep tensorboard` shows of a sweep.

Needs a Chromium in PATH, and says so where there is none.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypersweep_trainer.options import Job
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.startup import Interruption
from hypersweep_trainer.tracking import Tracker
from hypersweep_trainer.train import train

TRIALS: list[dict[str, Any]] = [
    {"optimizer": "adam", "lr": 0.003, "width": 32},
    {"optimizer": "sgd", "lr": 0.1, "width": 32},
    {"optimizer": "adam", "lr": 0.01, "width": 64},
    {"optimizer": "sgd", "lr": 0.01, "width": 64},
]
PAGES = {
    "hparams": "hparams",
    "scalars": "scalars&tagFilter=val",
    "images": "images&tagFilter=wrong",
    "histograms": "histograms&tagFilter=1.weight",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 60.0  # for the server to answer, and for each page


def pages(folder: Path, interruption: Interruption) -> None:
    """`tensorboard-….png` in `folder`."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"TensorBoard's pages are left as they are: none of {', '.join(BROWSERS)} is in PATH", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as place:
        logs = Path(place) / "logs"
        logs.mkdir()
        for number, settings in enumerate(TRIALS):
            home = Path(place) / str(number)
            chosen = Settings(epochs=12, **settings)
            job = Job(settings=chosen, budget=chosen.epochs, checkpoint_dir=home, searched=frozenset(settings))
            train(job, tracker=Tracker(aloud=False), interruption=interruption)
            (home / "tensorboard").rename(logs / f"trial-{number:04}")
        with served(logs) as url:
            for name, page in PAGES.items():
                picture(
                    browser, f"{url}/?darkMode=false#{page}", folder / f"tensorboard-{name}.png", Path(place) / "home"
                )


@contextmanager
def served(logs: Path) -> Iterator[str]:
    """TensorBoard's address, once it has read all trials."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + SECONDS
            while not ready(f"http://localhost:{port}/data/plugin/hparams/session_groups"):
                if time.monotonic() > deadline:
                    raise TimeoutError("TensorBoard has not read the trials")
                time.sleep(0.5)
            yield f"http://localhost:{port}"
        finally:
            process.terminate()


def ready(url: str) -> bool:
    """Whether all trials are there to their last event."""
    body = {"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "startIndex": 0, "sliceSize": 10}
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310  # our own server
            return len(json.load(answer)["sessionGroups"]) == len(TRIALS)
    except OSError:
        return False


def picture(browser: str, url: str, path: Path, home: Path) -> None:
    """One page as the browser draws it."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1700,760"]
    flags += ["--virtual-time-budget=20000", f"--user-data-dir={home}", f"--screenshot={path}"]
    subprocess.run(
        [browser, *flags, url], check=True, timeout=SECONDS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
