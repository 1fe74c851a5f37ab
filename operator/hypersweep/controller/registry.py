"""The sweeps that have a loop: one asyncio task per object UID, begun and ended by what the API server says exists.

Owns the tasks and the newest copy of each object; knows neither kopf nor how a sweep is run.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from hypersweep.controller import logs
from hypersweep.controller.metrics import SWEEPS

log = logging.getLogger(__name__)

Object = Mapping[str, Any]
STUCK_AFTER = 300.0  # seconds without a finished look, before the process should be restarted
_RESTART_DELAY = 5.0


class Runner(Protocol):
    """A sweep being run."""

    wake: asyncio.Event
    progressed: float

    async def run(self) -> None: ...


class Registry:
    """Tasks by UID."""

    def __init__(self, start: Callable[[Object], tuple[Runner, Callable[[Object], bool]]]) -> None:
        """`start(object)` makes a runner and a function that hands it newer copies: true when they are worth a wake."""
        self._start = start
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runners: dict[str, Runner] = {}
        self._update: dict[str, Callable[[Object], bool]] = {}
        self._names: dict[str, str] = {}
        self._closed = False

    def seen(self, body: Object) -> None:
        """The object exists, in this version."""
        meta = body["metadata"]
        uid = meta["uid"]
        if self._closed or meta.get("deletionTimestamp"):
            self.gone(uid)
        elif uid in self._tasks:
            if self._update[uid](body):
                self._runners[uid].wake.set()
        else:
            self._begin(uid, body)

    def gone(self, uid: str) -> None:
        """The object does not exist (any more)."""
        task = self._tasks.pop(uid, None)
        if task is not None:
            log.info("the sweep is gone", extra={"resource": self._names.get(uid)})
            task.cancel()
        for kept in (self._runners, self._update, self._names):
            kept.pop(uid, None)
        SWEEPS.set(len(self._tasks))

    def resync(self, bodies: list[Object], *, namespaces: frozenset[str] | None) -> None:
        """Everything that exists in these namespaces (None: in all): whatever else we run there is gone."""
        for body in bodies:
            self.seen(body)
        existing = {b["metadata"]["uid"] for b in bodies}
        for uid, name in list(self._names.items()):
            if uid not in existing and (namespaces is None or name.split("/")[0] in namespaces):
                self.gone(uid)

    def wake(self, uid: str) -> None:
        """Something about this sweep's Jobs changed."""
        runner = self._runners.get(uid)
        if runner is not None:
            runner.wake.set()

    def alive(self, uid: str) -> bool:
        return uid in self._tasks

    def stuck(self) -> list[str]:
        """Sweeps whose loop has not finished a look for long."""
        now = time.time()
        return [self._names[uid] for uid, r in self._runners.items() if now - r.progressed > STUCK_AFTER]

    async def close(self) -> None:
        """End every task."""
        self._closed = True
        tasks = list(self._tasks.values())
        for uid in list(self._tasks):
            self.gone(uid)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, uid: str, body: Object) -> None:
        meta = body["metadata"]
        self._names[uid] = f"{meta['namespace']}/{meta['name']}"
        self._runners[uid], self._update[uid] = self._start(body)
        self._tasks[uid] = asyncio.create_task(self._keep_running(uid), name=self._names[uid])
        SWEEPS.set(len(self._tasks))

    async def _keep_running(self, uid: str) -> None:
        """A loop that dies of a mistake of ours is begun again: one broken sweep must not stop the others.

        Nor is it stuck: a new process would die of the same, and with it the loops of all others.
        """
        logs.sweep.set(self._names[uid])
        runner = self._runners[uid]
        while True:
            try:
                await runner.run()
                return
            except Exception:
                log.exception("the loop failed; it starts again in %s s", _RESTART_DELAY)
                runner.progressed = time.time()
                await asyncio.sleep(_RESTART_DELAY)
