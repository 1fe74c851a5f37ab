"""Where results go: printed always, and to MLflow if there is a server.

Owns the queue of results that the server has not taken yet. Refuses to let a server stop a training: what can't be
sent now is kept and sent later, and only after the last epoch is it waited for, with a bound. Imports mlflow (2 to
4 s) only where there is a server, at the first result.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hypersweep_trainer.exits import ExitCode, Interrupted, UndeliveredError
from hypersweep_trainer.settings import Settings, spelled

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

Metrics = dict[str, float]

UNPRINTED = ("seconds_", "memory_mb")  # logged all the same

# Answers that no waiting will change, by MLflow's error codes.
FINAL_ANSWERS = {"RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED", "UNAUTHENTICATED", "ENDPOINT_NOT_FOUND"}


class Tracker:
    """Prints results, and remembers the last ones."""

    def __init__(self) -> None:
        """Start with nothing reported."""
        self.step = 0  # epochs completed
        self.metrics: Metrics = {}

    def log(self, metrics: Metrics, *, step: int) -> None:
        """Report the metrics of one epoch; never raises for a server's sake."""
        self.step, self.metrics = step, metrics
        shown = {name: value for name, value in metrics.items() if not name.startswith(UNPRINTED)}
        print(f"epoch {step}:", *(f"{name}={value:.6g}" for name, value in shown.items()), flush=True)

    def log_step(self, metrics: Metrics, *, step: int) -> None:
        """Report values of one step of the optimizer, `step` of them since the start; not printed."""

    def log_baselines(self, metrics: Metrics) -> None:
        """Report what the results must beat, before the first epoch."""
        if metrics:
            print("baselines:", *(f"{name.removeprefix('baseline_')}={value:.6g}" for name, value in metrics.items()))

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
    """Sends results to one MLflow run: the prepared one, left open at the end, or one of its own.

    One request per epoch; after a failure the next is put off, for twice as long each time (5 s to 60 s).
    """

    def __init__(self, *, run_id: str | None, params: Mapping[str, object]) -> None:
        """Log to the prepared run `run_id`, else to a new one, which gets the `params` that it does not have yet."""
        super().__init__()
        self.run_id = run_id
        self._owned = run_id is None
        self._params: Mapping[str, object] | None = params  # None once sent
        self._unsent: list[tuple[int, int, Metrics]] = []  # step, milliseconds since the epoch of Unix, metrics
        self._client: MlflowClient | None = None
        self._pause = 5.0
        self._not_before = 0.0
        self._error = ""
        self._refused = False  # an answer that no waiting will change

    def log(self, metrics: Metrics, *, step: int) -> None:
        """Print, queue, and send unless the server failed a moment ago."""
        super().log(metrics, step=step)
        self._unsent.append((step, time.time_ns() // 1_000_000, metrics))
        if time.monotonic() >= self._not_before:
            self._attempt(self._send)

    def log_step(self, metrics: Metrics, *, step: int) -> None:
        """Queue; it goes with the epoch."""
        self._unsent.append((step, time.time_ns() // 1_000_000, metrics))

    def log_baselines(self, metrics: Metrics) -> None:
        """Print and queue, as step 0."""
        super().log_baselines(metrics)
        self.log_step(metrics, step=0)

    def state(self) -> dict[str, Any]:
        """The run and what it has not received, so that neither is lost with the process."""
        return super().state() | {"run_id": self.run_id, "owned": self._owned, "unsent": list(self._unsent)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on in the earlier attempt's own run, unless another was prepared for this one."""
        super().restore(state)
        if self._owned:
            self.run_id = state.get("run_id")
        self._unsent = [(step, when, dict(metrics)) for step, when, metrics in state.get("unsent", ())]

    def deliver(self, *, patience: float, interrupted: Callable[[], bool]) -> None:
        """Send what is left, trying again for `patience` seconds."""
        deadline = time.monotonic() + patience
        wait = 1.0
        while self._left() and not self._attempt(self._send):
            again = time.monotonic() + wait
            if self._refused or again > deadline:
                raise UndeliveredError(f"MLflow did not take the results: {self._error}")
            while time.monotonic() < again:
                if interrupted():
                    raise Interrupted("asked to stop while waiting for the tracking server")
                time.sleep(0.2)
            wait = min(2 * wait, 15.0)

    def close(self, code: ExitCode) -> None:
        """Send what is left, once, and end an own run. A prepared run belongs to whoever prepared it."""
        # Interrupted: time is short, and the checkpoint has what is left. Undelivered: it was tried long enough.
        if self._left() and code not in (ExitCode.INTERRUPTED, ExitCode.UNDELIVERED):
            self._attempt(self._send)
        if self._owned and self.run_id is not None and not self._left():
            status = {ExitCode.DONE: "FINISHED", ExitCode.INTERRUPTED: "KILLED"}.get(code, "FAILED")
            self._attempt(lambda: self._connected().set_terminated(self.run_id or "", status=status))

    def _left(self) -> bool:
        return bool(self._unsent) or self._params is not None

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Do one thing with the server; a failure is warned of, and puts off the next automatic try."""
        try:
            action()
        except Exception as error:  # noqa: BLE001  # its own, urllib3's, SQLAlchemy's: training goes on
            before, self._error = self._error, f"{type(error).__name__}: {error}"[:500]
            self._refused = getattr(error, "error_code", None) in FINAL_ANSWERS
            self._not_before = math.inf if self._refused else time.monotonic() + self._pause
            self._pause = min(2 * self._pause, 60.0)
            if self._error != before:  # once per cause: a wait for the server repeats it
                log.warning("MLflow: %s (results are kept and sent later)", self._error)
            return False
        self._pause, self._not_before, self._error = 5.0, 0.0, ""
        return True

    def _send(self) -> None:
        from mlflow.entities import Metric, Param

        client = self._connected()
        if self.run_id is None:
            self.run_id = client.create_run(self._experiment(client), run_name="hypersweep_trainer").info.run_id
        params: list[Param] = []
        if self._params is not None:
            present = client.get_run(self.run_id).data.params  # a param can't be written twice with another spelling
            params = [Param(name, spelled(value)) for name, value in self._params.items() if name not in present]
        metrics = [
            Metric(name, value, when, step) for step, when, values in self._unsent for name, value in values.items()
        ]
        client.log_batch(self.run_id, metrics=metrics, params=params)
        self._unsent.clear()
        self._params = None

    def _connected(self) -> MlflowClient:
        if self._client is None:
            from mlflow import MlflowClient

            self._client = MlflowClient()
        return self._client

    @staticmethod
    def _experiment(client: MlflowClient) -> str:
        """The experiment that the environment names, by MLflow's own variables; else MLflow's default one."""
        if given := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return given
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default")
        found = client.get_experiment_by_name(name)
        return str(found.experiment_id if found else client.create_experiment(name))


def open_tracker(settings: Settings, environ: Mapping[str, str]) -> Tracker:
    """The tracker that the environment asks for: MLflow where MLFLOW_TRACKING_URI is set."""
    if not environ.get("MLFLOW_TRACKING_URI"):
        return Tracker()
    return MlflowTracker(run_id=environ.get("MLFLOW_RUN_ID") or None, params=settings.model_dump())
