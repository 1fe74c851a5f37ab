"""A sweep in the simulated cluster from its beginning to its end, its operator killed again and again."""

import asyncio
import random
from typing import Protocol

from hypersweep.core.conditions import is_true
from tests.engine.simulation import Killed, SimulatedCluster, SimulatedHost

LOOKS = 3  # of the operator in a second
SECONDS = 1500
KILLS = 0.1  # of the looks


class Trainers(Protocol):
    """What happens in the trials' Jobs."""

    async def tick(self) -> None:
        """A second passes."""


def run_to_end(cluster: SimulatedCluster, trainers: Trainers, *, crashes: int | None = None) -> None:
    """Run it until it is complete. `crashes`: the seed of when the operator is killed; None: it never is."""
    asyncio.run(_whole(cluster, trainers, crashes))
    assert is_true(cluster.status, "Complete"), cluster.status


async def _whole(cluster: SimulatedCluster, trainers: Trainers, crashes: int | None) -> None:
    chance = random.Random(crashes)
    host = SimulatedHost(cluster)
    for _ in range(SECONDS):
        for _ in range(LOOKS):
            cluster.catch_up()
            if crashes is not None and chance.random() < KILLS:
                cluster.faults.set(chance.choice(["kill before", "kill after"]), chance.randint(1, 6))
            try:
                await host.look()
            except Killed:
                await asyncio.gather(*host.loop._tasks, return_exceptions=True)
                host = SimulatedHost(cluster)
            cluster.faults.set("", -1)
        if is_true(cluster.status, "Finished"):
            return
        await trainers.tick()


async def log_loss(cluster: SimulatedCluster, run: str, loss: float, *, step: int) -> None:
    """What a trainer logs: no fault of the operator's befalls it."""
    fail, cluster.store.fail = cluster.store.fail, lambda *_: None
    await cluster.store.log(run, metrics={"loss": loss}, step=step)
    cluster.store.fail = fail
