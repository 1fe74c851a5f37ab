"""Range tests in the whole engine: before trial 0, once each, and the same search whatever crashes or is lost."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from hypersweep.controller.book import Book
from hypersweep.core.aim import Aim
from hypersweep.core.conditions import is_true
from hypersweep.core.range_test import ANSWER, FIRST
from hypersweep.core.trial import Attempt, Outcome, Phase, Reason, Trial
from hypersweep.tracking import records
from hypersweep.tracking.archive import archived
from tests.core.builders import make_spec
from tests.engine.courses import Course, by_others
from tests.engine.simulation import SimulatedCluster, SimulatedHost

FOUND = {"sgd": (0.01, 0.1), "adam": (1e-4, 1e-3)}


def sweep(**changes: Any) -> SimulatedCluster:
    return SimulatedCluster(
        make_spec(
            parameters=[
                {"name": "lr", "type": "Float", "min": 1e-5, "max": 0.5, "scale": "Log"},
                {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam"]},
            ],
            learningRateRangeTest={"parameter": "lr", "optimizer": "optimizer"},
            **{"trials": {"max": 4, "parallel": 2, "attempts": 1}, **changes},
        )
    )


async def log(cluster: SimulatedCluster, run: str, *, silent: bool) -> None:
    """What a trainer writes, which is no request of the operator's: an objective, and of a range test, too good a one."""
    tags = cluster.store.runs[run].tags
    is_trial = int(tags[records.TRIAL]) < FIRST
    with by_others(cluster):
        await cluster.store.log(run, metrics={"loss": 0.5 if is_trial else 1e-9}, step=1)
        if not is_trial and not silent:
            low, high = FOUND[json.loads(tags[records.PARAMETERS])["optimizer"]]
            said = {"verdict": "Falls", "reason": "because", "suggestion": {"min": low, "max": high}}
            await cluster.store.log(run, tags={ANSWER: json.dumps(said)})


async def train(cluster: SimulatedCluster, job: Attempt, *, silent: bool, phase: Phase) -> None:
    """A trial succeeds; a range test ends so."""
    await log(cluster, job.run, silent=silent)
    ends = phase if job.trial >= FIRST else Phase.SUCCEEDED
    reason = "" if ends is Phase.SUCCEEDED else Reason.CRASHED
    cluster.end((job.trial, job.number), ends, reason=reason, message="boom")


async def run(
    kind: str = "", n: int = -1, *, silent: bool = False, phase: Phase = Phase.SUCCEEDED, **changes: Any
) -> tuple[SimulatedCluster, bool]:
    """The sweep to its end, and whether it came to its n-th request. `silent`: the trainer knows no range tests."""
    cluster = sweep(**changes)
    cluster.faults.set(kind, n)
    await Course(SimulatedHost(cluster), partial(train, silent=silent, phase=phase), revived=True).to_the_end()
    return cluster, cluster.faults.countdown < 0


def assignments(cluster: SimulatedCluster) -> dict[int, dict[str, object]]:
    """Index -> assignment, of trials and range tests; each has one run."""
    runs = [r for r in cluster.store.runs.values() if r.tags.get(records.KIND) == records.KIND_TRIAL]
    kept = [r for r in runs if r.tags[records.OUTCOME] != records.SUPERSEDED]
    found = {int(r.tags[records.TRIAL]): json.loads(r.tags[records.PARAMETERS]) for r in kept}
    assert len(found) == len(kept)
    return found


def test_each_optimizers_trials_stay_in_what_its_range_test_found() -> None:
    """Two range tests, then four trials, all of them counted as what they are; status and parent run say what was found."""
    cluster, _ = asyncio.run(run())
    assert [index for index, _ in cluster.launched[:2]] == [FIRST, FIRST + 1]
    found = assignments(cluster)
    assert sorted(found) == [0, 1, 2, 3, FIRST, FIRST + 1]
    for index in range(4):
        low, high = FOUND[str(found[index]["optimizer"])]
        assert low <= float(str(found[index]["lr"])) <= high
    trials, tests = cluster.status["trials"], cluster.status["learningRateRangeTests"]
    assert (trials["created"], trials["succeeded"], cluster.status["progress"]) == (4, 4, "4/4")
    assert {t["optimizer"]: (t["min"], t["max"]) for t in tests} == FOUND
    assert all(t["verdict"] == "Falls" and t["run"]["id"] for t in tests)
    parent = next(r for r in cluster.store.runs.values() if r.tags.get(records.KIND) == records.KIND_SWEEP)
    said = [json.loads(parent.tags[f"hypersweep.learningRateRangeTest.{n}"]) for n in range(2)]
    assert sorted(said, key=str) == sorted(tests, key=str)


@pytest.mark.parametrize("kind", ["kill before", "kill after", "fail before", "fail after"])
def test_whatever_is_struck_the_search_is_the_same(kind: str) -> None:
    """At each request in turn: the same assignments, no range test run twice, none counted as a trial."""
    expected = assignments(asyncio.run(run())[0])
    struck, n = True, 0
    while struck:
        n += 1
        cluster, struck = asyncio.run(run(kind, n))
        assert {i: a for i, a in assignments(cluster).items() if i >= FIRST} == {
            i: a for i, a in expected.items() if i >= FIRST
        }, f"request {n}"
        assert sorted(cluster.launched) == sorted({(i, 1) for i in expected}), f"request {n}"
        for index, assignment in assignments(cluster).items():
            if index < FIRST:
                low, high = FOUND[str(assignment["optimizer"])]
                assert low <= float(str(assignment["lr"])) <= high, f"request {n}"
        assert cluster.status["trials"]["succeeded"] == 4
    assert n > 30


@pytest.mark.parametrize(("silent", "phase"), [(True, Phase.SUCCEEDED), (False, Phase.FAILED)])
def test_a_range_test_that_fails_leaves_the_users_bounds(silent: bool, phase: Phase) -> None:
    """It costs no failed trial, the sweep goes on, and the status says why there is no interval."""
    cluster, _ = asyncio.run(run(silent=silent, phase=phase))
    assert is_true(cluster.status, "Complete")
    assert cluster.status["trials"]["failed"] == 0
    reasons = [test["reason"] for test in cluster.status["learningRateRangeTests"]]
    assert all(("NoAnswer: its run has no tag" if silent else "Crashed: boom") in reason for reason in reasons)
    assert all(test["verdict"] == Outcome.FAILED for test in cluster.status["learningRateRangeTests"])


# ---- a range test is no trial ------------------------------------------------------------------------------------------


def test_what_a_range_test_logs_is_no_result() -> None:
    """Its loss is better than any trial's, and neither best, nor in the top, nor a target reached."""
    cluster, _ = asyncio.run(run(stopWhen={"targets": [{"metric": "loss", "value": 0.1}]}))
    assert cluster.status["best"]["objectives"]["loss"] == 0.5
    assert {entry["trial"] for entry in cluster.status["top"]} == {0, 1, 2, 3}
    assert cluster.status["progress"] == "4/4"
    parent = next(r for r in cluster.store.runs.values() if r.tags.get(records.KIND) == records.KIND_SWEEP)
    assert parent.metrics["best"].value == 0.5
    assert parent.tags["hypersweep.trials.succeeded"] == "4"


def test_range_tests_are_not_trials_without_improvement() -> None:
    """One trial and two without improvement; a fourth was begun as the third ended."""
    cluster, _ = asyncio.run(run(stopWhen={"noImprovement": {"trials": 2}}, trials={"max": 9, "parallel": 1}))
    assert cluster.status["trials"]["succeeded"] == 4
    [finished] = [c for c in cluster.status["conditions"] if c["type"] == "Finished"]
    assert finished["reason"] == "NoImprovement"
    assert "0.5 (trial 0)" in finished["message"]


@pytest.mark.parametrize("restarted", [False, True])
def test_no_strategy_and_no_stopper_sees_a_range_test(restarted: bool) -> None:
    """Neither among the trials that have ended, nor in the curves that others are compared with, nor as open ones."""
    rule = {"type": "ASHA", "asha": {"minBudget": 1, "reductionFactor": 2}, "poll": "1s"}
    cluster = sweep(earlyStopping=rule)
    host = SimulatedHost(cluster)

    async def train_range_tests(_: SimulatedCluster, job: Attempt) -> None:
        if job.trial >= FIRST:
            await log(cluster, job.run, silent=False)
            await host.look()  # its curve is there to be read
            cluster.end((job.trial, job.number), Phase.SUCCEEDED)

    async def until_both_have_ended() -> None:
        course = Course(host, train_range_tests)
        for _ in range(12):
            await course.look()

    asyncio.run(until_both_have_ended())
    if restarted:
        host = SimulatedHost(cluster)
        asyncio.run(host.look())
    book = host.loop.book
    assert book is not None
    assert sorted(book.range_tests) == [FIRST, FIRST + 1]
    assert book.history == []
    assert [trial.index for trial in book.pending] == [0, 1]
    assert book.stopping.since is None  # no curve has been seen
    assert not any(trial.rungs for trial in book.range_tests.values())
    assert book.tally.ended == 0


def test_the_hours_of_range_tests_count() -> None:
    """They hold nodes like any pod: in the status, on the sweep's run, and against the limit."""
    cluster, _ = asyncio.run(run())
    hours = sum(cluster.hours.values())
    assert cluster.hours[FIRST] > 0
    assert cluster.status["resourceHours"]["cpu"] == pytest.approx(hours, rel=1e-3)
    parent = next(r for r in cluster.store.runs.values() if r.tags.get(records.KIND) == records.KIND_SWEEP)
    assert parent.metrics["resource_hours/cpu"].value == pytest.approx(hours, rel=1e-3)
    limit = cluster.hours[FIRST] * 1.5  # what the two range tests use
    cluster, _ = asyncio.run(run(stopWhen={"resourceHours": [{"resource": "cpu", "max": limit}]}))
    assert sorted(index for index, _ in cluster.launched if index < FIRST) == []


def test_analyze_has_the_trials_alone() -> None:
    """A range test has parameters, an outcome and a run like a trial's, and says nothing of what they do."""
    cluster, _ = asyncio.run(run())
    store = cluster.store
    parent = next(r for r in store.runs.values() if r.tags.get(records.KIND) == records.KIND_SWEEP)
    [sweep_] = asyncio.run(archived(store, {"a/b": parent.experiment}, sweep="a/b"))
    assert [trial.index for trial in sweep_.trials] == [0, 1, 2, 3]


def test_no_trial_takes_a_range_tests_result_for_its_own() -> None:
    """With `reuse`, a first trial of the very parameters and seed that the range test had runs a Job of its own."""
    pinned = {"containers": [{"name": "train", "image": f"i@sha256:{'a' * 64}", "command": ["true"]}]}
    same = [{"parameters": {"lr": 0.01, "optimizer": optimizer}} for optimizer in FOUND]
    cluster, _ = asyncio.run(
        run(
            reuse={"dataFingerprint": "v1"},
            initialTrials=same,
            job={"template": {"spec": {"template": {"spec": pinned}}}},
        )
    )
    found = assignments(cluster)
    assert [found[i] for i in (0, 1)] == [found[i] for i in (FIRST, FIRST + 1)]
    assert sorted(index for index, _ in cluster.launched) == [0, 1, 2, 3, FIRST, FIRST + 1]
    assert cluster.status["best"]["objectives"]["loss"] == 0.5
    tagged = {int(r.tags[records.TRIAL]) for r in cluster.store.runs.values() if records.LIKENESS in r.tags}
    assert tagged == {0, 1, 2, 3}


def test_an_open_range_test_is_no_pending_trial() -> None:
    """Its assignment is open to be proposed, and with repeats in no group."""
    book = Book(Aim.of(make_spec()))
    book.put(Trial(index=FIRST, run="a", parameters={"lr": 0.01}))
    book.put(Trial(index=0, run="b", parameters={"lr": 0.02}))
    assert [trial.index for trial in book.pending] == [0]


def test_repeats_are_of_trials_and_stay_in_what_range_tests_found() -> None:
    """Each assignment twice: the range tests' own are in no group, and new ones lie in their intervals."""
    cluster, _ = asyncio.run(run(repeats={"count": 2, "racing": False}))
    found = assignments(cluster)
    assert [found[0], found[1]] == [found[2], found[3]] or [found[0], found[2]] == [found[1], found[3]]
    for index in range(4):
        low, high = FOUND[str(found[index]["optimizer"])]
        assert low <= float(str(found[index]["lr"])) <= high
    assert cluster.status["best"]["repeats"] == 2
    assert cluster.status["best"]["objectives"]["loss"] == 0.5


def test_range_tests_are_not_counted_as_resumed() -> None:
    """A sweep that was deleted and applied anew goes on with four trials."""
    cluster, _ = asyncio.run(run())
    cluster.status = {"observedGeneration": -1}
    host = SimulatedHost(cluster)
    asyncio.run(host.look())
    assert cluster.status["trials"]["resumed"] == 4
    assert len(cluster.status["learningRateRangeTests"]) == 2
