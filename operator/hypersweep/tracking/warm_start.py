"""What a sweep learns from other runs: looked up once, when it begins, and then kept in its ledger, in a run of its own kind.

Owns the order of writing: what was found, in pieces; the counts on the sweep's own run; last of all the tag that makes it count.
No trial is planned before that, so a crash in between costs a second look and changes nothing. From then on the other
experiments may change, or go: the same sweep learns from the same data.
"""

import asyncio
import json
import logging
from collections.abc import Sequence

from hypersweep.core.errors import Problem, SpecError, TrackingRefused, TrackingUnavailable
from hypersweep.core.range_test import ANSWER
from hypersweep.core.reading import Reading
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec, WarmStart
from hypersweep.core.trial import Outcome, Reason
from hypersweep.core.warm_start import Candidate, Lessons, learned, most_runs, summary
from hypersweep.core.wording import shown
from hypersweep.tracking import lessons, records
from hypersweep.tracking.answers import Denied
from hypersweep.tracking.base import FINISHED, Run, Store
from hypersweep.tracking.ledger import Ledger
from hypersweep.tracking.measuring import measured

log = logging.getLogger(__name__)

TAGS_AT_ONCE = 50  # of at most 100 that MLflow takes in a request
RUNS_AT_ONCE = 64  # whose curves are asked for, where those are needed
_RESULTLESS = (records.KIND_SWEEP, records.KIND_WARM_START)


async def recall(ledger: Ledger, spec: SweepSpec, *, now: float) -> Lessons:
    """What this sweep learned when it began; learned now if it never did.

    SpecError: there is no such experiment, or MLflow does not understand the filter.
    """
    if not spec.warm_start:
        return Lessons(found=0)
    known = await _known(ledger)
    if known is None:
        await _write(ledger, await _learned(ledger, spec), now=now)
        known = await _known(ledger)
    if known is None:
        raise TrackingUnavailable("MLflow does not show the warm start that was just written")
    return known


# ---- what was written ------------------------------------------------------------------------------------------------


async def _known(ledger: Ledger) -> Lessons | None:
    """The earliest that is whole; others, which a crash cut short or a second process made, are closed."""
    tags = {records.ID: ledger.identity.key, records.KIND: records.KIND_WARM_START}
    runs = await ledger.store.search(experiment=ledger.parent.experiment, tags=tags)
    kept = next((run for run in runs if lessons.restored(run.tags) is not None), None)
    if kept is None:
        return None
    for other in runs:
        if other.id != kept.id:
            await ledger.supersede(other.id, by=kept.id)
    return lessons.restored(kept.tags)


async def _write(ledger: Ledger, found: Lessons, *, now: float) -> None:
    parent, written = ledger.parent, lessons.pieces(found)
    run = await ledger.store.create_run(
        experiment=parent.experiment,
        name="warm start",
        tags=records.identity_tags(ledger.identity, records.KIND_WARM_START) | {records.PARENT_RUN: parent.run},
        started=now,
    )
    items = list(written.items())
    for start in range(0, len(items), TAGS_AT_ONCE):
        await ledger.store.log(run.id, tags=dict(items[start : start + TAGS_AT_ONCE]))
    await ledger.store.finish(run.id, status=FINISHED, ended=now)
    told = records.clean(json.dumps(summary(found), ensure_ascii=False), records.MESSAGE_LIMIT)
    await ledger.store.log(parent.run, tags={lessons.WHOLE: told})
    await ledger.store.log(run.id, tags=lessons.whole(written))
    log.info("warm start: %s", found.told, extra={"run": run.id})


# ---- looking -----------------------------------------------------------------------------------------------------------


async def _learned(ledger: Ledger, spec: SweepSpec) -> Lessons:
    left, runs = most_runs(spec), dict[str, Run]()
    for place, source in enumerate(spec.warm_start):
        found = await _found(ledger.store, source, place, most=min(source.limit, left))
        left -= len(found)
        runs |= {run.id: run for run in found if _may_teach(run, besides=ledger.identity.key)}
    oldest_first = sorted(runs.values(), key=lambda run: (run.started, run.id))
    candidates = await _candidates(ledger.store, oldest_first, Reading.of(spec))
    return await asyncio.to_thread(lambda: learned(candidates, Space.of(spec), spec.constraints))


async def _found(store: Store, source: WarmStart, place: int, *, most: int) -> list[Run]:
    path = f"spec.warmStart[{place}]"
    try:
        found = await store.find(experiment=source.experiment, where=source.filter, limit=most) if most > 0 else []
    except Denied:
        raise
    except TrackingRefused as error:
        raise SpecError([Problem(f"{path}.filter", f"found {shown(source.filter)}; MLflow says: {error}")]) from None
    if found is None:
        message = f"found {shown(source.experiment)}; there is no such experiment in MLflow, or it is deleted"
        raise SpecError([Problem(f"{path}.experiment", message)])
    return found


def _may_teach(run: Run, *, besides: str) -> bool:
    """Not this sweep's own runs, nor those that are no trials: sweeps' own, range tests, duplicates that were closed."""
    mine = run.tags.get(records.ID) in (besides, records.SUPERSEDED)
    tests_rates = ANSWER in run.tags or records.is_range_test(run)  # one made by hand, or one that did not answer
    return not mine and not tests_rates and run.tags.get(records.KIND) not in _RESULTLESS


async def _candidates(store: Store, runs: Sequence[Run], reading: Reading) -> list[Candidate]:
    found: list[Candidate] = []
    for start in range(0, len(runs), RUNS_AT_ONCE):
        found += await asyncio.gather(*(_candidate(store, run, reading) for run in runs[start : start + RUNS_AT_ONCE]))
    return found


async def _candidate(store: Store, run: Run, reading: Reading) -> Candidate:
    outcome, parameters = _ended(run)
    values = await measured(store, run, reading) if outcome is not Outcome.OPEN else None
    return Candidate(
        run=run.id,
        outcome=outcome,
        parameters=parameters,
        values=tuple(values[o.metric] for o in reading.objectives) if values else (),
        constrained={c.metric: values[c.metric] for c in reading.constraints} if values else {},
    )


def _ended(run: Run) -> tuple[Outcome, dict[str, str | float | int | bool]]:
    """How it ended, where that tells anything, and its parameters. A trial's own record says more than MLflow's status."""
    if run.tags.get(records.KIND) != records.KIND_TRIAL:
        return (Outcome.SUCCEEDED if run.status == FINISHED else Outcome.OPEN), dict(run.params)
    try:
        trial = records.trial_of(run)
    except records.MalformedError:
        return Outcome.OPEN, {}
    judged = trial.reason in (Reason.NON_FINITE, Reason.CONSTRAINT_VIOLATED)
    if trial.outcome is Outcome.SUCCEEDED or (trial.outcome is Outcome.INFEASIBLE and judged):
        return Outcome.SUCCEEDED, dict(trial.parameters)  # whether it is feasible here, this sweep judges
    if trial.outcome is Outcome.STOPPED and trial.value is not None:
        return Outcome.STOPPED, dict(trial.parameters)
    return Outcome.OPEN, {}
