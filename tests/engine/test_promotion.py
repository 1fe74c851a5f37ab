"""`mode: Promote` in the whole engine: trials wait at a rung, and go on from their checkpoint; crashes lose none of that."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pytest

from hypersweep.core.stoppers import Mark
from hypersweep.core.trial import Outcome, Phase, Result
from hypersweep.tracking import records
from hypersweep.tracking.base import Run
from tests.core.builders import make_spec
from tests.engine.courses import log_loss, run_to_end
from tests.engine.simulation import SimulatedCluster, SimulatedHost

TRIALS, EPOCHS = 18, 9
PROMOTE = {
    "type": "ASHA",
    "asha": {"minBudget": 1, "reductionFactor": 3, "maxBudget": EPOCHS, "mode": "Promote"},
    "poll": "1s",
}


@dataclass(frozen=True)
class Told:
    """What the ledger says of a trial."""

    outcome: str
    reason: str
    message: str
    rung: str
    attempts: int


class Trainers:
    """Every Job logs an epoch a second, from where the trial's checkpoint is."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.cluster = cluster
        self.checkpoints: Counter[int] = Counter()  # epochs by trial
        self.most = self.most_paused = 0

    async def tick(self) -> None:
        self.cluster.now += 1
        self.most = max(self.most, len(self.cluster.active()))
        self.most_paused = max(self.most_paused, self.cluster.status.get("trials", {}).get("paused", 0))
        for (trial, number), job in list(self.cluster.jobs.items()):
            if not job.phase.ended:
                self.checkpoints[trial] += 1
                loss = random.Random(trial).random() + 1 / self.checkpoints[trial]
                await log_loss(self.cluster, job.run, loss, step=self.checkpoints[trial])
                if self.checkpoints[trial] == EPOCHS:
                    self.cluster.end((trial, number), Phase.SUCCEEDED)


def swept(*, crashes: int | None = None, parallel: int = 1, **changes: Any) -> tuple[SimulatedCluster, Trainers]:
    """A sweep from its beginning to its end, in the course of which the operator is killed again and again."""
    trials = {"max": TRIALS, "parallel": parallel}
    cluster = SimulatedCluster(make_spec(**{"trials": trials, "earlyStopping": PROMOTE, **changes}))
    trainers = Trainers(cluster)
    run_to_end(cluster, trainers, crashes=crashes)
    return cluster, trainers


def told(cluster: SimulatedCluster) -> dict[int, Told]:
    found = {}
    for run in cluster.store.runs.values():
        if run.tags.get(records.KIND) == records.KIND_TRIAL:
            said = [run.tags.get(tag, "") for tag in (records.OUTCOME, records.REASON, records.MESSAGE, records.RUNG)]
            found[int(run.tags[records.TRIAL])] = Told(*said, attempts=int(run.tags[records.ATTEMPT]))
    return found


def trained_twice(cluster: SimulatedCluster) -> list[list[int]]:
    """Steps of curves that are not 1, 2, 3, …"""
    steps = [[p.step for p in points] for (_, metric), points in cluster.store.points.items() if metric == "loss"]
    return [its for its in steps if its != list(range(1, len(its) + 1))]


def test_who_is_among_the_best_after_all_goes_on_from_its_checkpoint() -> None:
    """No epoch is trained twice; what was never resumed ends as stopped, with rule and rung; the best is the best."""
    cluster, trainers = swept()
    full, _ = swept(earlyStopping=None)
    trials = told(cluster)
    resumed = [trial for trial in trials.values() if trial.attempts > 1]
    stopped = [trial for trial in trials.values() if trial.outcome == Outcome.STOPPED]
    assert len(resumed) >= 2
    assert len(stopped) > TRIALS / 2
    assert {(trial.reason, trial.rung) for trial in stopped} == {("ASHA", "1"), ("ASHA", "3")}
    assert all(trial.message.startswith(f"paused at budget {trial.rung} with ") for trial in stopped)
    assert sum(trainers.checkpoints.values()) < 0.5 * TRIALS * EPOCHS
    assert not trained_twice(cluster)
    assert cluster.status["best"]["trial"] == full.status["best"]["trial"]
    assert trainers.most_paused > 3
    assert cluster.status["trials"]["paused"] == 0
    assert cluster.status["trials"]["stopped"] == len(stopped)
    assert not cluster.active()


@pytest.mark.parametrize("crashes", range(8))
def test_crashes_lose_no_pause_and_no_promotion(crashes: int) -> None:
    """The same trials wait, go on and stop, at the same rungs, after as many attempts, as in a sweep that was left alone."""
    alone, _ = swept()
    cluster, trainers = swept(crashes=crashes)
    assert told(cluster) == told(alone)
    assert cluster.status["best"] == alone.status["best"] | {"run": cluster.status["best"]["run"]}
    assert trainers.most == 1


@pytest.mark.parametrize("crashes", range(4))
def test_side_by_side_no_more_run_than_may(crashes: int) -> None:
    """A paused trial's slot is another's, and a promoted one takes one again; each epoch is still trained once."""
    cluster, trainers = swept(crashes=crashes, parallel=4)
    assert trainers.most == 4
    assert {trial.outcome for trial in told(cluster).values()} == {Outcome.STOPPED, Outcome.SUCCEEDED}
    assert not trained_twice(cluster)


def test_a_search_from_before_a_pause_does_not_take_it_back() -> None:
    """Its answer came late, and still shows the trial as open; one that was promoted has a further attempt."""
    cluster = SimulatedCluster(make_spec(trials={"max": 2, "parallel": 2}, earlyStopping=PROMOTE))
    asyncio.run(_paused_while_searching(cluster))


async def _paused_while_searching(cluster: SimulatedCluster) -> None:
    host = SimulatedHost(cluster)
    for _ in range(5):
        cluster.catch_up()
        await host.look()
        cluster.now += 1
    keeper, search = host.loop.keeper, cluster.store.search
    book, ledger = keeper.book, keeper.ledger
    assert book is not None
    assert ledger is not None
    searched, answered = asyncio.Event(), asyncio.Event()

    async def slow(**asked: Any) -> list[Run]:
        found = await search(**asked)
        searched.set()
        await answered.wait()
        return found

    cluster.store.search = slow  # type: ignore[method-assign]
    reading = asyncio.create_task(keeper.read(cluster.spec))
    await searched.wait()
    trial = replace(book.open[0], rungs={1: Mark(0.5, cluster.now)})
    result = Result(outcome=Outcome.PAUSED, value=0.5, reason="ASHA", message="paused", ended=cluster.now)
    book.take(await ledger.pause(trial, result, rung=1, charged=0))
    answered.set()
    await reading
    assert (list(book.paused), list(book.open)) == ([0], [1])
