"""One sweep's loop: observe everything, decide, act, report, wait for a wake or the next deadline.

Level-triggered: no decision rests on an event or on memory that a restart would miss. The same loop runs a sweep in the
cluster and on a laptop. Owns the order of a look, the tasks under way, and back-off; the ledger is the keeper's.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial

from hypersweep.controller.act import Actor
from hypersweep.controller.backoff import Backoff
from hypersweep.controller.book import Book, snapshot
from hypersweep.controller.errand import Errand, Errands
from hypersweep.controller.host import Host, Nobody, Observer, Source
from hypersweep.controller.keeper import Keeper
from hypersweep.controller.registrar import Registrar
from hypersweep.controller.reporter import Reporter
from hypersweep.controller.world import TrackingTarget
from hypersweep.core import status as statuses
from hypersweep.core.aim import Aim
from hypersweep.core.conditions import ended
from hypersweep.core.decide import decide
from hypersweep.core.errors import (
    HyperSweepError,
    LaunchDelayed,
    LaunchRefused,
    SpecError,
    StrategyError,
    TrackingError,
    TrackingNotFound,
)
from hypersweep.core.events import Event, events
from hypersweep.core.snapshot import Action, Commit, Decision, Ending, Fault, Health, Remove
from hypersweep.core.spec import SweepSpec
from hypersweep.core.strategies import effective
from hypersweep.core.trial import Phase

log = logging.getLogger(__name__)

RESYNC = 60.0  # seconds: nothing waits for longer
REPORT_EVERY = 1.0  # seconds between two writes of the status


class SweepLoop:
    """Runs one sweep until it is cancelled, or, with `once`, until it is finished."""

    def __init__(self, host: Host, *, clock: Callable[[], float] = time.time, observer: Observer | None = None) -> None:
        self.host, self.clock = host, clock
        self.wake = asyncio.Event()
        self.spec: SweepSpec | None = None
        self.decision: Decision | None = None
        self.progressed = clock()  # when a look last ended: liveness
        self.on_look: Callable[[], None] = lambda: None  # for whoever shows progress
        self._busy: dict[int, Action] = {}
        self.keeper = Keeper(host, busy=self._busy, clock=clock)
        self.errands = Errands(Reporter(host, clock=clock), Registrar(host, clock=clock))
        self._keeping: asyncio.Task[None] | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._observer = observer or Nobody()
        self._generation: int | None = None
        self._effective: tuple[SweepSpec, int, tuple[str, str]] | None = (
            None  # the strategy at work, and why, when last told
        )
        self._refused: Fault | None = None
        self._ended: Ending | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._backoff = Backoff()
        self._suggesting = asyncio.Lock()
        self._reported = 0.0

    @property
    def book(self) -> Book | None:
        """What is known of the trials; None until the ledger was read."""
        return self.keeper.book

    async def run(self, *, once: bool = False) -> None:
        """Look, act and wait, until cancelled (or, with `once`, until finished and reported)."""
        try:
            while True:
                self.wake.clear()
                wait = await self.look()
                if once and self._is_over():
                    return
                await self._sleep(wait)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.keeper.let_go()

    def _is_over(self) -> bool:
        """Ended and reported; or hopeless, and nothing is left to wait for. (A cluster waits for another spec.)"""
        finished = self.decision is not None and self.decision.finished and self.errands.settled
        hopeless = self._refusal is not None and not self._is_working()
        return (finished or hopeless) and not self._tasks

    @property
    def _refusal(self) -> Fault | None:
        """What is wrong with the spec, its Job or its strategy, or what MLflow lacks of what the spec asks for."""
        return self._refused or self.keeper.refused

    def _is_working(self) -> bool:
        """Whether a trial runs, or has a result that the ledger does not have yet."""
        found = self.book.open if self.book is not None else {}
        attempts = self.host.world.attempts()
        return any(a.trial in found and (not a.phase.ended or a.phase is Phase.SUCCEEDED) for a in attempts)

    async def look(self) -> float:
        """One turn. Seconds until the next is due at the latest."""
        began = time.perf_counter()
        source, now = self.host.source(), self.clock()
        if source.generation != self._generation:
            await self._take_in(source)
        wait = await self._turn(source, self.spec, now) if self.spec else self._report_refusal(source, now)
        self.progressed = self.clock()
        self.on_look()
        self._observer.looked(time.perf_counter() - began)
        return wait

    async def _turn(self, source: Source, spec: SweepSpec, now: float) -> float:
        waits = [await self._keep(spec, now)] if self._ended is None else []
        book = self.keeper.book or Book(Aim.of(spec))
        health = Health(refused=self._refusal, tracking=self.keeper.tracking, elsewhere=self.keeper.elsewhere)
        seen = snapshot(book, spec, self.host.world.attempts(), busy=self._busy, ended=self._ended, health=health)
        decision = decide(seen, now)
        if decision.finished and decision.ending is not None and not await self.keeper.close(decision.ending):
            decision = replace(decision, finished=False, look_again=1.0)
        if decision.finished:
            if self._ended is None and book.loaded and decision.ending is not None:
                self.errands.owe(spec, decision.ending, now)
            self._ended = decision.ending  # terminal is terminal, for this generation
        self.decision = decision
        waits += [decision.look_again, *(self._start(action, now) for action in decision.actions)]
        waits += [self._run_errand(errand, spec, now) for errand in self.errands.each]
        if book.loaded or self._ended is None:
            waits.append(self._report(source, statuses.build(self._context(source), seen, decision, now), now))
        elif said := self.errands.told:
            waits.append(self._report(source, statuses.settle(source.status, said, source.generation, now), now))
        return max(0.02, min(waits))

    # ---- the spec ----------------------------------------------------------------------------------------------------

    async def _take_in(self, source: Source) -> None:
        """A generation that was not seen before: read it, check it, try trial 0 on the API server."""
        self._ended = ended(source.status, source.generation)
        self.keeper.begin(ended=self._ended is not None)
        self.errands.begin(source.status, ended=self._ended is not None, now=self.clock())
        try:
            self.spec = self.host.admit()
            self._refused = None
            if self._ended is None:
                await self.host.world.check()
        except SpecError as error:
            self._refused = Fault(reason="SpecRefused", message=str(error), since=self.clock())
        except LaunchRefused as error:
            self._refused = Fault(reason="JobRefused", message=str(error), since=self.clock())
        except LaunchDelayed as error:
            log.warning("the Job could not be checked yet: %s", error)
            return
        self._generation = source.generation

    def _report_refusal(self, source: Source, now: float) -> float:
        if self._refused is None:
            return 5.0
        status = statuses.refused(generation=source.generation, previous=source.status, fault=self._refused, now=now)
        return self._report(source, status, now)

    # ---- the ledger --------------------------------------------------------------------------------------------------

    async def _keep(self, spec: SweepSpec, now: float) -> float:
        """Have the ledger kept. Until it was read there is nothing else to do; later on, nobody waits for it."""
        wait = self.keeper.due(spec, now)
        if wait > 0:
            return wait
        if self.keeper.book is None:
            await self.keeper.keep(spec, now)
            return max(0.0, self.keeper.due(spec, now))
        if self._keeping is None or self._keeping.done():
            self._keeping = self._begin(self.keeper.keep(spec, now))
        return RESYNC

    def _run_errand(self, errand: Errand, spec: SweepSpec, now: float) -> float:
        """After the end, beside everything else, and nobody waits for it."""
        wait = errand.due(now)
        if wait <= 0:
            self._begin(errand.attempt(spec, self.keeper))
        return RESYNC if wait <= 0 else wait

    # ---- actions -----------------------------------------------------------------------------------------------------

    def _start(self, action: Action, now: float) -> float:
        """Begin an action as a task of its own, so that a slow one holds up no other trial. Seconds until it may be tried."""
        wait = self._backoff.wait(action, now)
        if wait > 0 or action.index in self._busy:
            return wait or RESYNC
        self._backoff.tried(action, now)
        self._busy[action.index] = action
        self._begin(self._perform(action))
        return RESYNC

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self.wake.set())
        return task

    async def _perform(self, action: Action) -> None:
        began = time.perf_counter()
        try:
            await self._act(action)
            if isinstance(action, Commit):
                self._observer.ended(action.result.outcome)
        except TrackingNotFound as error:
            log.warning("the run is gone: %s", error, extra={"trial": action.index})
            self.keeper.doubt()
        except TrackingError as error:
            self.keeper.failed(error)
        except StrategyError as error:
            self._refused = Fault(reason="StrategyFailed", message=str(error), since=self.clock())
        except HyperSweepError as error:
            log.warning("%s: %s", type(error).__name__, error, extra={"trial": action.index})
        except Exception:
            log.exception("%s failed", type(action).__name__, extra={"trial": action.index})
        finally:
            self._busy.pop(action.index, None)
            self._observer.acted(type(action).__name__.lower(), time.perf_counter() - began)

    async def _act(self, action: Action) -> None:
        book, ledger, parent = self.keeper.book, self.keeper.ledger, self.keeper.parent
        if isinstance(action, Remove):  # waits for no ledger
            await self._account(action)
            await self.host.world.remove(action.attempt)
        elif book is not None and ledger is not None and parent is not None and self.spec is not None:
            target = TrackingTarget(uri=self.host.trial_uri, experiment=parent.experiment)
            actor = Actor(
                book=book,
                ledger=ledger,
                world=self.host.world,
                spec=self.spec,
                tracking=target,
                clock=self.clock,
                suggesting=self._suggesting,
                read=partial(self.keeper.read, self.spec),
            )
            await actor.perform(action)

    async def _account(self, action: Remove) -> None:
        """Write down what is about to be lost with a Job: in the ledger, or, while MLflow is away, in the book."""
        book, ledger = self.keeper.book, self.keeper.ledger
        trial = book.open.get(action.index) if book is not None else None
        if book is None or ledger is None or trial is None or not action.spent or trial.spent == action.spent:
            return
        try:
            book.put(await ledger.account(trial, action.spent))
        except TrackingError as error:
            log.warning("what the trial used is not in the ledger yet: %s", error, extra={"trial": action.index})
            book.owe(replace(trial, spent=action.spent))

    # ---- the status --------------------------------------------------------------------------------------------------

    def _context(self, source: Source) -> statuses.Context:
        name, reason = self._at_work()
        parent = self.keeper.parent
        return statuses.Context(
            generation=source.generation,
            previous=source.status,
            experiment=parent.experiment if parent else "",
            parent_run=parent.run if parent else "",
            ui=self.host.ui,
            effective=name,
            reason=reason,
            resumed=self.keeper.resumed,
            errands=self.errands.told,
            lessons=self.book.lessons if self.book is not None else None,
        )

    def _at_work(self) -> tuple[str, str]:
        """The strategy and why, told anew when a trial has ended: a look costs nothing."""
        spec, ended = self.spec, self.book.tally.observed if self.book is not None else 0
        before = len(self.book.lessons.trials) if self.book is not None else 0
        if spec is None:
            return "", ""
        if self._effective is None or self._effective[0] is not spec or self._effective[1] != ended:
            self._effective = spec, ended, effective(spec, ended=ended, before=before)
        return self._effective[2]

    def _report(self, source: Source, status: statuses.Status, now: float) -> float:
        """Have the status written when it changed, at most once a second; else come back when the second is over."""
        if status == source.status or (self._reporting is not None and not self._reporting.done()):
            return RESYNC
        wait = self._reported + REPORT_EVERY - now
        if wait > 0 and status.get("phase") == source.status.get("phase"):
            return wait
        self._reported = now
        self._reporting = self._begin(self._write(status, events(source.status, status)))
        return RESYNC

    async def _write(self, status: statuses.Status, events: Sequence[Event]) -> None:
        try:
            await self.host.world.report(status, events)
        except HyperSweepError as error:
            log.warning("the status could not be written: %s", error)

    async def _sleep(self, wait: float) -> None:
        try:
            async with asyncio.timeout(wait):
                await self.wake.wait()
        except TimeoutError:
            return
