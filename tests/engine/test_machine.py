"""The engine under random interleavings: Job events, edits, stale views, lost answers, and crashes at any request.

A Hypothesis state machine over the real loop, decide, actor and ledger. After each step what must always hold does; and
whatever happened, a sweep that is then left alone comes to its end.
"""

import asyncio
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from statistics import fmean
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hypersweep.core.range_test import ANSWER, FIRST, is_range_test
from hypersweep.core.status import is_true
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


class Engine(RuleBasedStateMachine):
    """One sweep and all that can befall it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.runner.get_loop().set_default_executor(AtOnce())
        self.parameters: dict[str, str] = {}
        self.crashes: Counter[int] = Counter()
        self.epochs: Counter[int] = Counter()  # that each trial has logged, one a Job and turn
        self.unseen: dict[int, float] = defaultdict(
            float
        )  # hours after its end in which the operator took a Job for running
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
        self._begin(
            objectives=[LOSS, {"metric": "ms", "goal": "Maximize"}] if kind == "several" else [LOSS],
            repeats={"count": 1 if kind in ("one", "several") else 2, "racing": kind == "racing"},
            parameters=[FOUR_POINTS if finite else RANGE],
            constraints=[{"metric": "ms", "max": 20}] if constrained else [],
            **({"learningRateRangeTest": {"parameter": "lr"}} if tested and not finite else {}),
            trials={"parallel": parallel, "max": most, "attempts": 2, "maxFailed": 2},
            earlyStopping=HALVING if stopping else None,
        )

    def _begin(self, **spec: Any) -> None:
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
            self._turn(times=times, pace=pace, stale=stale)
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
        self.runner.run(self._log(self.cluster.jobs[self._running(pick)].run, {"loss": value}, step=step))

    @precondition(lambda self: self.cluster.active())
    @rule(pick=st.integers(0, 10), value=VALUES, ms=MILLISECONDS)
    def succeed(self, pick: int, value: float | None, ms: float | None) -> None:
        """A Job ends well, its metrics logged or not."""
        key = self._running(pick)
        logged = {name: found for name, found in (("loss", value), ("ms", ms)) if found is not None}
        if logged:
            self.runner.run(self._log(self.cluster.jobs[key].run, logged))
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

    # ---- what must always hold ---------------------------------------------------------------------------------------

    @invariant()
    def no_more_live_trials_than_parallel(self) -> None:
        assert len(self.cluster.active()) <= self.allowed

    @invariant()
    def no_more_trials_than_max(self) -> None:
        trials = {int(r.tags[records.TRIAL]) for r in self._runs()}
        assert len({index for index in trials if not is_range_test(index)}) <= self.most

    @invariant()
    def range_tests_come_first(self) -> None:
        """And narrow every trial, if they found something."""
        runs = {int(r.tags[records.TRIAL]): r for r in self._runs()}
        test = runs.pop(FIRST, None)
        if not hasattr(self, "cluster") or self.cluster.spec.learning_rate_range_test is None or not runs:
            return
        assert test is not None
        assert test.tags[records.OUTCOME] != Outcome.OPEN
        low, high = (0.001, 0.01) if test.tags[records.OUTCOME] == Outcome.SUCCEEDED else (1e-5, 0.1)
        assert all(low <= json.loads(r.tags[records.PARAMETERS])["lr"] <= high for r in runs.values())

    @invariant()
    def no_more_crashes_than_attempts(self) -> None:
        seen = self.crashes - self.cluster.crashed_unseen if hasattr(self, "cluster") else self.crashes
        assert all(n <= self.cluster.spec.trials.attempts for n in seen.values()), seen

    @invariant()
    def one_run_a_trial_once_things_are_settled(self) -> None:
        """Duplicates exist only while an answer is lost; two of them never both get a Job."""
        used = {(job.trial, job.run) for job in self.cluster.jobs.values()}
        assert len(used) == len({trial for trial, _ in used})

    @invariant()
    def parameters_never_change(self) -> None:
        for run in self._runs():
            assert self.parameters.setdefault(run.id, run.tags[records.PARAMETERS]) == run.tags[records.PARAMETERS]

    @invariant()
    def what_was_used_is_in_the_ledger_once(self) -> None:
        """Never more than was, or seemed to be; all of it, once a trial has ended whose Jobs came to their own end."""
        running = {job.trial for job in self.cluster.jobs.values() if not job.phase.ended}
        for run in self._runs():
            trial, spent = int(run.tags[records.TRIAL]), json.loads(run.tags.get(records.RESOURCES, "{}"))
            hours = sum(used["cpu"] for used in spent.values())
            if trial not in running:
                assert hours <= self.cluster.hours[trial] + self.unseen[trial] + 1e-6
            if run.tags[records.OUTCOME] != Outcome.OPEN and trial not in running | self.cluster.cut:
                assert math.isclose(hours, self.cluster.hours[trial], abs_tol=self.unseen[trial] + 1e-6)

    @invariant()
    def counts_add_up(self) -> None:
        counts = self.cluster.status.get("trials")
        if counts:
            ended = sum(counts[o.value.lower()] for o in Outcome if o.over)
            assert ended + counts["paused"] <= counts["created"] <= self.most
            assert self.cluster.status["progress"].startswith(f"{ended}/")

    @invariant()
    def best_is_the_best(self) -> None:
        """Of what the status tells of, nothing that was committed before is better."""
        best = self.cluster.status.get("best")
        if best and is_true(self.cluster.status, "Finished") and not self._edited():
            won = [r for r in self._trials() if r.tags[records.OUTCOME] == "Succeeded"]
            if self.cluster.spec.repeats.count > 1:  # of which one that was stopped counts in the mean, too
                assert self.cluster.spec.early_stopping or best["objectives"]["loss"] in self._means(won)
            elif len(self.cluster.spec.objectives) == 1:
                assert best["objectives"]["loss"] == min(self._values(r)[0] for r in won)
            else:
                assert [e["objectives"] for e in self.cluster.status["paretoFront"]] == _front(map(self._values, won))
                assert best in self.cluster.status["paretoFront"]

    @invariant()
    def what_succeeded_keeps_its_constraints(self) -> None:
        """And what is beyond one says so, with the amount."""
        if not hasattr(self, "cluster") or not self.cluster.spec.constraints:
            return
        for run in self._trials():
            outcome, result = run.tags[records.OUTCOME], json.loads(run.tags.get(records.RESULT) or "{}")
            ms = run.metrics["ms"].value if "ms" in run.metrics else None
            if outcome == Outcome.SUCCEEDED:
                assert ms is not None
                assert ms <= 20
            if run.tags.get(records.REASON) == Reason.CONSTRAINT_VIOLATED:
                assert (outcome, ms, result["violation"]) == (Outcome.INFEASIBLE, 30, 0.5)

    @invariant()
    def the_end_is_the_end(self) -> None:
        """Within a generation, a finished sweep stays finished and launches nothing."""
        if self.finished is not None and self.finished[0] == self.cluster.generation:
            assert self._end() == self.finished
            assert len(self.cluster.launched) == self.launched_by_end
        self.finished, self.launched_by_end = self._end(), len(self.cluster.launched)
        if self.finished is not None:
            assert (
                not self.cluster.active()
                or set(self.cluster.seen) != set(self.cluster.jobs)
                or self._edited()
                or self._only_leftovers()
            )

    def teardown(self) -> None:
        """Left alone, with every Job a success, the sweep ends, and every trial has an outcome."""
        if hasattr(self, "cluster"):
            self.cluster.edit(suspend=False, parallel=2)
            self.allowed = 3
            for _ in range(120):
                self.cluster.catch_up()
                self.runner.run(self.host.look())
                for key, job in list(self.cluster.jobs.items()):
                    if not job.phase.ended:
                        self.runner.run(self._log(job.run, {"loss": 0.3, "ms": 10.0}))
                        self.cluster.end(key, Phase.SUCCEEDED)
                self.cluster.now += 20
                if self._end() is not None:
                    break
            assert self._end() is not None, self.cluster.status
            assert all(Outcome(r.tags[records.OUTCOME]).over for r in self._runs())
            assert len(self._runs()) == len({r.tags[records.TRIAL] for r in self._runs()})
        self.runner.close()

    # ---- reading -----------------------------------------------------------------------------------------------------

    def _turn(self, *, times: int, pace: float, stale: bool = False) -> None:
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
                self.unseen[key[0]] = max(self.unseen[key[0]], (self.cluster.now - (since or 0.0)) / 3600)

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

    async def _log(self, run: str, metrics: dict[str, float], *, step: int = 9) -> None:
        if run in self.cluster.store.runs:
            fail, self.cluster.store.fail = self.cluster.store.fail, lambda *_: None
            await self.cluster.store.log(run, metrics=metrics, step=step)
            self.cluster.store.fail = fail

    def _newest_attempt(self, run: str) -> int:
        return int(self.cluster.store.runs[run].tags[records.ATTEMPT])

    def _trials(self) -> list[Any]:
        """The runs of trials: a range test's is none."""
        return [r for r in self._runs() if not is_range_test(int(r.tags[records.TRIAL]))]

    def _runs(self) -> list[Any]:
        return [
            r
            for r in self.cluster.store.runs.values()
            if r.tags.get(records.KIND) == records.KIND_TRIAL and r.tags[records.OUTCOME] != records.SUPERSEDED
        ]

    def _means(self, won: Iterable[Any]) -> list[float]:
        """Of each assignment's results."""
        found = defaultdict[str, list[float]](list)
        for run in won:
            found[run.tags[records.PARAMETERS]].append(self._values(run)[0])
        return [pytest.approx(fmean(values)) for values in found.values()]

    @staticmethod
    def _values(run: Any) -> list[float]:
        result = json.loads(run.tags[records.RESULT])
        return [float(value) for value in result.get("values") or [result["value"]]]

    def _edited(self) -> bool:
        return bool(self.cluster.status.get("observedGeneration") != self.cluster.generation)

    def _end(self) -> tuple[int, str] | None:
        if not is_true(self.cluster.status, "Finished") or self._edited():
            return None
        return self.cluster.generation, next(
            c["reason"] for c in self.cluster.status["conditions"] if c["type"] == "Finished"
        )

    def _only_leftovers(self) -> bool:
        """Jobs of trials that have their outcome are on their way out."""
        ended = {int(r.tags[records.TRIAL]) for r in self._runs() if r.tags[records.OUTCOME] != Outcome.OPEN}
        return self.cluster.active() <= ended


def _front(found: Iterable[Sequence[float]]) -> list[dict[str, float]]:
    """Of small losses and many milliseconds, those that no other is better than, by the loss: brute force."""
    points = {(loss, ms) for loss, ms in found}
    kept = [(x, y) for x, y in points if not any((a, b) != (x, y) and a <= x and b >= y for a, b in points)]
    return [{"loss": loss, "ms": ms} for loss, ms in sorted(kept)]


class Rungs(Engine):
    """As much, in a sweep whose trials come to rungs, side by side and one after the other: some are better, the others wait."""

    @initialize(
        parallel=st.integers(1, 3),
        most=st.integers(4, 8),
        mode=st.sampled_from(["Promote", "Promote", "Stop"]),
        several=st.booleans(),
    )
    def begin(self, parallel: int, most: int, mode: str, *, several: bool) -> None:
        self._begin(
            objectives=[LOSS, {"metric": "ms", "goal": "Maximize"}] if several else [LOSS],
            parameters=[RANGE],
            trials={"parallel": parallel, "max": most, "attempts": 2, "maxFailed": 4},
            earlyStopping={**HALVING, "asha": {**HALVING["asha"], "mode": mode}},
        )

    @rule(best=st.integers(0, 4), rounds=st.integers(1, 3))
    def train_all(self, best: int, rounds: int) -> None:
        """In turn, the loop starts what it may, and every Job logs its next points; then the loop sees those."""
        for _ in range(rounds):
            self._turn(times=3, pace=1.1)
            for (trial, _), job in sorted(self.cluster.jobs.items()):
                if not job.phase.ended:
                    self.runner.run(self._log_next(trial, job.run, 0.1 + (trial - best) % 5))
        self._turn(times=2, pace=1.1)

    async def _log_next(self, trial: int, run: str, loss: float) -> None:
        for _ in range(2):
            self.epochs[trial] += 1
            await self._log(run, {"loss": loss}, step=self.epochs[trial])


SETTINGS = settings(
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
Engine.TestCase.settings = settings(SETTINGS, max_examples=65)
Rungs.TestCase.settings = settings(SETTINGS, max_examples=25)
TestEngine = Engine.TestCase
TestRungs = Rungs.TestCase
