"""What a sweep has used is not forgotten when pods go while MLflow is away."""

import asyncio
import json

import pytest

from hypersweep.core.errors import TrackingUnavailable
from hypersweep.core.trial import Phase
from hypersweep.tracking import records
from tests.core.builders import make_spec
from tests.engine.simulation import SimulatedCluster, SimulatedHost

HOUR = 3600.0


def away(cluster: SimulatedCluster) -> None:
    """MLflow answers nothing from now on."""

    def fail(_number: int, _verb: str, _when: str) -> None:
        raise TrackingUnavailable("connection refused")

    cluster.store.fail = fail


def back(cluster: SimulatedCluster) -> None:
    cluster.store.fail = lambda _number, _verb, _when: None


async def looks(host: SimulatedHost, count: int = 6) -> None:
    """So many, a minute apart."""
    for _ in range(count):
        host.world.catch_up()
        await host.look()
        host.world.now += 60.0


def in_ledger(cluster: SimulatedCluster) -> float:
    """Core hours that the trials' runs tell of."""
    tags = [run.tags.get(records.RESOURCES, "{}") for run in cluster.store.runs.values() if records.TRIAL in run.tags]
    return sum(used["cpu"] for tag in tags for used in json.loads(tag).values())


@pytest.mark.parametrize("resumed", [False, True], ids=["while it is suspended", "after it has gone on"])
def test_a_suspension_while_mlflow_is_away_is_in_the_ledger_when_it_is_back(*, resumed: bool) -> None:
    """The pods go at once, and what they used is written down later, once, whether the trial runs again by then or not."""

    async def course() -> None:
        cluster = SimulatedCluster(make_spec(trials={"max": 2, "parallel": 2}))
        host = SimulatedHost(cluster)
        await looks(host)
        assert len(cluster.active()) == 2
        cluster.now += HOUR
        away(cluster)
        cluster.edit(suspend=True)
        await looks(host)
        assert cluster.active() == set()
        assert sum(cluster.hours.values()) > 2
        assert in_ledger(cluster) < 0.5
        shown = cluster.status["resourceHours"]["cpu"]
        assert shown == pytest.approx(sum(cluster.hours.values()), rel=0.1)
        if resumed:
            cluster.edit(suspend=False)
            await looks(host)
        spent = sum(cluster.hours.values())
        back(cluster)
        await looks(host, 12)
        assert in_ledger(cluster) == pytest.approx(spent)
        await looks(SimulatedHost(cluster))  # a restart finds it there
        assert in_ledger(cluster) == pytest.approx(spent)
        cluster.edit(suspend=False)
        host = SimulatedHost(cluster)
        await looks(host)
        for trial, number in list(cluster.jobs):
            await cluster.store.log(cluster.jobs[trial, number].run, metrics={"loss": 1.0})
            cluster.end((trial, number), Phase.SUCCEEDED)
        await looks(host)
        assert in_ledger(cluster) == pytest.approx(sum(cluster.hours.values()))
        assert cluster.status["resourceHours"]["cpu"] == pytest.approx(sum(cluster.hours.values()), rel=0.001)

    asyncio.run(course())
