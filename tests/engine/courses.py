"""Courses of a sweep in the simulated cluster: the operator looks, the trials' Jobs do what a test says, and time passes.

A `Course` is one whose every step a test may choose, its Jobs done in one look or two; `run_to_end` is one whose trainers
go on for many looks, while the operator is killed again and again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from hypersweep.core.conditions import is_true
from hypersweep.core.trial import Attempt, Phase
from tests.engine.simulation import Killed, SimulatedCluster, SimulatedHost

LATER = 70.0  # seconds: longer than the ledger's open trials go unread
LOOKS = 3  # of the operator in a second
SECONDS = 1500
KILLS = 0.1  # of the looks

Train = Callable[[SimulatedCluster, Attempt], Awaitable[None]]


@contextmanager
def by_others(cluster: SimulatedCluster) -> Iterator[None]:
    """Requests to MLflow that are none of the operator's: no fault of its befalls them."""
    fail, cluster.store.fail = cluster.store.fail, lambda *_: None
    yield
    cluster.store.fail = fail


async def train(
    cluster: SimulatedCluster,
    job: Attempt,
    *,
    metrics: dict[str, float],
    phase: Phase = Phase.SUCCEEDED,
    reason: str = "",
    message: str = "",
) -> None:
    """A whole training: it logs these, and its Job ends."""
    with by_others(cluster):
        await cluster.store.log(job.run, metrics=metrics)
    cluster.end((job.trial, job.number), phase, reason=reason, message=message)


async def hold(_cluster: SimulatedCluster, _job: Attempt) -> None:
    """A training that neither logs nor ends."""


@dataclass
class Course:
    """Looks of an operator's process at a sweep, `pause` seconds apart, between which `train` is done by each running Job.

    A process that is killed is followed by another one if `revived`; else Killed is the caller's.
    """

    host: SimulatedHost
    train: Train
    pause: float = LATER
    revived: bool = False

    async def look(self) -> None:
        """One look, and what happens until the next."""
        cluster = self.host.world
        cluster.catch_up()
        try:
            await self.host.look()
        except Killed:
            if not self.revived:
                raise
            self.host = SimulatedHost(cluster)
        cluster.now += self.pause
        for job in list(cluster.jobs.values()):
            if not job.phase.ended:
                await self.train(cluster, job)

    async def until(self, done: Callable[[], bool], *, looks: int = 40) -> None:
        """Look until it is `done`, which it must be after so many."""
        for _ in range(looks):
            await self.look()
            if done():
                return
        raise AssertionError(f"it has not come to that: {self.host.world.status}")

    async def to_the_end(self) -> None:
        """Until the sweep has finished, well or not."""
        await self.until(lambda: is_true(self.host.world.status, "Finished"))


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
    with by_others(cluster):
        await cluster.store.log(run, metrics={"loss": loss}, step=step)
