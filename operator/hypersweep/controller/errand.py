"""What is owed once a sweep's end is in the ledger: whether it is, when it is tried again, and what the status says of it.

The end comes first: it is in the ledger before anything is owed, and no errand can undo or delay it. What is owed is in the
status, so a new process takes it up; whoever does the errand sees to it that doing it twice changes nothing.
"""

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar

from hypersweep.controller.book import Book
from hypersweep.controller.host import Host
from hypersweep.controller.keeper import Keeper
from hypersweep.core.aim import Aim
from hypersweep.core.errors import TrackingError, TrackingNotFound, TrackingRefused, TrackingUnavailable
from hypersweep.core.snapshot import Ending
from hypersweep.core.spec import SweepSpec
from hypersweep.tracking.ledger import Ledger

log = logging.getLogger(__name__)

Said = Mapping[str, Any]

PENDING = "Pending"
LONGEST = 300.0  # seconds for one try


class Errand(ABC):
    """One errand of one sweep. `status`: what the sweep's status says of it, in `field`; empty: none is owed."""

    field: ClassVar[str]
    pauses: ClassVar[Sequence[float]]  # seconds between two tries; after the last one it is given up

    def __init__(self, host: Host, *, clock: Callable[[], float]) -> None:
        self.status: Said = {}
        self._host, self._clock = host, clock
        self._tries = 0
        self._due = math.inf

    # ---- what an errand is -------------------------------------------------------------------------------------------

    @abstractmethod
    def owed(self, spec: SweepSpec, ending: Ending) -> Said:
        """What the status says at first; empty: a sweep with this spec and end owes nothing."""

    @abstractmethod
    async def do(self, spec: SweepSpec, ledger: Ledger, book: Book) -> Said:
        """One try: what the status then says. TrackingUnavailable, TimeoutError: it is tried again."""

    @abstractmethod
    def failed(self, error: Exception) -> Said:
        """What the status says once it is given up for this error."""

    # ---- when it is done -----------------------------------------------------------------------------------------------

    @property
    def settled(self) -> bool:
        """Whether there is nothing left to do."""
        return self.status.get("state") != PENDING

    def begin(self, status: Said, *, ended: bool, now: float) -> None:
        """A new generation. Of one that ended before, the sweep's status said what became of the errand."""
        said: Said = status.get(self.field) or {}
        self.status, self._tries = dict(said) if ended else {}, 0
        self._due = math.inf if self.settled else now

    def owe(self, spec: SweepSpec, ending: Ending, now: float) -> None:
        """The sweep's end is in the ledger."""
        self.status, self._tries = self.owed(spec, ending), 0
        self._due = math.inf if self.settled else now

    def due(self, now: float) -> float:
        """Seconds until it should be tried; infinite while it is, or when nothing is owed."""
        return self._due - now

    def attempt(self, spec: SweepSpec, keeper: Keeper) -> Coroutine[None, None, None]:
        """One try, to be awaited. It raises nothing: what went wrong is in the status, or it is tried again."""
        self._due = math.inf
        return self._attempt(spec, keeper, self.status)

    async def _attempt(self, spec: SweepSpec, keeper: Keeper, owed: Said) -> None:
        try:
            async with asyncio.timeout(LONGEST):
                said = await self.do(spec, *await self._opened(spec, keeper))
        except TrackingRefused as error:
            said = self.failed(error)
        except TrackingError as error:
            said = self._again(error)
        except TimeoutError:
            said = self._again(TrackingUnavailable(f"it took more than {LONGEST:g} s"))
        except Exception as error:
            log.exception("%s could not be done", self.field)
            said = self.failed(error)
        if self.status is not owed:  # the sweep goes on, or has ended anew
            return
        self.status = said
        if not self.settled:
            self._due = self._clock() + self.pauses[self._tries - 1]
        log.info("%s: %s %s", self.field, said["state"], said.get("message", ""))

    async def _opened(self, spec: SweepSpec, keeper: Keeper) -> tuple[Ledger, Book]:
        """The sweep's ledger and trials: the keeper's, or, if this process came after the end, read anew."""
        ledger, book = keeper.ledger, keeper.book
        if ledger is None or book is None or not book.loaded:
            ledger, book = self._host.ledger(spec), Book(Aim.of(spec))
            if await ledger.find() is None:
                raise TrackingNotFound("the sweep's own run is gone from MLflow")
            book.load(await ledger.history(), started=ledger.parent.started)
        return ledger, book

    def _again(self, error: TrackingError) -> Said:
        self._tries += 1
        if self._tries > len(self.pauses):
            return self.failed(error)
        return {**self.status, "state": PENDING, "message": str(error)}


class Errands:
    """All that one sweep owes at its end."""

    def __init__(self, *each: Errand) -> None:
        self.each = each

    @property
    def settled(self) -> bool:
        return all(errand.settled for errand in self.each)

    @property
    def told(self) -> Mapping[str, Said]:
        """What the status says of them, by its field; without those that are not owed."""
        return {errand.field: errand.status for errand in self.each if errand.status}

    def begin(self, status: Said, *, ended: bool, now: float) -> None:
        """A new generation; `status` is the sweep's whole one."""
        for errand in self.each:
            errand.begin(status, ended=ended, now=now)

    def owe(self, spec: SweepSpec, ending: Ending, now: float) -> None:
        """The sweep's end is in the ledger."""
        for errand in self.each:
            errand.owe(spec, ending, now)
