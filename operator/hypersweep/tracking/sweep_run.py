"""The sweep's own run in MLflow: found or made, owned by one operator at a time, described, and closed at the end.

Owns what the ledger (`ledger.py`) says of the sweep as a whole, and how duplicates and deleted runs are dealt with. Each
operation may be done again after a crash or a lost answer.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from hypersweep.core.errors import TrackingNotFound, TrackingRefused, TrackingUnavailable
from hypersweep.core.lineage import spec_tags, templates
from hypersweep.core.names import template_hash
from hypersweep.core.resources import Hours
from hypersweep.core.snapshot import Ending
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Outcome, Trial
from hypersweep.tracking import records
from hypersweep.tracking.base import FAILED, FINISHED, KILLED, RUNNING, Run, Store
from hypersweep.tracking.identity import Identity, Owner, Parent

log = logging.getLogger(__name__)

BEST, HYPERVOLUME = "best", "hypervolume"  # the run's metrics
RESOURCE_HOURS = "resource_hours"  # as well, one for each resource


class SweepRun:
    """One sweep's run in a store. `lineage`: tags for every run of the sweep (the operator's version, …)."""

    def __init__(self, store: Store, identity: Identity, *, lineage: Mapping[str, str]) -> None:
        self.store, self.identity = store, identity
        self._lineage = lineage
        self._parent: Parent | None = None
        self._described: set[str] = set()  # hashes of the templates whose spec is on the sweep's run
        self._describing = asyncio.Lock()

    @property
    def parent(self) -> Parent:
        if self._parent is None:
            raise RuntimeError("the ledger is not open")
        return self._parent

    async def open(self, now: float) -> Parent:
        """Find the sweep's experiment and parent run, or make them. Of two parents the earliest stays."""
        experiment = await self.store.experiment(self.identity.experiment)
        tags = {records.ID: self.identity.key, records.KIND: records.KIND_SWEEP}
        found = await self.store.search(experiment=experiment, tags=tags)
        if not found:
            made = records.identity_tags(self.identity, records.KIND_SWEEP)
            name = records.clean(self.identity.sweep, records.NAME_LIMIT)
            await self.store.create_run(experiment=experiment, name=name, tags={**self._lineage, **made}, started=now)
            found = await self.store.search(experiment=experiment, tags=tags)  # someone else may have made one as well
        if not found:
            raise TrackingUnavailable("MLflow does not show the sweep's run that it just made")
        for other in found[1:]:
            await self.supersede(other.id, by=found[0].id)
        self._parent = records.parent_of(found[0])
        self._described = set(templates(found[0].tags))
        return self._parent

    async def find(self) -> Parent | None:
        """The sweep's own run, if there is one: for whoever comes after the end, and makes nothing."""
        experiment = await self.store.experiment(self.identity.experiment)
        tags = {records.ID: self.identity.key, records.KIND: records.KIND_SWEEP}
        found = await self.store.search(experiment=experiment, tags=tags, limit=1)
        self._parent = records.parent_of(found[0]) if found else None
        return self._parent

    async def describe(self, spec: SweepSpec) -> None:
        """Have the spec on the sweep's own run, once for each template."""
        template = template_hash(spec)
        async with self._describing:
            if template not in self._described:
                if tags := spec_tags(spec):
                    async with self._gone_if_deleted(self.parent.run):
                        await self.store.log(self.parent.run, tags=tags)
                self._described.add(template)

    async def heartbeat(self, owner: Owner, now: float) -> Parent:
        """Show that `owner` works on the sweep, unless another owner has come since we last looked.

        Returns what stands now: a `parent.owner` other than `owner` means that nothing was written.
        TrackingNotFound when the parent run was deleted.
        """
        run = await self._run(self.parent.run)
        found = records.parent_of(run)
        if found.owner != owner and (found.owner, found.heartbeat) != (self.parent.owner, self.parent.heartbeat):
            self._parent = found
            return found
        async with self._gone_if_deleted(run.id):
            await self.store.log(run.id, tags=records.owner_tag(owner, now=now))
            if run.status != RUNNING:  # a finished sweep goes on
                await self.store.finish(run.id, status=RUNNING)
        self._parent = replace(found, owner=owner, heartbeat=now, released=False)
        return self._parent

    async def note(self, tags: Mapping[str, str]) -> None:
        """Write tags of ours to the parent run."""
        async with self._gone_if_deleted(self.parent.run):
            await self.store.log(self.parent.run, tags=tags)

    async def release(self, owner: Owner) -> None:
        """Say that the sweep is free, if it is ours to say so."""
        if self.parent.owner == owner:
            await self.store.log(
                self.parent.run, tags=records.owner_tag(owner, now=self.parent.heartbeat, released=True)
            )
            self._parent = replace(self.parent, released=True)

    async def progress(self, *, hypervolume: float, ended: int) -> None:
        """How far a search of several objectives has come, on the parent run, at step `ended`: the trials that have ended."""
        async with self._gone_if_deleted(self.parent.run):
            await self.store.log(self.parent.run, metrics={HYPERVOLUME: hypervolume}, step=ended)

    async def finish(
        self,
        *,
        ending: Ending,
        best: Trial | None,
        counts: Mapping[Outcome, int],
        spent: Hours,
        now: float,
        front: Sequence[Trial] = (),
    ) -> None:
        """Close the parent run: how the sweep ended, its counts, its best trial or front, and what it used."""
        tags = {records.REASON: ending.reason, records.MESSAGE: records.clean(ending.message, records.MESSAGE_LIMIT)}
        tags |= {
            f"hypersweep.trials.{outcome.lower()}": str(count) for outcome, count in counts.items() if outcome.over
        }
        metrics = {f"{RESOURCE_HOURS}/{resource}": hours for resource, hours in spent.items()}
        if best is not None and best.value is not None:
            tags |= {"hypersweep.best.trial": str(best.index), "hypersweep.best.run": best.run}
            if len(best.values) == 1:
                metrics[BEST] = best.value
        if front:
            tags["hypersweep.paretoFront"] = json.dumps([trial.index for trial in front])
        async with self._gone_if_deleted(self.parent.run):
            await self.store.log(self.parent.run, tags=tags, metrics=metrics)
            await self.store.finish(self.parent.run, status=FINISHED if ending.complete else FAILED, ended=now)

    # ---- any run -----------------------------------------------------------------------------------------------------

    async def supersede(self, run: str, *, by: str) -> None:
        """Close a duplicate so that no search of ours finds it again; the tag comes last, and repairs a crash before it."""
        log.warning("a duplicate run is closed", extra={"run": run, "by": by})
        tags = {records.ID: records.SUPERSEDED, records.OUTCOME: records.SUPERSEDED, records.SUPERSEDED_BY: by}
        try:
            async with self._gone_if_deleted(run):
                await self.store.finish(run, status=KILLED)
                await self.store.log(run, tags=tags)
        except TrackingNotFound:
            log.info("the duplicate was deleted meanwhile", extra={"run": run})

    async def _run(self, run: str) -> Run:
        found = await self.store.run(run)
        if found.deleted:
            raise TrackingNotFound(f"run {run} was deleted")
        return found

    @asynccontextmanager
    async def _gone_if_deleted(self, run: str) -> AsyncIterator[None]:
        """A write that MLflow refuses because the run was deleted: TrackingNotFound."""
        try:
            yield
        except TrackingNotFound:
            raise
        except TrackingRefused:
            await self._run(run)
            raise
