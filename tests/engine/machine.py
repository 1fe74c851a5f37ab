"""What can befall a sweep: Job events, edits, stale views, lost answers, and crashes at any request, as Hypothesis rules."""

import asyncio
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from hypersweep.core.range_test import ANSWER, is_range_test
from hypersweep.core.trial import Outcome, Phase, Reason
from hypersweep.tracking import records
from tests.core.builders import make_spec
from tests.engine.simulation import Killed, SimulatedCluster, SimulatedHost

LOSS = {"metric": "loss", "goal": "Minimize"}
RANGE: dict[str, Any] = {"name": "lr", "type": "Float", "min": 1e-5, "max": 0.1}
FOUR_POINTS: dict[str, Any] = {"name": "lr", "type": "Discrete", "numbers": [1, 2, 3, 4]}
HALVING: dict[str, Any] = {"type": "ASHA", "asha": {"minBudget": 1, "reductionFactor": 2}}
KINDS = st.sampled_from(["one", "several", "repeats", "racing"])
VALUES = st.sampled_from([0.1, 0.2, 0.2, 0.5, 1.0, math.nan, math.inf, None])
BAD_ENDS = st.sampled_from(
    [Reason.CRASHED, Reason.CRASHED, Reason.OUT_OF_MEMORY, Reason.INTERRUPTED, Reason.DEADLINE_EXCEEDED]
)
STALE = st.sampled_from([False, False, False, True])
MILLISECONDS = st.sampled_from([5.0, 10.0, 10.0, 30.0, None])  # of which 20 are allowed
FAULTS = st.sampled_from(["", "", "", "fail before", "fail after", "kill before", "kill after"])


class AtOnce(ThreadPoolExecutor):
    """What is asked of a thread is done at once: an example that Hypothesis repeats must come out the same."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done = Future[Any]()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  (whoever asked gets it)
            done.set_exception(error)
        return done


class World(RuleBasedStateMachine):
    """One sweep and all that can befall it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.runner.get_loop().set_default_executor(AtOnce())
        self.parameters: dict[str, str] = {}
        self.crashes: Counter[int] = Counter()
        self.epochs: Counter[int] = Counter()  # that each trial has logged, one a Job and turn
        # Hours after its end in which the operator took a Job for running, by trial and attempt.
        self.unseen: dict[tuple[int, int], float] = defaultdict(float)
        self.finished: tuple[int, str] | None = None
        self.launched_by_end = 0

    @initialize(
        parallel=st.integers(1, 3),
        most=st.integers(1, 6),
        finite=st.booleans(),
        constrained=st.booleans(),
        kind=KINDS,
        stopping=st.booleans(),
        tested=st.booleans(),
    )
    def begin(
        self, parallel: int, most: int, finite: bool, *, constrained: bool, kind: str, stopping: bool, tested: bool
    ) -> None:
        self.start(
            objectives=[LOSS, {"metric": "ms", "goal": "Maximize"}] if kind == "several" else [LOSS],
            repeats={"count": 1 if kind in ("one", "several") else 2, "racing": kind == "racing"},
            parameters=[FOUR_POINTS if finite else RANGE],
            constraints=[{"metric": "ms", "max": 20}] if constrained else [],
            **({"learningRateRangeTest": {"parameter": "lr"}} if tested and not finite else {}),
            trials={"parallel": parallel, "max": most, "attempts": 2, "maxFailed": 2},
            earlyStopping=HALVING if stopping else None,
        )

    def start(self, **spec: Any) -> None:
        self.cluster = SimulatedCluster(make_spec(**spec))
        self.host = SimulatedHost(self.cluster)
        self.allowed, self.most = spec["trials"]["parallel"], spec["trials"]["max"]

    # ---- what can happen ---------------------------------------------------------------------------------------------

    @rule(
        fault=FAULTS,
        countdown=st.integers(1, 12),
        times=st.integers(1, 8),
        pace=st.sampled_from([0.7, 0.7, 11.0]),
        stale=STALE,
    )
    def look(self, fault: str, countdown: int, times: int, pace: float, stale: bool) -> None:
        """The loop turns a few times, perhaps into a fault, perhaps on an old view."""
        self.cluster.faults.set(fault, countdown if fault else -1)
        try:
            self.turn(times=times, pace=pace, stale=stale)
        except Killed:
            self.host = SimulatedHost(self.cluster)
        self.cluster.faults.set("", -1)

    @rule()
    def crash(self) -> None:
        """kill -9 between two looks."""
        self.host = SimulatedHost(self.cluster)

    @rule(seconds=st.sampled_from([1, 15, 70, 700]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.cluster.now += seconds

    @precondition(lambda self: self.cluster.active())
    @rule(pick=st.integers(0, 10), value=st.sampled_from([0.1, 0.5, 1.0, math.nan]), step=st.integers(1, 5))
    def train(self, pick: int, value: float, step: int) -> None:
        """A Job logs a point of its curve."""
        self.runner.run(self.log(self.cluster.jobs[self._running(pick)].run, {"loss": value}, step=step))

    @precondition(lambda self: self.cluster.active())
    @rule(pick=st.integers(0, 10), value=VALUES, ms=MILLISECONDS)
    def succeed(self, pick: int, value: float | None, ms: float | None) -> None:
        """A Job ends well, its metrics logged or not."""
        key = self._running(pick)
        logged = {name: found for name, found in (("loss", value), ("ms", ms)) if found is not None}
        if logged:
            self.runner.run(self.log(self.cluster.jobs[key].run, logged))
        if logged and is_range_test(key[0]):
            self.runner.run(self._answer(self.cluster.jobs[key].run))
        self.cluster.end(key, Phase.SUCCEEDED)

    @precondition(lambda self: self.cluster.active())
    @rule(pick=st.sampled_from([0, 0, 0, 1, 2]), reason=BAD_ENDS)
    def fail(self, pick: int, reason: Reason) -> None:
        """A Job ends badly; more often the same trial's, so that attempts run out."""
        key = self._running(pick)
        self.cluster.end(key, Phase.FAILED, reason=reason, message=f"message {'abcdefghij'[key[0] % 10]}")
        self.crashes[key[0]] += reason is Reason.CRASHED

    @precondition(lambda self: self.cluster.jobs)
    @rule(pick=st.integers(0, 10))
    def vanish(self, pick: int) -> None:
        """Somebody deletes a Job. A crash that nobody has seen then never was."""
        keys = sorted(self.cluster.jobs)
        gone = self.cluster.delete(keys[pick % len(keys)])
        assert gone is not None
        self.cluster.cut.add(gone.trial)
        if gone.reason == Reason.CRASHED and self._newest_attempt(gone.run) == gone.number:
            self.crashes[gone.trial] -= 1

    @rule(parallel=st.integers(0, 3))
    def edit_parallel(self, parallel: int) -> None:
        self.allowed = max(parallel, len(self.cluster.active()), self.allowed)
        self.cluster.edit(parallel=parallel)

    @rule(more=st.integers(1, 3))
    def raise_max(self, more: int) -> None:
        self.most = min(12, self.cluster.spec.trials.max + more)
        self.cluster.edit(max=self.most)

    @rule(suspend=st.sampled_from([False, False, True]))
    def suspend(self, suspend: bool) -> None:
        self.cluster.edit(suspend=suspend)

    @rule(token=st.sampled_from("ab"))
    def retry(self, token: str) -> None:
        self.cluster.edit(retry=token, maxFailed=4)
        self.crashes.clear()
        self.cluster.crashed_unseen.clear()

    # ---- reading and doing -------------------------------------------------------------------------------------------

    def turn(self, *, times: int, pace: float, stale: bool = False) -> None:
        for _ in range(times):
            if not stale:
                self.cluster.catch_up()
            self._note_what_ended_unseen()
            self.runner.run(self.host.look())
            self.cluster.now += pace

    def _note_what_ended_unseen(self) -> None:
        for key, seen in self.cluster.seen.items():
            job = self.cluster.jobs.get(key)
            if not seen.phase.ended and (job is None or job.phase.ended):
                since = job.ended if job is not None and job.ended else seen.started
                self.unseen[key] = max(self.unseen[key], (self.cluster.now - (since or 0.0)) / 3600)

    def _running(self, pick: int) -> tuple[int, int]:
        keys = sorted(key for key, job in self.cluster.jobs.items() if not job.phase.ended)
        picked = keys[pick % len(keys)]
        run = self.cluster.store.runs.get(self.cluster.jobs[picked].run)
        if run is None or run.tags[records.OUTCOME] != Outcome.OPEN:
            self.cluster.cut.add(picked[0])  # we have ended it, and it shuts down
        return picked

    async def _answer(self, run: str) -> None:
        """A range test's trainer says what it found."""
        said = {"verdict": "Falls", "reason": "because", "suggestion": {"min": 0.001, "max": 0.01}}
        await self.cluster.store.log(run, tags={ANSWER: json.dumps(said)})

    async def log(self, run: str, metrics: dict[str, float], *, step: int = 9) -> None:
        if run in self.cluster.store.runs:
            fail, self.cluster.store.fail = self.cluster.store.fail, lambda *_: None
            await self.cluster.store.log(run, metrics=metrics, step=step)
            self.cluster.store.fail = fail

    def _newest_attempt(self, run: str) -> int:
        return int(self.cluster.store.runs[run].tags[records.ATTEMPT])

    def trials(self) -> list[Any]:
        """The runs of trials: a range test's is none."""
        return [r for r in self.runs() if not is_range_test(int(r.tags[records.TRIAL]))]

    def runs(self) -> list[Any]:
        return [
            r
            for r in self.cluster.store.runs.values()
            if r.tags.get(records.KIND) == records.KIND_TRIAL and r.tags[records.OUTCOME] != records.SUPERSEDED
        ]

    def edited(self) -> bool:
        return bool(self.cluster.status.get("observedGeneration") != self.cluster.generation)
