"""Doing what was decided for a trial, each action idempotent, each leaving the book as the ledger is.

Owns the write order (ledger before Job, commit before clean-up follows from `decide`). Errors of MLflow leave here as
TrackingError for the loop; a launch that did not happen is noted in the book, where `decide` sees it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hypersweep.controller.book import Book
from hypersweep.controller.world import TrackingTarget, World
from hypersweep.core.environment import seed_of
from hypersweep.core.errors import LaunchConflict, LaunchDelayed, LaunchRefused, TrackingNotFound
from hypersweep.core.names import template_hash
from hypersweep.core.proposals import Proposal, propose
from hypersweep.core.range_test import ANSWER, is_range_test, noted, run_name
from hypersweep.core.reading import Reading
from hypersweep.core.reuse import likeness
from hypersweep.core.snapshot import (
    Account,
    Action,
    Commit,
    Fault,
    Judge,
    Launch,
    Measure,
    Pause,
    Plan,
    Promote,
    Reopen,
    Retry,
)
from hypersweep.core.spec import SweepSpec
from hypersweep.core.stoppers import counted
from hypersweep.core.strategies import expected_improvement, rehearsal
from hypersweep.core.trial import Measurement, Reason, Trial
from hypersweep.tracking import records
from hypersweep.tracking.ledger import Ledger

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Carries out one sweep's actions."""

    book: Book
    ledger: Ledger
    world: World
    spec: SweepSpec
    tracking: TrackingTarget
    clock: Callable[[], float]
    read: Callable[[], Awaitable[None]]  # has the open trials read in MLflow, curves included, from now on
    suggesting: asyncio.Lock  # one proposal at a time: each knows the others

    async def perform(self, action: Action) -> None:
        """Do it. TrackingError when MLflow did not."""
        match action:
            case Plan():
                await self._plan(action.index)
            case Launch():
                await self._launch(self.book.open[action.index])
            case Account(index=index, spent=spent):
                self.book.put(await self.ledger.account(self.book.open[index], spent))
                self.book.owed.discard(index)
            case Retry(index=index, attempt=attempt, charged=charged, spent=spent):
                trial = replace(self.book.open[index], attempt=attempt, charged=charged, spent=spent)
                await self.ledger.attempt(trial)
                self.book.measured.pop(index, None)
                self.book.stopping.judged.discard(index)
                self.book.put(trial)
            case Measure(index=index, source=source) if source:
                self.book.measured[index] = await self.ledger.adopt(self.book.open[index], Reading.of(self.spec))
            case Measure(index=index) if is_range_test(index):
                answer = await self.ledger.tag(self.book.open[index], ANSWER)
                self.book.measured[index] = Measurement(value=None, answer=answer)
            case Measure(index=index):
                trial = self.book.open[index]
                measured = await self.ledger.measure(trial, Reading.of(self.spec))
                asked = self.spec.early_stopping is not None and measured.value is not None
                self.book.measured[index] = replace(measured, flat=asked and trial.curve_since is None)
            case Judge(index=index):
                await self.read()
                self.book.stopping.judged.add(index)
            case Commit(index=index, result=result):
                if is_range_test(index):
                    await self.ledger.note(noted(self.spec, self.book.open[index], result))
                with self._dropped_if_deleted(index):
                    trial = await self.ledger.commit(self.book.paused.get(index) or self._counted(index), result)
                self.book.end(trial)
                log.info(
                    "the trial ended: %s %s", trial.outcome, trial.reason, extra={"trial": index, "value": trial.value}
                )
            case Pause(index=index, result=result, rung=rung, charged=charged):
                trial = self._counted(index)
                self.book.take(await self.ledger.pause(trial, result, rung=rung, charged=charged))
                log.info("the trial waits: %s", result.message, extra={"trial": index})
            case Promote(index=index):
                with self._dropped_if_deleted(index):
                    self.book.put(await self.ledger.promote(self.book.paused[index]))
                log.info("the trial goes on", extra={"trial": index})
            case Reopen(index=index, retry=retry):
                failed = self.book.trial(index)
                if failed is not None:
                    self.book.reopen(await self.ledger.reopen(failed, retry=retry))

    @contextmanager
    def _dropped_if_deleted(self, index: int) -> Iterator[None]:
        """A paused trial whose run is gone frees its index; of an open one the keeper finds that out."""
        try:
            yield
        except TrackingNotFound:
            if index in self.book.paused:
                self.book.drop(index)
            raise

    def _counted(self, index: int) -> Trial:
        """The trial with the marks that others are compared with: none from beyond its verdict."""
        trial = self.book.open[index]
        return replace(trial, rungs=counted(trial.rungs, self.book.stopping.verdicts.get(index)))

    async def _plan(self, index: int) -> None:
        spec, book = self.spec, self.book
        async with self.suggesting:
            if not is_range_test(index) and await self._promises_too_little():
                return  # the next look ends the sweep
            trial = book.proposed.get(index) or await self._proposal(index)  # one that is in doubt, unchanged
            if trial is None:
                book.exhausted = not book.proposed  # what is in doubt has yet to be tried
                return
            book.proposed[index] = (
                trial  # until the ledger shows it: if the answer is lost, others must know of it still
            )
        await self.ledger.describe(spec)  # before any trial that it tells of
        tags, now = await self._lineage(trial), self.clock()
        book.put(await self.ledger.plan(index, trial.parameters, name=trial.name, retry=spec.retry, tags=tags, now=now))

    async def _proposal(self, index: int) -> Trial | None:
        """What a trial or a range test is to be, thought out off the event loop. None: the space is exhausted."""
        proposal = await asyncio.to_thread(self._rehearsed if is_range_test(index) else self._suggested, index)
        if proposal is None:
            return None
        return Trial(index=index, run="", parameters=proposal.parameters, name=proposal.name, retry=self.spec.retry)

    def _rehearsed(self, index: int) -> Proposal:
        return Proposal(rehearsal.assignment(self.spec, index), run_name(self.spec, index))

    def _suggested(self, index: int) -> Proposal | None:
        book = self.book
        tests = list(book.range_tests.values())
        return propose(self.spec, history=book.told, pending=book.pending, trial=index, range_tests=tests)

    async def _promises_too_little(self) -> bool:
        """Whether a model says that no trial is worth it any more; asked only where the sweep ends by that."""
        wanted, book = self.spec.stop_when.expected_improvement_below, self.book
        if wanted is None:
            return False
        book.expected_improvement = await asyncio.to_thread(
            expected_improvement,
            self.spec,
            history=book.reached,
            pending=list(book.pending),
            range_tests=list(book.range_tests.values()),
        )
        return book.expected_improvement is not None and book.expected_improvement < wanted

    async def _lineage(self, trial: Trial) -> Mapping[str, str]:
        """What the trial was made from, for its run; and what it is equal to, if anything is."""
        identity, image = self.ledger.identity.search, self.world.image()
        made = {
            "hypersweep.seed": str(seed_of(self.spec, identity=identity, trial=trial)),
            "hypersweep.template": template_hash(self.spec),
            "hypersweep.image": image,
        }
        wanted = likeness(self.spec, trial, image=image, identity=identity)
        if not wanted or is_range_test(trial.index):  # it trains with a trial's parameters, and measures something else
            return made
        source = await self.ledger.equal(wanted)
        if source:  # one that took a result is nobody's source: its run has no curve
            note = f"Result of run [{source}](#/experiments/{self.tracking.experiment}/runs/{source})"
            return made | {records.SOURCE: source, "mlflow.note.content": note}
        return made | {records.LIKENESS: wanted}

    async def _launch(self, trial: Trial) -> None:
        try:
            await self.world.launch(trial, tracking=self.tracking)
        except LaunchRefused as error:
            self._note(trial, Reason.LAUNCH_REFUSED, str(error))
        except LaunchConflict as error:
            self._note(trial, Reason.NAME_CONFLICT, str(error))
        except LaunchDelayed as error:
            self._note(trial, Reason.LAUNCH_DELAYED, str(error))
        else:
            self.book.faults.pop(trial.index, None)
            log.info("launched", extra={"trial": trial.index, "attempt": trial.attempt})

    def _note(self, trial: Trial, reason: Reason, message: str) -> None:
        before = self.book.faults.get(trial.index)
        since = before.since if before is not None and before.reason == reason else self.clock()
        self.book.faults[trial.index] = Fault(reason=reason, message=message, since=since)
        log.warning("launch did not happen: %s: %s", reason, message, extra={"trial": trial.index})
