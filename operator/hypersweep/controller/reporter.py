"""The report on a sweep that has ended, an errand like others (`errand.py`).

The analysis is done in one thread of the process, one report at a time, so that many ends at once take neither the loop nor
the threads in which trials are proposed. Writing a report twice changes nothing.
"""

import asyncio
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hypersweep.controller.book import Book
from hypersweep.controller.errand import PENDING, Errand, Said
from hypersweep.core.errors import TrackingError
from hypersweep.core.range_test import is_range_test
from hypersweep.core.snapshot import Ending
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Trial
from hypersweep.tracking.ledger import Ledger
from hypersweep.tracking.reports import publish
from hypersweep.tracking.worker import Worker

if TYPE_CHECKING:
    from hypersweep.core.analysis.files import Files

WRITTEN, NOT_WRITTEN = "Written", "NotWritten"
ELSEWHERE = "`hypersweep analyze` says the same"


class Reporter(Errand):
    """One sweep's report."""

    field = "report"
    pauses = (2.0, 10.0, 30.0)

    def owed(self, spec: SweepSpec, ending: Ending) -> Said:  # noqa: ARG002
        return {"state": PENDING}

    async def do(self, spec: SweepSpec, ledger: Ledger, book: Book) -> Said:
        trials = [*book.history, *(t for t in book.open.values() if not is_range_test(t.index))]
        best = [*book.tally.leaders.top, *book.tally.leaders.front]
        work = functools.partial(_files, spec, trials, title=ledger.identity.sweep, best=best)
        made = await asyncio.wrap_future(_analyst().submit(work))
        done = await publish(ledger.store, ledger.parent.run, files=made.texts, note=made.note)
        return {"state": WRITTEN, "path": done.where} if done.where else _not_written(done.reason)

    def failed(self, error: Exception) -> Said:
        return _not_written(str(error) if isinstance(error, TrackingError) else f"{type(error).__name__}: {error}")


def _not_written(reason: str) -> Said:
    return {"state": NOT_WRITTEN, "message": f"{reason}; {ELSEWHERE}"}


def _files(spec: SweepSpec, trials: Sequence[Trial], *, title: str, best: Sequence[Trial]) -> "Files":
    from hypersweep.core.analysis.files import files  # noqa: PLC0415  (scipy takes a second, and the operator may do without)

    return files(spec, trials, title=title, best=best)


@functools.cache
def _analyst() -> Worker:
    """The process's one thread for reports."""
    return Worker("report")
