"""A folder to run sweeps in, and trials that are quick: they log through MLflow's REST API, without importing mlflow."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tracking.server import mlflow_server

__all__ = ["mlflow_server"]

TRIAL = '''
"""Logs `loss` by MLflow's REST API. Flags: --lr=X, --then=end|crash|hang."""
import json, os, signal, sys, time, urllib.request

flags = dict(a.removeprefix("--").split("=", 1) for a in sys.argv[1:])

def terminated(*_):
    open(f"terminated-{os.environ['HYPERSWEEP_TRIAL']}", "w").close()
    sys.exit(143)

signal.signal(signal.SIGTERM, terminated)
open(f"started-{os.environ['HYPERSWEEP_TRIAL']}-{os.getpid()}", "w").close()
point = {"key": "loss", "value": float(flags["lr"]), "timestamp": int(time.time() * 1000), "step": 0}
body = json.dumps({"run_id": os.environ["MLFLOW_RUN_ID"], **point}).encode()
address = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric"
request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
then = flags.get("then", "end")
if os.path.exists("go"):
    then = "end"
if then == "crash":
    raise ValueError("the data are not there")
if then == "hang":
    time.sleep(300)
urllib.request.urlopen(request, timeout=20).read()
'''


class Folder:
    """Where a person runs `hypersweep run`."""

    def __init__(self, path: Path, uri: str) -> None:
        self.path, self.uri, self.name = path, uri, path.name.replace("_", "-")
        (path / "trial.py").write_text(TRIAL)
        self._running: list[subprocess.Popen[str]] = []

    def arguments(self, *options: str, then: str = "end", trials: int = 3) -> list[str]:
        """The command line of a sweep over `lr` whose trials `then` end, crash or hang."""
        space = ["--param", "lr=0.1..0.9", "--minimize", "loss", "--strategy", "Random", "--trials", str(trials)]
        script = [sys.executable, "trial.py"] + ([f"--then={then}"] if then != "end" else [])
        return ["run", *space, "--tracking-uri", self.uri, "--name", self.name, *options, "--", *script]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`hypersweep …`, running."""
        process = subprocess.Popen(
            [sys.executable, "-m", "hypersweep.cli.main", *arguments],
            cwd=self.path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "200"},
        )
        self._running.append(process)
        return process

    def run(self, *arguments: str, seconds: float = 120) -> tuple[int, str]:
        """`hypersweep …` to its end: exit code and what it printed."""
        process = self.start(*arguments)
        out, _ = process.communicate(timeout=seconds)
        return process.returncode, out

    def started(self) -> list[str]:
        """Trials that began, one entry for each process."""
        return sorted(p.name.split("-")[1] for p in self.path.glob("started-*"))

    def pids(self) -> list[int]:
        return [int(p.name.split("-")[2]) for p in self.path.glob("started-*")]

    def end(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()


@pytest.fixture
def folder(tmp_path: Path, mlflow_server: str) -> Iterator[Folder]:
    """An empty folder and a tracking server."""
    found = Folder(tmp_path, mlflow_server)
    yield found
    found.end()
