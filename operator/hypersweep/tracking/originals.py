"""A trial's run that is to be repeated: what MLflow holds of it, and the run that the repetition logs to.

The new run has no `hypersweep.id`, so no ledger takes it for one of its trials; `hypersweep.rerunOf` says whose it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hypersweep.core import lineage
from hypersweep.core.environment import text
from hypersweep.core.errors import HyperSweepError, TrackingNotFound
from hypersweep.core.reading import Reading
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Measurement, Outcome, Trial
from hypersweep.tracking import records
from hypersweep.tracking.base import FAILED, FINISHED, PARAM_LIMIT, Run, Store
from hypersweep.tracking.ledger import Identity, Ledger

KIND_RERUN = "Rerun"
RERUN_OF, SAME = "hypersweep.rerunOf", "hypersweep.same"
SEED, TEMPLATE, IMAGE = "hypersweep.seed", "hypersweep.template", "hypersweep.image"


@dataclass(frozen=True, kw_only=True)
class Original:
    """A trial that has ended, and all that it was made from."""

    run: Run
    trial: Trial
    spec: SweepSpec
    identity: Identity
    seed: str
    template: str  # the hash of all that the trial was made from, what is withheld included
    image: str  # empty: it ran on a laptop


async def original(store: Store, run: str) -> Original:
    """HyperSweepError: it cannot be repeated, and why."""
    found = await _run(store, run, f"no run {run} in {store.uri}")
    tags = found.tags
    if tags.get(records.KIND) != records.KIND_TRIAL:
        kind = tags.get(records.KIND)
        raise HyperSweepError(f"run {run} is no trial of a sweep" + (f" but a {kind}" if kind else ""))
    if records.is_range_test(found):
        raise HyperSweepError(f"run {run} is no trial but a learning-rate range test: it has no result to compare with")
    try:
        trial = records.trial_of(found)
    except records.MalformedError as error:
        raise HyperSweepError(f"run {run} cannot be read: {error}") from None
    if not trial.outcome.over or trial.outcome is Outcome.STOPPED:
        ended = "was stopped early" if trial.outcome is Outcome.STOPPED else "has not ended"
        raise HyperSweepError(f"trial {trial.index} {ended}: there is no result to compare with")
    lacking = [tag for tag in (SEED, TEMPLATE, records.SEARCH, records.PARENT_RUN) if tag not in tags]
    if lacking:
        raise HyperSweepError(f"run {run} does not say what it was made from: {', '.join(lacking)} is missing")
    parent_id = tags[records.PARENT_RUN]
    parent = await _run(store, parent_id, f"the sweep's own run {parent_id}, which holds the template, is gone")
    return Original(
        run=found,
        trial=trial,
        spec=lineage.recorded(parent.tags, tags[TEMPLATE]),
        identity=Identity(sweep=tags[records.SWEEP], search=tags[records.SEARCH], experiment=found.experiment),
        seed=tags[SEED],
        template=tags[TEMPLATE],
        image=tags.get(IMAGE, ""),
    )


async def repetition(store: Store, first: Original, *, seed: str, now: float) -> Run:
    """A new run for it, beside the sweep's trials."""
    tags = {
        records.KIND: KIND_RERUN,
        RERUN_OF: first.run.id,
        records.PARENT_RUN: first.run.tags[records.PARENT_RUN],
        SEED: seed,
        TEMPLATE: first.template,
        IMAGE: first.image,
    }
    name = f"rerun of trial-{first.trial.index}"
    return await store.create_run(experiment=first.run.experiment, name=name, tags=tags, started=now)


async def measured(store: Store, first: Original, run: str) -> Measurement:
    """What the new run says of the objectives, read as the sweep reads them."""
    ledger = Ledger(store, first.identity, lineage={})
    return await ledger.measure(Trial(index=first.trial.index, run=run, parameters={}), Reading.of(first.spec))


async def conclude(store: Store, first: Original, run: str, *, ok: bool, same: bool, now: float) -> None:
    """Close the new run, with the verdict and the parameters that the trainer left out."""
    logged: Mapping[str, str] = (await store.run(run)).params
    params = {k: records.clean(text(v), PARAM_LIMIT) for k, v in first.trial.parameters.items() if k not in logged}
    await store.log(run, params=params, tags={SAME: text(same)})
    await store.finish(run, status=FINISHED if ok else FAILED, ended=now)


async def _run(store: Store, run: str, absent: str) -> Run:
    try:
        return await store.run(run)
    except TrackingNotFound:
        raise HyperSweepError(absent) from None
