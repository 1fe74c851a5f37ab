"""Where results go: printed always, and to MLflow if there is a server.

Owns what is reported and when. A result is written to a journal first (`journal.py`), and sent from there by a thread
(`sender.py`), so that neither a slow server nor one that is away costs a training anything. Only after the last epoch is
the server waited for, with a bound.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from hypersweep_trainer.events import TAG, Event
from hypersweep_trainer.exits import ExitCode
from hypersweep_trainer.journal import Entry, Journal, Kind
from hypersweep_trainer.machine_load import MachineLoad
from hypersweep_trainer.options import Job
from hypersweep_trainer.run import Run
from hypersweep_trainer.sender import Sender
from hypersweep_trainer.settings import MAY_CHANGE

log = logging.getLogger(__name__)

Metrics = dict[str, float]

UNPRINTED = ("seconds_", "memory_mb", "weights")  # logged all the same

FLUSH_SECONDS = 5.0  # when interrupted: a part of Kubernetes' grace period of 30 s
LAST_SECONDS = 15.0  # after any other early end
STATUS = {  # of an own run
    ExitCode.DONE: "FINISHED",
    ExitCode.UNDELIVERED: "FINISHED",  # read when it is delivered after all
    ExitCode.INTERRUPTED: "KILLED",
}


class Listener:
    """Hears of results as they are reported."""

    def log(self, metrics: Metrics, *, step: int) -> None:
        """Of one epoch; `step` of them are completed."""

    def log_step(self, metrics: Metrics, *, step: int) -> None:
        """Of one step of the optimizer, `step` of them since the start."""

    def log_event(self, event: Event) -> None:
        """Of something that goes wrong."""


class Tracker(Listener):
    """Prints results, remembers the last ones, and passes them on."""

    directory: Path | None = None  # for files that wait to be sent; None: nobody keeps what `log_file` is given

    def __init__(self, *, aloud: bool = True) -> None:
        """Start with nothing reported. Not `aloud`: print nothing."""
        self.aloud = aloud
        self.step = 0  # epochs completed
        self.metrics: Metrics = {}
        self.listeners: list[Listener] = []

    def begin(self, directory: Path | None) -> None:
        """The training starts, or goes on; `directory` is kept between its attempts."""

    def describe(self, details: Mapping[str, Any]) -> None:
        """Report what the results rest on: see `fingerprint.details`."""

    def log_params(self, params: Mapping[str, object]) -> None:
        """Keep what was decided while training, beside the settings."""

    def log_file(self, path: Path, folder: str = "") -> None:
        """Keep a file or folder with the results; it must stay until the process ends."""

    def log(self, metrics: Metrics, *, step: int) -> None:
        """Report the metrics of one epoch; never raises for a server's sake."""
        self.step, self.metrics = step, metrics
        if self.aloud:
            shown = {name: value for name, value in metrics.items() if not name.startswith(UNPRINTED)}
            print(f"epoch {step}:", *(f"{name}={value:.6g}" for name, value in shown.items()), flush=True)
        for listener in self.listeners:
            listener.log(metrics, step=step)

    def log_step(self, metrics: Metrics, *, step: int) -> None:
        """Report values of one step of the optimizer, `step` of them since the start; not printed."""
        for listener in self.listeners:
            listener.log_step(metrics, step=step)

    def log_event(self, event: Event) -> None:
        """Report what goes wrong, and what to try: in the log, and wherever results go."""
        log.warning("%s, %s", event.name, event.text)
        for listener in self.listeners:
            listener.log_event(event)

    def log_baselines(self, metrics: Metrics) -> None:
        """Report what the results must beat, before the first epoch."""
        if metrics:
            print("baselines:", *(f"{name.removeprefix('baseline_')}={value:.6g}" for name, value in metrics.items()))
        for listener in self.listeners:
            listener.log_step(metrics, step=0)

    def state(self) -> dict[str, Any]:
        """What a later attempt needs to go on reporting: plain values, part of a checkpoint."""
        return {"step": self.step, "metrics": self.metrics}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over from the attempt that left `state`."""
        self.step, self.metrics = state["step"], dict(state["metrics"])

    def deliver(self, *, patience: float, interrupted: Callable[[], bool]) -> None:
        """Wait up to `patience` seconds until everything is sent. Raises UndeliveredError, or Interrupted."""

    def close(self, code: ExitCode) -> None:
        """The process ends with `code`."""


class MlflowTracker(Tracker):
    """Reports to one MLflow run: the prepared one, left open at the end, or one of its own."""

    def __init__(self, *, run_id: str | None, params: Mapping[str, object]) -> None:
        """Log to the prepared run `run_id`, else to a new one, which gets the `params` that it does not have yet."""
        super().__init__()
        self.run_id = run_id
        self._params = params
        self._journal: Journal | None = None
        self._sender: Sender | None = None
        self._temporary: Path | None = None
        self._load = MachineLoad()

    def begin(self, directory: Path | None) -> None:
        """Open the journal, in `directory` or a temporary one, and send what an earlier attempt left there."""
        if directory is None:
            self._temporary = directory = _temporary_directory()
        self.directory = directory
        lasting = {name: value for name, value in self._params.items() if name not in MAY_CHANGE}
        training = hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:16]
        self._journal = journal = Journal(directory, run=self.run_id, name=f"journal-{training}")
        run = Run(run_id=journal.run, owned=self.run_id is None, token=uuid4().hex, params=self._params)
        self._sender = Sender(journal, run)

    def describe(self, details: Mapping[str, Any]) -> None:
        """Once in all attempts."""
        self._keep("details", details)

    def log_params(self, params: Mapping[str, object]) -> None:
        """To the run's params, unless it has them."""
        self._keep("params", params)

    def log_file(self, path: Path, folder: str = "") -> None:
        """To the run's artifacts."""
        self._keep("file", {"path": str(path), "folder": folder})

    def log(self, metrics: Metrics, *, step: int) -> None:
        """Print and keep."""
        super().log(metrics, step=step)
        self._keep("epoch", metrics, step=step)
        self._sample()

    def log_step(self, metrics: Metrics, *, step: int) -> None:
        """Keep."""
        super().log_step(metrics, step=step)
        self._keep("step", metrics, step=step)
        self._sample()

    def log_event(self, event: Event) -> None:
        """Log, and keep as a tag of the run, which lists of runs show."""
        super().log_event(event)
        self._keep("tags", {f"{TAG}.{event.name}": event.text})

    def log_baselines(self, metrics: Metrics) -> None:
        """Print and keep, as step 0."""
        super().log_baselines(metrics)
        self._keep("start", metrics)

    def deliver(self, *, patience: float, interrupted: Callable[[], bool]) -> None:
        """Send what is left, trying again for `patience` seconds."""
        if self._sender:
            self._sender.deliver(patience=patience, interrupted=interrupted)

    def close(self, code: ExitCode) -> None:
        """End an own run, and give what is left a last chance. A prepared run belongs to whoever prepared it."""
        if self._journal is None or self._sender is None:
            return
        self._keep("end", {"status": STATUS.get(code, "FAILED")})
        tried_enough = code == ExitCode.UNDELIVERED
        seconds = FLUSH_SECONDS if code == ExitCode.INTERRUPTED else LAST_SECONDS
        sent = not tried_enough and self._sender.flush(seconds=seconds)
        self._sender.close()
        self._journal.sync()
        if sent and self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)
        elif not sent:
            place = f"they are in {self.directory}" if self.directory else "they are lost"
            log.warning("MLflow has not taken %d results; %s", len(self._journal), place)

    def _sample(self) -> None:
        if found := self._load.sample():
            self._keep("load", found, step=self._load.samples)

    def _keep(self, kind: Kind, content: Mapping[str, Any], *, step: int = 0) -> None:
        if self._journal is None or self._sender is None:
            raise RuntimeError("a tracker reports only after begin()")
        if content and self._journal.append(Entry(kind, step, time.time_ns() // 1_000_000, content)):
            self._sender.wake()


def _temporary_directory() -> Path | None:
    """A new directory, or None and a warning, where a container has no place that can be written."""
    try:
        return Path(tempfile.mkdtemp(prefix="hypersweep-journal-"))
    except OSError as error:
        log.warning(
            "nowhere to write (%s; mount a volume at /tmp, or set TMPDIR): until sent, results are in memory only; "
            "no reproduce.json and no final model are kept",
            error,
        )
        return None


def open_tracker(job: Job, environ: Mapping[str, str]) -> Tracker:
    """The tracker that the environment asks for: MLflow where MLFLOW_TRACKING_URI is set; of several processes, the first's."""
    if not environ.get("MLFLOW_TRACKING_URI") or job.rank > 0:
        return Tracker(aloud=job.rank == 0)
    return MlflowTracker(run_id=environ.get("MLFLOW_RUN_ID") or None, params=job.settings.model_dump())
