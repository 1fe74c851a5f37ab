"""Any request's answer may be lost, at any time, also when the next look comes only after the ledger was read again."""

import asyncio

import pytest

from hypersweep.core.status import is_true
from hypersweep.core.trial import Outcome, Phase, Reason
from hypersweep.tracking import records
from hypersweep.tracking.base import Run
from tests.core.builders import make_spec
from tests.engine.simulation import SimulatedCluster, SimulatedHost

LATER = 70.0  # seconds: longer than the ledger's open trials go unread


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
    host = SimulatedHost(cluster)
    cluster.faults.set(kind, n)
    for _ in range(40):
        cluster.catch_up()
        await host.look()
        cluster.now += LATER
        for key, job in list(cluster.jobs.items()):
            if not job.phase.ended:
                await _log(cluster, job.run)
                reason = "" if phase is Phase.SUCCEEDED else Reason.OUT_OF_MEMORY
                cluster.end(key, phase, reason=reason)
        if is_true(cluster.status, "Finished"):
            return cluster, cluster.faults.countdown < 0
    raise AssertionError(f"it has not ended: {cluster.status}")


async def _log(cluster: SimulatedCluster, run: str) -> None:
    """The trainer logs its objective: that is no request of the operator's."""
    fail, cluster.store.fail = cluster.store.fail, lambda *_: None
    await cluster.store.log(run, metrics={"loss": 0.5})
    cluster.store.fail = fail


def _trials(cluster: SimulatedCluster) -> list[Run]:
    return [
        run
        for run in cluster.store.runs.values()
        if run.tags.get(records.KIND) == records.KIND_TRIAL and run.tags[records.OUTCOME] != records.SUPERSEDED
    ]
