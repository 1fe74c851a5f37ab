"""Any request's answer may be lost, at any time, also when the next look comes only after the ledger was read again."""

import asyncio
from collections import Counter
from functools import partial

import pytest

from hypersweep.core.errors import TrackingUnavailable
from hypersweep.core.trial import Outcome, Phase, Reason
from hypersweep.tracking import records
from hypersweep.tracking.base import Run
from tests.core.builders import make_spec
from tests.engine.courses import Course, hold, train
from tests.engine.simulation import SimulatedCluster, SimulatedHost


@pytest.mark.parametrize("kind", ["fail before", "fail after"])
@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED])
def test_one_run_a_trial_whichever_answer_is_lost(kind: str, phase: Phase) -> None:
    """The n-th request of a sweep fails, for every n until there are no more; each trial still has one run and one Job."""
    struck, n = True, 0
    while struck:
        n += 1
        cluster, struck = asyncio.run(_sweep(kind, n, phase))
        trials = [run.tags[records.TRIAL] for run in _trials(cluster)]
        assert sorted(trials) == ["0", "1"], f"request {n}"
        assert all(run.tags[records.OUTCOME] != Outcome.OPEN for run in _trials(cluster)), f"request {n}"
        assert sorted(cluster.launched) == [(0, 1), (1, 1)], f"request {n}"
    assert n > 15, "a sweep of two trials takes more requests than that"


async def _sweep(kind: str, n: int, phase: Phase) -> tuple[SimulatedCluster, bool]:
    """A sweep of two trials, one after the other, and whether it came to its n-th request."""
    cluster = SimulatedCluster(make_spec(trials={"max": 2, "parallel": 1, "attempts": 1, "maxFailed": 2}))
    cluster.faults.set(kind, n)
    reason = "" if phase is Phase.SUCCEEDED else Reason.OUT_OF_MEMORY
    trained = partial(train, metrics={"loss": 0.5}, phase=phase, reason=reason)
    await Course(SimulatedHost(cluster), trained).to_the_end()
    return cluster, cluster.faults.countdown < 0


def _trials(cluster: SimulatedCluster) -> list[Run]:
    return [
        run
        for run in cluster.store.runs.values()
        if run.tags.get(records.KIND) == records.KIND_TRIAL and run.tags[records.OUTCOME] != records.SUPERSEDED
    ]


def test_a_trial_that_was_reopened_runs_though_the_answer_was_lost_and_the_token_has_changed_since() -> None:
    """The ledger holds it open, under the token of then: whoever asks for another meanwhile must not leave it so."""
    asyncio.run(_reopened())


async def _reopened() -> None:
    cluster = SimulatedCluster(make_spec(trials={"max": 2, "parallel": 1, "attempts": 1, "maxFailed": 2}, retry="b"))
    host = SimulatedHost(cluster)
    course = Course(host, hold)
    await course.until(lambda: bool(cluster.active()))
    cluster.end((0, 1), Phase.FAILED, reason=Reason.CRASHED)
    await course.until(lambda: 1 in cluster.active())
    await host.look()  # and a heartbeat with it, so that the next request that logs is that which reopens
    cluster.edit(retry="a")
    cluster.store.fail = lambda _n, verb, when: (
        cluster.faults.strike(when, TrackingUnavailable) if verb == "log" else None
    )
    cluster.faults.set("fail after", 1)
    await host.look()
    assert cluster.faults.countdown < 0, "no answer was lost"
    cluster.edit(retry="b")
    await host.look()
    cluster.end((1, 1), Phase.FAILED, reason=Reason.OUT_OF_MEMORY)
    await course.until(lambda: (0, 2) in cluster.launched)


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("struck", range(4))
def test_every_point_is_tried_once_whichever_answer_to_a_plan_is_lost(struck: int, seed: int, lost: str) -> None:
    """Four points, all asked for at once: those who ask after the loss know the point that is in doubt, and it is tried."""
    cluster = asyncio.run(_four_points(struck, seed, lost))
    assert sorted(run.tags[records.PARAMETERS] for run in _trials(cluster)) == [f'{{"lr":{n}}}' for n in (1, 2, 3, 4)]
    assert [c["reason"] for c in cluster.status["conditions"] if c["type"] == "Finished"] == ["SpaceExhausted"]


async def _four_points(struck: int, seed: int, lost: str) -> SimulatedCluster:
    """A sweep over all of a small space; making the run of one trial is struck."""
    points = {"name": "lr", "type": "Discrete", "numbers": [1, 2, 3, 4]}
    strategy = {"name": "Random", "seed": seed}
    cluster = SimulatedCluster(make_spec(parameters=[points], strategy=strategy, trials={"max": 9, "parallel": 4}))
    made: Counter[str] = Counter()

    def fail(_number: int, verb: str, when: str) -> None:
        made[when] += verb == "create_run"
        if (verb, when, made[when]) == ("create_run", lost, 2 + struck):  # the first is the sweep's own
            raise TrackingUnavailable("injected")

    cluster.store.fail = fail
    await Course(SimulatedHost(cluster), partial(train, metrics={"loss": 0.5}), pause=2.0).to_the_end()
    return cluster
