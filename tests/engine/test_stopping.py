"""Early stopping in the whole engine: curves are read, verdicts made and written down, Jobs go; crashes change nothing."""

import json
import random
from typing import Any

import pytest

from hypersweep.core.trial import Outcome, Phase
from hypersweep.tracking import records
from tests.core.builders import make_spec
from tests.engine.courses import log_loss, run_to_end
from tests.engine.simulation import SimulatedCluster

EPOCHS = 9
ASHA = {"type": "ASHA", "asha": {"minBudget": 1, "reductionFactor": 3, "maxBudget": EPOCHS}, "poll": "1s"}


class Trainers:
    """Every running Job logs a point a second, and ends well after the last."""

    def __init__(self, cluster: SimulatedCluster, *, steps: bool = True) -> None:
        self.cluster, self.steps = cluster, steps
        self.epoch: dict[str, int] = {}
        self.epochs = 0

    async def tick(self) -> None:
        self.cluster.now += 1
        for key, job in list(self.cluster.jobs.items()):
            if job.phase.ended:
                continue
            epoch = self.epoch[job.run] = self.epoch.get(job.run, 0) + 1
            self.epochs += 1
            loss = random.Random(key[0]).random() + 1 / epoch
            await log_loss(self.cluster, job.run, loss, step=epoch if self.steps else 0)
            if epoch == EPOCHS:
                self.cluster.end(key, Phase.SUCCEEDED)


def swept(*, crashes: int | None = None, steps: bool = True, **changes: Any) -> tuple[SimulatedCluster, Trainers]:
    """A sweep from its beginning to its end, in the course of which the operator is killed again and again."""
    trials = {"max": 24, "parallel": 1, "maxFailed": 2}
    cluster = SimulatedCluster(make_spec(**{"trials": trials, "earlyStopping": ASHA, **changes}))
    trainers = Trainers(cluster, steps=steps)
    run_to_end(cluster, trainers, crashes=crashes)
    return cluster, trainers


def told(cluster: SimulatedCluster) -> dict[int, tuple[Any, ...]]:
    """What the ledger says of each trial, but for times."""
    found = {}
    for run in cluster.store.runs.values():
        if run.tags.get(records.KIND) == records.KIND_TRIAL:
            rungs = {b: value for b, (value, _) in json.loads(run.tags.get(records.RUNGS, "{}")).items()}
            value = json.loads(run.tags[records.RESULT])["value"]
            parameters, message = run.tags[records.PARAMETERS], run.tags[records.MESSAGE]
            found[int(run.tags[records.TRIAL])] = (run.tags[records.OUTCOME], value, rungs, parameters, message)
    return found


def test_hopeless_trials_are_stopped_and_the_rest_is_not() -> None:
    """Far fewer epochs, the same best; each stopped trial says at which budget and why, and its run is closed."""
    cluster, trainers = swept()
    full, _ = swept(earlyStopping=None)
    assert trainers.epochs < 0.6 * 24 * EPOCHS
    assert cluster.status["trials"]["stopped"] > 10
    assert cluster.status["best"]["trial"] == full.status["best"]["trial"]
    for outcome, value, rungs, _, message in told(cluster).values():
        if outcome == Outcome.STOPPED:
            last = max(rungs, key=int)
            assert value == rungs[last]
            assert message.startswith(f"stopped at budget {last} with ")
        else:
            assert list(rungs) == ["1", "3"]
    assert not any(job for job in cluster.jobs.values() if not job.phase.ended)


@pytest.mark.parametrize("crashes", range(6))
def test_crashes_change_no_verdict(crashes: int) -> None:
    """The same trials, stops, values and best as a sweep that was left alone."""
    alone, _ = swept()
    cluster, _ = swept(crashes=crashes)
    assert told(cluster) == told(alone)
    assert cluster.status["best"]["trial"] == alone.status["best"]["trial"]


def test_without_a_curve_nobody_is_judged_and_it_is_said() -> None:
    """A metric logged without steps has one place on the axis: no guess, but a count in the status."""
    cluster, _ = swept(steps=False, trials={"max": 3, "parallel": 1})
    assert cluster.status["trials"]["succeeded"] == 3
    assert cluster.status["earlyStopping"] == {"rule": "ASHA", "noCurve": 3}


def test_few_requests_are_made() -> None:
    """One search a look whatever the number of running trials; a curve is read where a rung was crossed, at the end (twice,
    where a look was under way just then), and once while nobody knows yet that the metric has curves.
    """
    cluster, _ = swept(trials={"max": 9, "parallel": 9})
    rungs = sum(len(r) for _, _, r, _, _ in told(cluster).values())
    succeeded = cluster.status["trials"]["succeeded"]
    assert cluster.store.requests.count("curve") <= rungs + 2 * succeeded + 9
