"""The report on a sweep that has ended: whether it is owed, when it is tried again, and what the status says of it.

The end comes first: it is in the ledger before a report is owed, and nothing about the report can undo or delay it. The work is
done in one thread of the process, one report at a time, so that many ends at once take neither the loop nor the threads in
which trials are proposed. What is owed is in the status, so a new process takes it up; writing it twice changes nothing.
"""

import asyncio
import functools
import logging
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING

from hypersweep.controller.book import Book
from hypersweep.controller.host import Host
from hypersweep.controller.keeper import Keeper
from hypersweep.core.aim import Aim
from hypersweep.core.errors import TrackingError, TrackingRefused
from hypersweep.core.range_test import is_range_test
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Trial
from hypersweep.tracking.reports import publish
from hypersweep.tracking.worker import Worker

if TYPE_CHECKING:
    from hypersweep.core.analysis.files import Files

log = logging.getLogger(__name__)

PENDING, WRITTEN, NOT_WRITTEN = "Pending", "Written", "NotWritten"
PAUSES = (2.0, 10.0, 30.0)  # seconds between two tries; after the last one it is given up
LONGEST = 300.0  # seconds for one try, its turn in the thread awaited
ELSEWHERE = "`hypersweep analyze` says the same"


class Reporter:
    """One sweep's report. `status`: what the sweep's status says of it; empty: none is owed."""

    def __init__(self, host: Host, *, clock: Callable[[], float]) -> None:
        self.status: Mapping[str, str] = {}
        self._host, self._clock = host, clock
        self._tries = 0
        self._due = math.inf

    @property
    def settled(self) -> bool:
        """Whether there is nothing left to do."""
        return self.status.get("state") != PENDING

    def begin(self, said: Mapping[str, str], *, ended: bool, now: float) -> None:
        """A new generation. Of one that ended before, its status said what became of the report."""
        self.status, self._tries = dict(said) if ended else {}, 0
        self._due = math.inf if self.settled else now

    def owe(self, now: float) -> None:
        """The sweep's end is in the ledger."""
        self.status, self._tries, self._due = {"state": PENDING}, 0, now

    def due(self, now: float) -> float:
        """Seconds until it should be tried; infinite while it is, or when nothing is owed."""
        return self._due - now

    def attempt(self, spec: SweepSpec, keeper: Keeper) -> Coroutine[None, None, None]:
        """One try, to be awaited. It raises nothing: what went wrong is in the status, or it is tried again."""
        self._due = math.inf
        return self._attempt(spec, keeper, self.status)

    async def _attempt(self, spec: SweepSpec, keeper: Keeper, owed: Mapping[str, str]) -> None:
        try:
            async with asyncio.timeout(LONGEST):
                said = await self._write(spec, keeper)
        except TrackingRefused as error:
            said = _not_written(str(error))
        except TrackingError as error:
            said = self._again(str(error))
        except TimeoutError:
            said = self._again(f"it took more than {LONGEST:g} s")
        except Exception as error:
            log.exception("the report could not be made")
            said = _not_written(f"{type(error).__name__}: {error}")
        if self.status is not owed:  # the sweep goes on, or has ended anew
            return
        self.status = said
        if not self.settled:
            self._due = self._clock() + PAUSES[self._tries - 1]
        log.info("the report: %s %s", said["state"], said.get("message", ""))

    async def _write(self, spec: SweepSpec, keeper: Keeper) -> Mapping[str, str]:
        ledger, book = keeper.ledger, keeper.book
        if ledger is None or book is None or not book.loaded:  # this process came after the end
            ledger, book = self._host.ledger(spec), Book(Aim.of(spec))
            if await ledger.find() is None:
                return _not_written("the sweep's own run is gone from MLflow")
            book.load(await ledger.history(), started=ledger.parent.started)
        trials = [*book.history, *(t for t in book.open.values() if not is_range_test(t.index))]
        best = [*book.tally.leaders.top, *book.tally.leaders.front]
        work = functools.partial(_files, spec, trials, title=ledger.identity.sweep, best=best)
        made = await asyncio.wrap_future(_analyst().submit(work))
        done = await publish(ledger.store, ledger.parent.run, files=made.texts, note=made.note)
        return {"state": WRITTEN, "path": done.where} if done.where else _not_written(done.reason)

    def _again(self, message: str) -> Mapping[str, str]:
        self._tries += 1
        if self._tries > len(PAUSES):
            return _not_written(message)
        return {"state": PENDING, "message": message}


def _not_written(reason: str) -> Mapping[str, str]:
    return {"state": NOT_WRITTEN, "message": f"{reason}; {ELSEWHERE}"}


def _files(spec: SweepSpec, trials: Sequence[Trial], *, title: str, best: Sequence[Trial]) -> "Files":
    from hypersweep.core.analysis.files import files  # noqa: PLC0415  (scipy takes a second, and the operator may do without)

    return files(spec, trials, title=title, best=best)


@functools.cache
def _analyst() -> Worker:
    """The process's one thread for reports."""
    return Worker("report")
