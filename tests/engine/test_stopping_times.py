"""Early stopping in the real loop, trials side by side on a timeline of their own: only what was logged, and when, decides.

A point's time depends on its trial alone; it is logged when the clock has come so far and all from before it are. So
operators that look at other moments, are away for long, or die at any request must come to the same stops, values and
best: also where a trial ended meanwhile.
"""

import asyncio
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypersweep.core.conditions import is_true
from hypersweep.core.trial import Phase
from hypersweep.tracking import records
from hypersweep.tracking.base import Metric
from tests.core.builders import make_spec
from tests.engine.simulation import START, Killed, SimulatedCluster, SimulatedHost

TRIALS, PARALLEL, EPOCHS, PACE, APART = 24, 6, 9, 3.0, 5.0
RULES = {
    "asha": {"type": "ASHA", "asha": {"maxBudget": EPOCHS}, "poll": "2s"},
    "median": {"type": "Median", "median": {"minTrials": 2}, "poll": "2s"},
    "threshold": {"type": "Threshold", "threshold": {"value": 0.7, "atBudget": 3}, "poll": "2s"},
}


def _began(trial: int) -> float:
    return START + 10 + trial * APART


class Training:
    """A sweep whose trials log an epoch every PACE seconds; trial i + 1 begins APART seconds after trial i."""

    def __init__(self, rule: str) -> None:
        spec = make_spec(trials={"max": TRIALS, "parallel": PARALLEL}, earlyStopping=RULES[rule])
        self.cluster = SimulatedCluster(spec)
        self.host = SimulatedHost(self.cluster)
        self.epochs = 0

    async def advance(self, seconds: float) -> None:
        """Time passes; what is due by then is logged, but nothing from after a point of a trial that has no Job yet."""
        self.cluster.now += seconds
        unborn = set(range(TRIALS)) - {trial for trial, _ in self.cluster.launched}
        until = min([self.cluster.now, *(_began(trial) + PACE - 0.1 for trial in unborn)])
        for (trial, _), job in sorted(self.cluster.jobs.items()):
            if not job.phase.ended:
                self._train((trial, job.number), job.run, until)

    def _train(self, key: tuple[int, int], run: str, until: float) -> None:
        store = self.cluster.store
        points = store.points.setdefault((run, "loss"), [])
        for epoch in range(len(points) + 1, EPOCHS + 1):
            when = _began(key[0]) + epoch * PACE
            if when > until:
                return
            value = random.Random(key[0]).random() + random.Random(key[0] * 100 + epoch).random() / epoch
            points.append(Metric(value=value, step=epoch, timestamp=when))
            store.runs[run] = replace(store.runs[run], metrics={"loss": points[-1]})
            self.epochs += 1
        self.cluster.end(key, Phase.SUCCEEDED)

    async def look(self) -> None:
        self.cluster.catch_up()
        await self.host.look()

    @property
    def result(self) -> dict[str, Any]:
        """What the ledger says of each trial, but for when it ended and how far it got meanwhile; and the best."""
        best = self.cluster.status["best"]
        found: dict[str, Any] = {"best": (best["trial"], best["value"], best["parameters"])}
        for run in self.cluster.store.runs.values():
            if run.tags.get(records.KIND) == records.KIND_TRIAL and run.tags[records.OUTCOME] != records.SUPERSEDED:
                value = json.loads(run.tags[records.RESULT])["value"]
                said = [run.tags.get(tag) for tag in (records.OUTCOME, records.REASON, records.MESSAGE, records.RUNGS)]
                found[run.tags[records.TRIAL]] = (value, *said, run.tags[records.PARAMETERS])
        return found


async def whole(training: Training, faults: list[tuple[str, int]]) -> Training:
    """To its end. Faults come every ten looks: at the n-th request, or an operator that is away for n seconds."""
    todo = list(faults)
    for turn in range(2000):
        if todo and turn % 10 == 9:
            kind, count = todo.pop(0)
            if kind == "away":
                training.host = SimulatedHost(training.cluster)
                await training.advance(float(count))
            else:
                training.cluster.faults.set(kind, count)
        try:
            await training.look()
        except Killed:
            await asyncio.gather(*training.host.loop._tasks, return_exceptions=True)
            training.host = SimulatedHost(training.cluster)
            continue
        if is_true(training.cluster.status, "Finished"):
            return training
        await training.advance(1.0)
    raise AssertionError(training.cluster.status)


ALONE = {rule: asyncio.run(whole(Training(rule), [])) for rule in RULES}
FAULTS = st.lists(
    st.tuples(st.sampled_from(["kill before", "kill after", "fail before", "fail after", "away"]), st.integers(1, 60)),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(faults=FAULTS)
def test_whatever_befalls_the_operator_the_same_trials_stop(rule: str, faults: list[tuple[str, int]]) -> None:
    """Same outcomes, values, messages, marks and best as of an operator that was left alone."""
    suffering = asyncio.run(whole(Training(rule), faults))
    assert suffering.result == ALONE[rule].result


@pytest.mark.parametrize("rule", RULES)
def test_a_trial_that_ended_meanwhile_is_judged_as_if_in_time(rule: str) -> None:
    """The operator is away for longer than a training takes, again and again."""
    away = asyncio.run(whole(Training(rule), [("away", 60)] * 12))
    assert away.epochs > ALONE[rule].epochs
    assert away.result == ALONE[rule].result


@pytest.mark.parametrize("rule", RULES)
def test_hopeless_trials_cost_fewer_epochs(rule: str) -> None:
    """Several stop, and their Jobs go soon after."""
    stopped = [told for index, told in ALONE[rule].result.items() if index != "best" and told[1] == "Stopped"]
    assert 5 < len(stopped) < TRIALS
    assert ALONE[rule].epochs < (TRIALS - len(stopped) / 2) * EPOCHS
    assert not ALONE[rule].cluster.active()
