"""Keeps a sweep's ledger open, fresh and ours, and the book in step with it.

Owns the heartbeat, the health of tracking, and what is done when the ledger and the book disagree. Decides nothing: trouble
becomes a Fault that `decide` sees. Bounded: each request by its adapter, each repetition by back-off.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from hypersweep.controller import curves
from hypersweep.controller.backoff import Backoff
from hypersweep.controller.book import Book
from hypersweep.controller.host import Host
from hypersweep.core.aim import Aim
from hypersweep.core.errors import SpecError, TrackingError, TrackingNotFound
from hypersweep.core.range_test import is_range_test
from hypersweep.core.snapshot import Action, Ending, Fault, Judge
from hypersweep.core.spec import SweepSpec, seconds
from hypersweep.core.trial import Trial
from hypersweep.tracking import warm_start
from hypersweep.tracking.ledger import Ledger, Parent, owned_elsewhere

log = logging.getLogger(__name__)

HEARTBEAT = 60.0  # seconds
REFRESH = 60.0  # seconds between looks at the ledger's open trials
_LET_GO = 2.0  # seconds


class Keeper:
    """One sweep's ledger, in use."""

    def __init__(self, host: Host, *, busy: Mapping[int, Action], clock: Callable[[], float]) -> None:
        """`busy`: the actions under way, by trial; their trials are left alone."""
        self.ledger: Ledger | None = None
        self.parent: Parent | None = None
        self.book: Book | None = None  # None: the ledger was not read yet
        self.tracking: Fault | None = None  # MLflow is in trouble
        self.elsewhere: Fault | None = None  # the sweep is another's
        self.refused: Fault | None = None  # MLflow does not have what the spec asks for
        self.resumed = 0  # trials that had ended before this object came
        self._host, self._busy, self._clock = host, busy, clock
        self._backoff = Backoff()
        self._refreshed = self._beaten = 0.0
        self._pace = curves.Pace()
        self._reading = asyncio.Lock()
        self._begun = self._read = 0  # readings: the newest, and the newest that was not cut short; counted from 1
        self._closed = False
        self._noted = 0  # trials that had ended when progress was logged last

    def due(self, spec: SweepSpec, now: float) -> float:
        """Seconds until `keep` has something to do."""
        wait = self._backoff.wait("keep", now)
        if self.parent is None or self.tracking is not None or self.elsewhere is not None:
            return wait
        return max(wait, min(self._refreshed + self._refresh_every(spec), self._beaten + HEARTBEAT) - now)

    async def keep(self, spec: SweepSpec, now: float) -> None:
        """Open it once; then bring the book up to date and show that we are alive."""
        try:
            if self.parent is None or self.elsewhere is not None:
                await self._open(spec, now)
            elif self.tracking is not None or now - self._refreshed >= self._refresh_every(spec):
                await self.read(spec)
            if self.parent is not None and self.elsewhere is None and now - self._beaten >= HEARTBEAT:
                await self._beat(now)
                await self._note_progress()
        except TrackingNotFound as error:
            self.parent = None  # the sweep's own run is gone: it is opened anew
            self.failed(error)
        except TrackingError as error:
            self.failed(error)
        except SpecError as error:
            self.tracking, self.refused = None, Fault(reason="WarmStartRefused", message=str(error), since=now)
            self._backoff.tried("keep", now)
        else:
            self.tracking = None
            if self.elsewhere is None:
                self._backoff.forget("keep")
            else:
                self._backoff.tried("keep", now)

    def failed(self, error: TrackingError) -> None:
        """MLflow did not do what was asked: it is in trouble until it answers again."""
        now = self._clock()
        since = self.tracking.since if self.tracking is not None else now
        if self.tracking is None:
            log.warning("MLflow: %s", error)
        self.tracking = Fault(reason=type(error).__name__, message=str(error), since=since)
        self._backoff.tried("keep", now)

    def doubt(self) -> None:
        """Something about an open trial's run is not as the book says: look at once."""
        self._refreshed = 0.0

    def begin(self, *, ended: bool) -> None:
        """A new generation: a finished sweep that goes on has its parent run opened again."""
        if self._closed and not ended:
            self.parent = None
        self._closed = ended

    async def close(self, ending: Ending) -> bool:
        """Write the sweep's end to its parent run, before the status says so. False: not now."""
        if self._closed or self.ledger is None or self.book is None:
            return True
        tally = self.book.tally
        try:
            await self._note_progress()
            await self.ledger.finish(
                ending=ending,
                best=tally.best,
                counts=tally.counts,
                spent=self.book.spent,
                front=tally.leaders.front,
                now=self._clock(),
            )
            await self.ledger.release(self._host.owner)
        except TrackingError as error:
            self.failed(error)
            return False
        self._closed = True
        return True

    async def let_go(self) -> None:
        """Say that the sweep is free for others. Never waits for long."""
        if self.ledger is None or self.parent is None or self._closed or self.elsewhere is not None:
            return
        try:
            async with asyncio.timeout(_LET_GO):
                await self.ledger.release(self._host.owner)
        except (TrackingError, TimeoutError) as error:
            log.info("the heartbeat was not released: %s", error)

    # ---- opening -----------------------------------------------------------------------------------------------------

    async def _open(self, spec: SweepSpec, now: float) -> None:
        self.ledger = self.ledger or self._host.ledger(spec)
        parent = await self.ledger.open(now)
        message = owned_elsewhere(parent, self._host.owner, self._host.alive, now)
        if message is not None:
            self.elsewhere = Fault(reason="OwnedElsewhere", message=message, since=now)
            return
        if not await self._beat(now):
            return
        trials = await self.ledger.history(self._named_by_jobs())
        lessons = await warm_start.recall(self.ledger, spec, now=now)
        book = Book(Aim.of(spec))
        book.load(trials, started=parent.started, lessons=lessons)
        self.book, self.parent, self._refreshed = book, parent, now
        self.elsewhere = self.refused = None
        self.resumed = self._count_resumed(trials)
        log.info("the ledger is open", extra={"trials": len(trials), "experiment": parent.experiment})

    async def _beat(self, now: float) -> bool:
        """Show that the sweep is ours. False when another owner was faster."""
        assert self.ledger is not None  # noqa: S101
        parent = await self.ledger.heartbeat(self._host.owner, now)
        self._beaten = now
        if parent.owner == self._host.owner:
            return True
        self.elsewhere = Fault(reason="OwnedElsewhere", message=f"{parent.owner} took the sweep over", since=now)
        return False

    async def _note_progress(self) -> None:
        """Log the hypervolume of several objectives, with each heartbeat that finds more trials ended, and at the end."""
        if self.ledger is None or self.book is None or self.book.tally.ended == self._noted:
            return
        ended, leaders = self.book.tally.ended, self.book.tally.leaders
        if not leaders.front:
            return
        volume = await asyncio.to_thread(leaders.hypervolume)  # a large front takes a while
        if volume is not None and math.isfinite(volume):
            await self.ledger.progress(hypervolume=volume, ended=ended)
        self._noted = ended

    def _named_by_jobs(self) -> dict[int, str]:
        """Of duplicates, the run that a trial's Job logs to is the trial's."""
        return {attempt.trial: attempt.run for attempt in self._host.world.attempts() if attempt.run}

    def _count_resumed(self, trials: list[Trial]) -> int:
        """Ended trials that the ledger held before this object's status told of any."""
        said = (self._host.source().status.get("trials") or {}).get("resumed")
        ended = [t for t in trials if t.outcome.over and not is_range_test(t.index)]
        return int(said) if said is not None else len(ended)

    # ---- keeping the book in step ------------------------------------------------------------------------------------

    async def read(self, spec: SweepSpec) -> None:
        """Read the open trials, as they are from now on. Those who ask while one reads share the next reading."""
        asked = self._begun
        async with self._reading:
            if self._read <= asked:
                self._begun += 1
                await self._refresh(spec, self._clock())
                self._read = self._begun

    async def _refresh(self, spec: SweepSpec, now: float) -> None:
        """Compare the open trials with the ledger's: what it has of them counts, also where an answer was lost."""
        assert self.ledger is not None  # noqa: S101
        assert self.book is not None  # noqa: S101
        moving, settled = set(self._busy), set(self.book.open) - set(self._busy)
        ending = {index for index, action in self._busy.items() if isinstance(action, Judge)}
        runs = await self.ledger.unfinished(self._named_by_jobs())
        found = {trial.index: trial for trial, _ in runs}
        for index in settled:
            trial = self.book.open.get(index)
            if trial is None or index in self._busy:
                continue
            if index not in found:
                await self._settle(trial)
            elif found[index].run == trial.run:
                self.book.put(replace(trial, progress=found[index].progress))
        for index in found.keys() - moving - set(self._busy):
            if self.book.trial(index) is None:
                self.book.put(found[index])  # planned by us, though we were not told
            elif index in self.book.paused:
                self.book.put(found[index])  # promoted, likewise
            elif index not in self.book.open:
                self.book.reopen(found[index])  # likewise
        if spec.early_stopping is not None:
            judged = [(trial, run) for trial, run in runs if not is_range_test(trial.index)]
            self._pace.saw(await curves.look(self.ledger, self.book, spec, judged, ending=ending), now)
        self._refreshed = now

    async def _settle(self, trial: Trial) -> None:
        """A trial that is open here, and not in the ledger: committed or paused, though we were not told; or deleted."""
        assert self.ledger is not None  # noqa: S101
        assert self.book is not None  # noqa: S101
        try:
            there = await self.ledger.reread(trial)
        except TrackingNotFound:
            log.warning("the run was deleted from MLflow: its index is free again", extra={"trial": trial.index})
            self.book.drop(trial.index)
        else:
            if trial.index in self.book.open:
                self.book.take(there)

    def _refresh_every(self, spec: SweepSpec) -> float:
        patience = spec.trials.no_progress
        every = REFRESH if patience is None else max(1.0, min(REFRESH, seconds(patience) / 4))
        return every if spec.early_stopping is None else min(every, self._pace.period(spec))
