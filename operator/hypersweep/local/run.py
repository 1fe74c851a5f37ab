"""`hypersweep run`: a sweep on this machine, by the controller's own loop.

Owns the host of that loop on a laptop: the spec from a file, MLflow on SQLite (migrated before trial 0), one run of a sweep
at a time in its folder. Running it again continues where it was.
"""

import asyncio
import fcntl
import signal
import socket
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from hypersweep import __version__
from hypersweep.controller.host import Source
from hypersweep.controller.loop import SweepLoop
from hypersweep.core.errors import HyperSweepError
from hypersweep.core.events import Event
from hypersweep.core.spec import SweepSpec
from hypersweep.local.display import Display
from hypersweep.local.world import LocalWorld
from hypersweep.tracking.client import ClientStore
from hypersweep.tracking.ledger import Identity, Ledger, Owner, search_hash

INTERRUPTED = 130


class AlreadyRunning(HyperSweepError):  # noqa: N818
    """Another `hypersweep run` of the same sweep is at work in the same folder."""


class LocalHost:
    """What the loop asks of its surroundings, answered from a file and a folder."""

    ui = ""

    def __init__(self, *, name: str, spec: SweepSpec, store: ClientStore, folder: Path, display: Display) -> None:
        self.name, self.spec, self.store, self.display = name, spec, store, display
        self.trial_uri = store.uri
        self.owner = Owner(operator=f"{socket.gethostname()}:{folder.resolve()}", sweep=str(uuid.uuid4()))
        self.identity = Identity(
            sweep=spec.tracking.sweep or name, search=search_hash(spec), experiment=spec.tracking.experiment or name
        )
        self._status: Mapping[str, Any] = {}
        self.loop: SweepLoop | None = None
        self.world = LocalWorld(
            spec=lambda: self.spec,
            name=name,
            search=self.identity.search,
            folder=folder,
            wake=self._wake,
            report=self._report,
        )

    def source(self) -> Source:
        return Source(generation=1, status=self._status)

    def admit(self) -> SweepSpec:
        return self.spec

    def ledger(self, spec: SweepSpec) -> Ledger:  # noqa: ARG002
        return Ledger(self.store, self.identity, lineage={"hypersweep.version": __version__})

    def alive(self, uid: str) -> bool:  # noqa: ARG002  (the folder's lock says that nobody else is)
        return False

    def _wake(self) -> None:
        if self.loop is not None:
            self.loop.wake.set()

    def _report(self, status: Mapping[str, Any], events: Sequence[Event]) -> None:
        self._status = status
        for event in events:
            self.display.tell(event)


async def run(*, name: str, spec: SweepSpec, uri: str, folder: Path, display: Display) -> int:
    """Run the sweep to its end. Exit code: 0 complete, 1 failed, 130 interrupted (run it again to continue)."""
    with _only_one(folder):
        store = ClientStore(uri)
        await store.migrate()
        host = LocalHost(name=name, spec=spec, store=store, folder=folder, display=display)
        host.loop = SweepLoop(host)
        try:
            return await _until_end(host, host.loop, display)
        finally:
            await host.world.close()
            await store.close()


async def _until_end(host: LocalHost, loop: SweepLoop, display: Display) -> int:
    task = asyncio.create_task(loop.run(once=True))
    running = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        running.add_signal_handler(sign, task.cancel)
    with display.live(loop, host):
        try:
            await task
        except asyncio.CancelledError:
            display.interrupted(loop)
            return INTERRUPTED
    display.final(loop, host)
    ending = loop.decision.ending if loop.decision else None
    return 0 if ending is not None and ending.complete else 1


class _only_one:  # noqa: N801  (a context manager)
    """A lock on the folder: two runs of one sweep would launch each trial twice."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise AlreadyRunning(f"this sweep is running already: {self._path} is locked by another process") from None

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
