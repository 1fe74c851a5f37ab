"""The engine under random interleavings of what `machine` has: over the real loop, decide, actor and ledger.

After each step what must always hold does; and whatever happened, a sweep that is then left alone comes to its end.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from hypersweep.core.conditions import is_true
from hypersweep.core.range_test import FIRST, is_range_test
from hypersweep.core.trial import Outcome, Phase, Reason
from hypersweep.tracking import records
from tests.engine.machine import HALVING, LOSS, RANGE, World


class Engine(World):
    """What holds, whatever befell the sweep."""

    @invariant()
    def no_more_live_trials_than_parallel(self) -> None:
        assert len(self.cluster.active()) <= self.allowed

    @invariant()
    def no_more_trials_than_max(self) -> None:
        trials = {int(r.tags[records.TRIAL]) for r in self.runs()}
        assert len({index for index in trials if not is_range_test(index)}) <= self.most

    @invariant()
    def range_tests_come_first(self) -> None:
        """And narrow every trial, if they found something."""
        runs = {int(r.tags[records.TRIAL]): r for r in self.runs()}
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
        for run in self.runs():
            assert self.parameters.setdefault(run.id, run.tags[records.PARAMETERS]) == run.tags[records.PARAMETERS]

    @invariant()
    def what_was_used_is_in_the_ledger_once(self) -> None:
        """Never more than was, or seemed to be; all of it, once a trial has ended whose Jobs came to their own end."""
        running = {job.trial for job in self.cluster.jobs.values() if not job.phase.ended}
        for run in self.runs():
            trial, spent = int(run.tags[records.TRIAL]), json.loads(run.tags.get(records.RESOURCES, "{}"))
            hours = sum(used["cpu"] for used in spent.values())
            unseen = sum(more for (of, _), more in self.unseen.items() if of == trial)  # each of its Jobs may be late
            if trial not in running:
                assert hours <= self.cluster.hours[trial] + unseen + 1e-6
            if run.tags[records.OUTCOME] != Outcome.OPEN and trial not in running | self.cluster.cut:
                assert math.isclose(hours, self.cluster.hours[trial], abs_tol=unseen + 1e-6)

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
        if best and is_true(self.cluster.status, "Finished") and not self.edited():
            won = [r for r in self.trials() if r.tags[records.OUTCOME] == "Succeeded"]
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
        for run in self.trials():
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
                or self.edited()
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
                        self.runner.run(self.log(job.run, {"loss": 0.3, "ms": 10.0}))
                        self.cluster.end(key, Phase.SUCCEEDED)
                self.cluster.now += 20
                if self._end() is not None:
                    break
            assert self._end() is not None, self.cluster.status
            assert all(Outcome(r.tags[records.OUTCOME]).over for r in self.runs())
            assert len(self.runs()) == len({r.tags[records.TRIAL] for r in self.runs()})
        self.runner.close()

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

    def _end(self) -> tuple[int, str] | None:
        if not is_true(self.cluster.status, "Finished") or self.edited():
            return None
        return self.cluster.generation, next(
            c["reason"] for c in self.cluster.status["conditions"] if c["type"] == "Finished"
        )

    def _only_leftovers(self) -> bool:
        """Jobs of trials that have their outcome are on their way out."""
        ended = {int(r.tags[records.TRIAL]) for r in self.runs() if r.tags[records.OUTCOME] != Outcome.OPEN}
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
        self.start(
            objectives=[LOSS, {"metric": "ms", "goal": "Maximize"}] if several else [LOSS],
            parameters=[RANGE],
            trials={"parallel": parallel, "max": most, "attempts": 2, "maxFailed": 4},
            earlyStopping={**HALVING, "asha": {**HALVING["asha"], "mode": mode}},
        )

    @rule(best=st.integers(0, 4), rounds=st.integers(1, 3))
    def train_all(self, best: int, rounds: int) -> None:
        """In turn, the loop starts what it may, and every Job logs its next points; then the loop sees those."""
        for _ in range(rounds):
            self.turn(times=3, pace=1.1)
            for (trial, _), job in sorted(self.cluster.jobs.items()):
                if not job.phase.ended:
                    self.runner.run(self._log_next(trial, job.run, 0.1 + (trial - best) % 5))
        self.turn(times=2, pace=1.1)

    async def _log_next(self, trial: int, run: str, loss: float) -> None:
        for _ in range(2):
            self.epochs[trial] += 1
            await self.log(run, {"loss": loss}, step=self.epochs[trial])


SETTINGS = settings(
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
Engine.TestCase.settings = settings(SETTINGS, max_examples=65)
Rungs.TestCase.settings = settings(SETTINGS, max_examples=25)
TestEngine = Engine.TestCase
TestRungs = Rungs.TestCase
