"""Sends the journal to MLflow, in a thread of its own: a training never waits for a server.

Owns when something is tried: at most once a second, and after a failure after 5 to 60 s, twice as long each time.
Refuses to give up while the process lives, except after an answer that no waiting will change.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from hypersweep_trainer.exits import Interrupted, UndeliveredError
from hypersweep_trainer.journal import Journal
from hypersweep_trainer.run import Run

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between requests: what comes in between goes together
POINTS = 1000  # MLflow's limit of one request
LOOK = 0.1  # seconds between looks at whether the process is asked to stop
# Answers that no waiting will change, by MLflow's error codes.
FINAL_ANSWERS = {"RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED", "UNAUTHENTICATED", "ENDPOINT_NOT_FOUND"}


class Sender:
    """One thread that empties one journal into one run."""

    def __init__(self, journal: Journal, run: Run) -> None:
        """Begin at once, with what an earlier attempt left."""
        self.error = ""  # of the last try; empty when it went well
        self.refused = False  # an answer that no waiting will change
        self._journal, self._run = journal, run
        self._changed = threading.Condition()
        self._tries = 0
        self._urgent = self._closed = False
        self._pause, self._not_before = 5.0, 0.0
        # A daemon: a request that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something new in the journal."""
        with self._changed:
            self._changed.notify_all()

    def deliver(self, *, patience: float, interrupted: Callable[[], bool]) -> None:
        """Wait until all is sent, trying again for `patience` seconds. Raises UndeliveredError, or Interrupted."""
        deadline, wait = time.monotonic() + patience, 1.0
        while len(self._journal):
            self._try_now(interrupted)
            if not self.error:
                continue
            again = time.monotonic() + wait
            if self.refused or again > deadline:
                raise UndeliveredError(f"MLflow did not take the results: {self.error}")
            while time.monotonic() < again:
                _leave_if(interrupted)
                time.sleep(LOOK)
            wait = min(2 * wait, 15.0)

    def flush(self, *, seconds: float) -> bool:
        """Try to send what is left, once, for at most so long: whether all is sent."""
        deadline = time.monotonic() + seconds
        try:
            while len(self._journal):
                self._try_now(lambda: time.monotonic() > deadline)
                if self.error:
                    return False
        except Interrupted:
            return False
        return True

    def close(self) -> None:
        """End the thread, at the latest when its request has an answer; not waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _try_now(self, interrupted: Callable[[], bool]) -> None:
        """Have the thread try without further delay, and wait for the end of that try."""
        with self._changed:
            before, self._urgent = self._tries, True
            self._changed.notify_all()
            while self._tries == before:
                _leave_if(interrupted)
                self._changed.wait(LOOK)

    def _work(self) -> None:
        while self._await_turn():
            self._attempt()
            with self._changed:
                self._tries += 1
                self._urgent = False  # who waited for a try has had one
                self._changed.notify_all()

    def _await_turn(self) -> bool:
        """Wait until there is something to send and time to try it; False once closed."""
        with self._changed:
            while not self._closed:
                left = self._not_before - time.monotonic()
                if self._urgent or (len(self._journal) and left <= 0):
                    return True
                self._changed.wait(left if len(self._journal) and left < math.inf else None)
            return False

    def _attempt(self) -> None:
        """Send all there is; a failure is warned of, and puts off the next try."""
        try:
            self._journal.sync()
            self._journal.belongs_to(self._run.open())
            while entries := self._journal.first(POINTS):
                self._run.write(entries)
                self._journal.taken(len(entries))
        except Exception as error:  # noqa: BLE001  # its own, urllib3's, SQLAlchemy's: training goes on
            before, self.error = self.error, f"{type(error).__name__}: {error}"[:500]
            self.refused = getattr(error, "error_code", None) in FINAL_ANSWERS
            self._not_before = math.inf if self.refused else time.monotonic() + self._pause
            self._pause = min(2 * self._pause, 60.0)
            if self.error != before:  # once per cause: a wait for the server repeats it
                log.warning("MLflow: %s (results are kept and sent later)", self.error)
        else:
            self._pause, self.error, self.refused = 5.0, "", False
            self._not_before = time.monotonic() + INTERVAL


def _leave_if(interrupted: Callable[[], bool]) -> None:
    if interrupted():
        raise Interrupted("asked to stop while waiting for the tracking server")
