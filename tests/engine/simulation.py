"""A sweep's surroundings in memory: a cluster whose Jobs do what a test says, and faults at any request.

Beside the real ones, for speed: the ledger is the real one on FakeStore (which passes the stores' conformance suite), the
loop is the real one; only Jobs are pretended. Everything here survives a crash of the operator but the operator.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypersweep.controller.host import Source
from hypersweep.controller.loop import SweepLoop
from hypersweep.controller.world import TrackingTarget
from hypersweep.core.errors import LaunchDelayed, TrackingUnavailable
from hypersweep.core.events import Event
from hypersweep.core.resources import Usage
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Attempt, Phase, Reason, Trial
from hypersweep.tracking.ledger import Identity, Ledger, Owner, search_hash
from tests.fakes.store import FakeStore

START = 1_000_000.0


class Killed(BaseException):
    """kill -9: no handler of the operator's may see it as an error."""


class Faults:
    """What happens at the n-th request from now: `kill` or `fail`, `before` it takes effect or `after` (the answer is lost)."""

    def __init__(self) -> None:
        self.countdown = -1
        self.kind = ""
        self.dead = False
        self.requests = 0

    def set(self, kind: str, countdown: int) -> None:
        self.kind, self.countdown = kind, countdown

    def strike(self, when: str, error: type[Exception]) -> None:
        """Called before and after each request's effect."""
        if self.dead:
            raise Killed
        if when == "before":
            self.requests += 1
            self.countdown -= 1
        if self.countdown != 0 or when not in self.kind:
            return
        self.countdown = -1
        if "kill" in self.kind:
            self.dead = True
            raise Killed
        raise error("injected")


class SimulatedCluster:
    """Jobs by (trial, attempt), and the sweep object. Implements the World protocol."""

    def __init__(self, spec: SweepSpec) -> None:
        self.spec, self.generation, self.status = spec, 1, dict[str, Any](observedGeneration=-1)
        self.now = START
        self.jobs: dict[tuple[int, int], Attempt] = {}
        self.seen: dict[tuple[int, int], Attempt] = {}  # what the operator's cache shows
        self.launched: list[tuple[int, int]] = []
        self.hours: Counter[int] = Counter()  # of a core, that each trial's Jobs have had
        self.cut: set[int] = set()  # trials of which a Job was deleted that ran, or seemed to
        self.crashed_unseen: Counter[int] = Counter()  # Jobs of each trial that crashed and were deleted as if they ran
        self.events: list[Event] = []
        self.faults = Faults()
        self.store = FakeStore(clock=lambda: self.now)
        self.store.fail = lambda _n, _verb, when: self.faults.strike(when, TrackingUnavailable)

    def attempts(self) -> Sequence[Attempt]:
        return list(self.seen.values())

    def image(self) -> str:
        return "image:1"

    async def check(self) -> None:
        return

    async def launch(self, trial: Trial, *, tracking: TrackingTarget) -> None:
        self.faults.strike("before", LaunchDelayed)
        key = (trial.index, trial.attempt)
        if key not in self.jobs:
            self.jobs[key] = Attempt(
                trial=trial.index,
                number=trial.attempt,
                phase=Phase.RUNNING,
                created=self.now,
                started=self.now,
                run=trial.run,
                where=f"pod-{key}",
                usage=(Usage(id=f"pod{len(self.launched)}", amounts=(("cpu", 1.0),), since=self.now),),
            )
            self.launched.append(key)
        self.faults.strike("after", LaunchDelayed)
        self.seen[key] = self.jobs[key]

    async def remove(self, attempt: Attempt) -> None:
        self.faults.strike("before", LaunchDelayed)
        gone = self.delete((attempt.trial, attempt.number))
        if not attempt.phase.ended:  # as far as the operator knows
            self.cut.add(attempt.trial)
            self.crashed_unseen[attempt.trial] += gone is not None and gone.reason == Reason.CRASHED
        self.faults.strike("after", LaunchDelayed)
        self.seen.pop((attempt.trial, attempt.number), None)

    async def report(self, status: Mapping[str, Any], events: Sequence[Event]) -> None:
        self.faults.strike("before", LaunchDelayed)
        self.status = dict(status)
        self.events += events
        self.faults.strike("after", LaunchDelayed)

    # ---- what a test does --------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """The operator's cache sees all Jobs as they are."""
        self.seen = dict(self.jobs)

    def end(self, key: tuple[int, int], phase: Phase, *, reason: str = "", message: str = "") -> None:
        """A Job ends."""
        usage = replace(self.jobs[key].usage[0], until=self.now)
        self.hours[key[0]] += usage.hours(self.now)["cpu"]
        self.jobs[key] = replace(
            self.jobs[key], phase=phase, reason=reason, message=message, ended=self.now, usage=(usage,)
        )

    def delete(self, key: tuple[int, int]) -> Attempt | None:
        """A Job goes, whoever wants it."""
        job = self.jobs.pop(key, None)
        if job is not None and not job.phase.ended:
            self.hours[key[0]] += job.usage[0].hours(self.now)["cpu"]
            self.cut.add(key[0])
        return job

    def edit(self, **trials: Any) -> None:
        """An edit of the object; fields of `trials`, or of the spec itself."""
        document = self.spec.model_dump(by_alias=True, exclude_none=True)
        for name, value in trials.items():
            place = document if name in ("suspend", "retry", "stopWhen", "onComplete") else document["trials"]
            place[name] = value
        self.spec, self.generation = SweepSpec.model_validate(document), self.generation + 1

    def active(self) -> set[int]:
        """Trials that have a Job which has not ended."""
        return {trial for (trial, _), job in self.jobs.items() if not job.phase.ended}


class SimulatedHost:
    """The operator's process: what a crash takes away. Implements the Host protocol."""

    ui = ""
    trial_uri = "memory://"

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.world = cluster
        self.owner = Owner(operator="simulation", sweep="uid-1")
        cluster.faults.dead = False
        self.loop = SweepLoop(self, clock=lambda: cluster.now)

    def source(self) -> Source:
        return Source(generation=self.world.generation, status=self.world.status)

    def admit(self) -> SweepSpec:
        return self.world.spec

    def ledger(self, spec: SweepSpec) -> Ledger:
        return Ledger(self.world.store, Identity(sweep="a/b", search=search_hash(spec), experiment="a/b"), lineage={})

    def alive(self, uid: str) -> bool:
        return False

    async def look(self) -> float:
        """One turn and everything that it began."""
        try:
            wait = await self.loop.look()
        finally:  # a killed task that nobody asked for its exception would print it whenever it is collected
            await asyncio.gather(*self.loop._tasks, return_exceptions=True)
        if self.world.faults.dead:
            raise Killed
        return wait
