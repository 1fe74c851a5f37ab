"""The ledger of one sweep: a parent run (`sweep_run.py`), a run per trial, and the few operations that the loop needs.

Owns the write order within an operation, so that a crash between any two requests, or an answer that was lost, is
repaired by doing the operation again, in this process or the next. Decides nothing about trials. What it remembers is a
cache: which run is a trial's, so that a run that shows up late is known for a duplicate.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from hypersweep.core.errors import TrackingNotFound, TrackingRefused
from hypersweep.core.reading import Reading
from hypersweep.core.resources import Spent
from hypersweep.core.stoppers import Point
from hypersweep.core.trial import Assignment, Measurement, Outcome, Result, Trial
from hypersweep.tracking import records
from hypersweep.tracking.base import FAILED, FINISHED, KILLED, RUNNING, Run, Store
from hypersweep.tracking.identity import Identity, Owner, Parent, owned_elsewhere, search_hash
from hypersweep.tracking.measuring import measured, measurement, taken
from hypersweep.tracking.records import Skipped
from hypersweep.tracking.sweep_run import SweepRun

__all__ = ["Identity", "Ledger", "Owner", "Parent", "Skipped", "owned_elsewhere", "search_hash"]

log = logging.getLogger(__name__)

_NONE: Mapping[int, str] = {}


class Ledger(SweepRun):
    """One sweep's ledger in a store: its own run, and those of its trials."""

    def __init__(self, store: Store, identity: Identity, *, lineage: Mapping[str, str]) -> None:
        super().__init__(store, identity, lineage=lineage)
        self.skipped: tuple[Skipped, ...] = ()  # runs that the last `history` could not read
        self._known: dict[int, Trial] = {}
        self._unsure: set[int] = set()  # indices whose planning may have happened: the answer was lost
        self._read: dict[str, Run] = {}  # runs that `measure` read for the commit that follows

    # ---- reading trials ----------------------------------------------------------------------------------------------

    async def history(self, prefer: Mapping[int, str] = _NONE) -> list[Trial]:
        """Every trial, by index; duplicates are closed. `prefer`: index → the run that its Job names."""
        runs = await self.store.search(experiment=self.parent.experiment, tags={records.ID: self.identity.key})
        found, skipped = records.trials_of(runs)
        for skip in skipped:
            log.warning("a trial's run cannot be read, and is left out: %s", skip.reason, extra={"run": skip.run})
        self.skipped = tuple(skipped)
        settled = await self._settle(found, prefer)
        self._known = {trial.index: trial for trial, _ in settled}
        return [trial for trial, _ in settled]

    async def unfinished(self, prefer: Mapping[int, str] = _NONE) -> list[tuple[Trial, Run]]:
        """The open trials as MLflow has them now, by index. One that is missing was deleted, or committed elsewhere."""
        tags = {records.ID: self.identity.key, records.OUTCOME: str(Outcome.OPEN)}
        found, _ = records.trials_of(await self.store.search(experiment=self.parent.experiment, tags=tags))
        still_open = []
        for trial, run in found:
            ended = self._closed(trial.index)
            if ended is None or (ended.run == run.id and trial.attempt > ended.attempt):  # a lost `reopen` or `promote`
                still_open.append((trial, run))
            elif ended.run != run.id:  # a lost `plan` that took effect late
                await self.supersede(run.id, by=ended.run)
            # else it was committed or paused while MLflow searched
        return await self._settle(still_open, prefer)

    async def reread(self, trial: Trial) -> Trial:
        """The trial as its run has it now. TrackingNotFound when the run was deleted."""
        return self._remember(self._trial(await self._run(trial.run)))

    async def tag(self, trial: Trial, name: str) -> str:
        """A tag that the trainer left on the trial's run; empty: it did not."""
        run = await self._run(trial.run)
        self._read[run.id] = run
        return run.tags.get(name, "")

    async def measure(self, trial: Trial, reading: Reading) -> Measurement:
        """What the trial's run says of objectives and constraints now. TrackingNotFound when the run was deleted."""
        run = await self._run(trial.run)
        self._read[run.id] = run
        return await measurement(self.store, run, reading)

    async def equal(self, likeness: str) -> str:
        """The earliest run in the sweep's experiment of a trial that was equal and succeeded; empty: there is none."""
        tags = {records.LIKENESS: likeness, records.OUTCOME: str(Outcome.SUCCEEDED)}
        found = await self.store.search(experiment=self.parent.experiment, tags=tags, limit=1)
        return found[0].id if found else ""

    async def adopt(self, trial: Trial, reading: Reading) -> Measurement:
        """The result of the run that the trial repeats, whose newest metrics its own run gets. No value: it is not to be had."""
        try:
            run = await self._run(trial.source)
        except TrackingNotFound:
            return Measurement(value=None)
        found = await measured(self.store, run, reading)
        if not found or run.tags.get(records.OUTCOME) != Outcome.SUCCEEDED:
            return Measurement(value=None)
        metrics = {name: point.value for name, point in run.metrics.items()}
        async with self._gone_if_deleted(trial.run):
            await self.store.log(trial.run, metrics=metrics)
        return taken(found, reading, metrics=metrics)

    async def points(self, run: str, metric: str, *, axis: str | None) -> list[Point]:
        """All that a run has logged of a metric; with an `axis`, placed by that metric's value at the same step."""
        curve = await self.store.curve(run, metric)
        if axis is None:
            return [Point(float(p.step), p.value, p.timestamp) for p in curve]
        places = {p.step: p.value for p in await self.store.curve(run, axis)}
        return [Point(places[p.step], p.value, p.timestamp) for p in curve if p.step in places]

    # ---- writing trials ----------------------------------------------------------------------------------------------

    async def plan(
        self,
        index: int,
        parameters: Assignment,
        *,
        name: str,
        retry: str,
        tags: Mapping[str, str],
        now: float,
        unsure: bool = False,
    ) -> Trial:
        """The trial of that index, its run made in one request; the one that is there already if `unsure` (or if our
        own last answer was lost). What the ledger holds wins: its parameters may be other ones.
        """
        if unsure or index in self._unsure:
            there = await self._find(index)
            if there is not None:
                return there
        planned = records.planned_tags(index, parameters, name=name, retry=retry, parent=self.parent.run)
        ours = records.identity_tags(self.identity, records.KIND_TRIAL) | planned
        self._unsure.add(index)  # until the answer is here
        run = await self.store.create_run(
            experiment=self.parent.experiment,
            name=f"trial-{index}" + (f" {records.clean(name, records.NAME_LIMIT)}" if name else ""),
            tags={**self._lineage, **tags, **ours},
            started=now,
        )
        source = tags.get(records.SOURCE, "")
        return self._remember(
            Trial(index=index, run=run.id, parameters=parameters, name=name, retry=retry, source=source)
        )

    async def account(self, trial: Trial, spent: Spent) -> Trial:
        """Note what an open trial has used so far."""
        async with self._gone_if_deleted(trial.run):
            await self.store.log(trial.run, tags=records.resource_tags(spent))
        return self._remember(replace(trial, spent=spent))

    async def attempt(self, trial: Trial) -> None:
        """Note the number of the attempt about to be launched, how many were charged, and what they have used."""
        self._read.pop(trial.run, None)  # it will change the run
        known = self._known.get(trial.index)
        if known is not None and (known.run, known.attempt, known.charged) == (trial.run, trial.attempt, trial.charged):
            return
        async with self._gone_if_deleted(trial.run):
            tags = records.attempt_tags(trial.attempt, trial.charged) | records.resource_tags(trial.spent)
            await self.store.log(trial.run, tags=tags)
        self._remember(trial)

    async def commit(self, trial: Trial, result: Result) -> Trial:
        """End the trial for good. One that has ended already stays as it ended.

        Order: the run's status, then params that the trainer left out, then, in one request of which MLflow writes all tags
        at once, result and outcome. Before those the trial is open and is committed again; after them it is frozen.
        """
        run = self._read.pop(trial.run, None) or await self._run(trial.run)
        there = self._trial(run)
        if there.outcome.over:
            return self._remember(there)
        status = _status(result)
        async with self._gone_if_deleted(run.id):
            if run.status != status or run.ended is None:
                await self.store.finish(run.id, status=status, ended=result.ended)
            await self._log_end(run, replace(there, rungs=trial.rungs, curve_since=trial.curve_since), result)
        ended = replace(
            there,
            outcome=result.outcome,
            value=result.value,
            values=result.values,
            violation=result.violation,
            reason=result.reason,
            where=result.where,
            ended=result.ended,
            message=records.clean(result.message, records.MESSAGE_LIMIT),
            spent=result.spent or there.spent,
            rungs=trial.rungs,
            curve_since=trial.curve_since,
        )
        return self._remember(ended)

    async def pause(self, trial: Trial, result: Result, *, rung: int, charged: int) -> Trial:
        """The trial waits at a rung, in one request. One that is open no more stays as it is."""
        run = await self._run(trial.run)
        there = self._trial(run)
        if there.outcome is Outcome.OPEN:
            async with self._gone_if_deleted(run.id):
                tags = records.paused_tags(result, rung=rung, charged=charged) | records.rung_tags(trial)
                await self.store.log(run.id, tags=tags)
            there = self._trial(replace(run, tags={**run.tags, **tags}))
        return self._remember(there)

    async def promote(self, trial: Trial) -> Trial:
        """A paused trial goes on, in its run and with a new attempt. Until the last request it waits."""
        async with self._gone_if_deleted(trial.run):
            await self.store.finish(trial.run, status=RUNNING)
            await self.store.log(trial.run, tags=records.promoted_tags(trial))
        return self._remember(
            replace(
                trial,
                attempt=trial.attempt + 1,
                outcome=Outcome.OPEN,
                value=None,
                values=(),
                reason="",
                message="",
                where="",
                ended=None,
            )
        )

    async def reopen(self, trial: Trial, *, retry: str) -> Trial:
        """A failed trial is tried anew, in its run and with a new attempt. Until the last request it counts as failed."""
        attempt = trial.attempt + 1
        async with self._gone_if_deleted(trial.run):
            await self.store.finish(trial.run, status=RUNNING)
            await self.store.log(trial.run, tags=records.reopened_tags(attempt=attempt, retry=retry))
        return self._remember(
            Trial(
                index=trial.index,
                run=trial.run,
                parameters=trial.parameters,
                name=trial.name,
                attempt=attempt,
                retry=retry,
                spent=trial.spent,
            )
        )

    # ---- within ------------------------------------------------------------------------------------------------------

    def _trial(self, run: Run) -> Trial:
        try:
            return records.trial_of(run)
        except records.MalformedError as error:
            raise TrackingRefused(f"run {run.id} is no trial's any more: {error}") from None

    async def _log_end(self, run: Run, trial: Trial, result: Result) -> None:
        tags = records.committed_tags(result) | records.rung_tags(trial)
        try:
            await self.store.log(run.id, params=records.missing_params(trial, run), tags=tags)
        except TrackingNotFound:
            raise
        except TrackingRefused:  # the trainer may have logged a param since we looked
            await self.store.log(run.id, params=records.missing_params(trial, await self._run(run.id)), tags=tags)

    async def _find(self, index: int) -> Trial | None:
        """The trial of that index in MLflow, if there is one."""
        tags = {records.ID: self.identity.key, records.TRIAL: str(index)}
        found, _ = records.trials_of(await self.store.search(experiment=self.parent.experiment, tags=tags))
        for trial, _ in await self._settle(found, _NONE):
            return trial
        return None

    async def _settle(self, found: Iterable[tuple[Trial, Run]], prefer: Mapping[int, str]) -> list[tuple[Trial, Run]]:
        """One run per index; the others are closed."""
        rivals: dict[int, list[tuple[Trial, Run]]] = defaultdict(list)
        for trial, run in found:
            rivals[trial.index].append((trial, run))
        settled = []
        for index, pairs in sorted(rivals.items()):
            known = self._known.get(index)
            trial, run = records.chosen(pairs, preferred=prefer.get(index), known=known.run if known else None)
            for _, other in pairs:
                if other.id != run.id:
                    await self.supersede(other.id, by=run.id)
            settled.append((self._remember(trial), run))
        return settled

    def _closed(self, index: int) -> Trial | None:
        """The trial of that index, if we know that it has ended, or was paused."""
        known = self._known.get(index)
        return None if known is None or known.outcome is Outcome.OPEN else known

    def _remember(self, trial: Trial) -> Trial:
        self._known[trial.index] = trial
        self._unsure.discard(trial.index)
        return trial


def _status(result: Result) -> str:
    """A run's status in MLflow's words."""
    if result.outcome is Outcome.STOPPED:
        return KILLED
    return FINISHED if result.outcome is Outcome.SUCCEEDED else FAILED
