"""A small sweep's whole life, written as the loop would: what is done already is seen in the ledger, and not done again.

Drive it until nothing is left to do, however often it was interrupted, and the ledger must look the same.
"""

import json
from collections.abc import Mapping
from typing import Any

from hypersweep.core.reading import Reading
from hypersweep.core.snapshot import Ending
from hypersweep.core.spec import Objective
from hypersweep.core.trial import Outcome, Result, Trial
from hypersweep.tracking import records
from hypersweep.tracking.base import RUNNING, Run, Store
from hypersweep.tracking.ledger import Identity, Ledger, Owner

NOW = 1_000_000.0
LOSS = Reading(objectives=(Objective.model_validate({"metric": "loss", "goal": "Minimize"}),))
ME = Owner(operator="op", sweep="uid")
TRIALS = 3
FAILING = 1  # the index that fails until it is retried
RETRY = "again"


class Life:
    """Drives one sweep. `store` is the operator's way to MLflow, `trainer` is the trials' own: nothing fails on it."""

    def __init__(self, store: Store, trainer: Store, identity: Identity) -> None:
        self.store, self.trainer, self.identity = store, trainer, identity
        self.launched: dict[
            tuple[int, int], str
        ] = {}  # (trial, attempt) -> run: the Jobs, which a crash does not touch

    def ledger(self) -> Ledger:
        """As after a restart."""
        return Ledger(self.store, self.identity, lineage={"hypersweep.version": "1"})

    async def live(self, ledger: Ledger) -> None:
        """Do all that is left to do."""
        await ledger.open(NOW)
        await ledger.heartbeat(ME, NOW)
        trials = {trial.index: trial for trial in await ledger.history(self.prefer())}
        for index in range(TRIALS):
            trial = trials.get(index) or await ledger.plan(
                index, {"lr": 0.1 * index}, name="", retry="", tags={}, now=NOW + index
            )
            trials[index] = await self.conclude(ledger, trial)
        if trials[FAILING].outcome is Outcome.FAILED:
            trials[FAILING] = await self.conclude(ledger, await ledger.reopen(trials[FAILING], retry=RETRY))
        ending = Ending(reason="MaxTrials", message="done", complete=True)
        await ledger.finish(ending=ending, best=trials[0], counts={Outcome.SUCCEEDED: TRIALS}, spent={}, now=NOW + 99)
        await ledger.release(ME)

    def prefer(self) -> Mapping[int, str]:
        """The runs that the newest Jobs name."""
        return {index: run for (index, _), run in sorted(self.launched.items())}

    async def conclude(self, ledger: Ledger, trial: Trial) -> Trial:
        """Launch what is not launched yet, and commit."""
        if trial.outcome is not Outcome.OPEN:
            return trial
        await ledger.attempt(trial)
        if (trial.index, trial.attempt) not in self.launched:
            self.launched[trial.index, trial.attempt] = trial.run
            await self.trainer.log(
                trial.run, metrics={"loss": 0.5 + trial.index}, params={"own": "x"}, step=trial.attempt
            )
        measured = await ledger.measure(trial, LOSS)
        fails = trial.index == FAILING and trial.retry != RETRY
        result = Result(outcome=Outcome.FAILED if fails else Outcome.SUCCEEDED, value=measured.value, ended=NOW + 50)
        return await ledger.commit(trial, result)


async def picture(store: Store, identity: Identity) -> dict[str, Any]:
    """What the ledger holds, without what may differ from one life to another: ids, and superseded runs."""
    experiment = await store.experiment(identity.experiment)
    runs = await store.search(experiment=experiment, tags={records.ID: identity.key})
    parents = [run for run in runs if run.tags[records.KIND] == records.KIND_SWEEP]
    drawn = {run.tags.get(records.TRIAL, "sweep"): _drawn(run, parents[0].id) for run in runs}
    return {"runs": len(runs), **drawn}


async def running(store: Store, identity: Identity) -> list[str]:
    """Runs that are left RUNNING, superseded ones included."""
    experiment = await store.experiment(identity.experiment)
    runs = await store.search(experiment=experiment, tags={records.SWEEP: identity.sweep})
    return [run.id for run in runs if run.status == RUNNING]


def _drawn(run: Run, parent: str) -> dict[str, Any]:
    tags = {key: value for key, value in run.tags.items() if key.startswith("hypersweep.") and not key.endswith(".run")}
    if records.OWNER in tags:
        tags[records.OWNER] = json.loads(tags[records.OWNER])
    below = run.tags.get(records.PARENT_RUN)
    return {"status": run.status, "tags": tags, "params": dict(run.params), "below": below == parent if below else None}
