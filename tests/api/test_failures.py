"""What goes wrong with trials, and what the sweep makes of it: at three in the morning the status says why.

Some of it takes the operator's own patience (ten seconds before a retry, thirty for a metric that is late), so all
sweeps are applied before the first test looks at its own.
"""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.api.conftest import Stage
from tests.api.sweeps import Sweep
from tests.api.trainers import Play, Role, Told, crash, learn
from tests.cluster.kwok import scenario
from tests.cluster.waiting import eventually

pytestmark = pytest.mark.api

WORDS = ("apples", "pears", "plums")
Sweeps = Callable[[str], Sweep]


def _crashes_alike(told: Told) -> Play:
    return crash(f"Traceback (most recent call last):\nImportError: no module named torch ({told.trial})")


def _crashes_once(told: Told) -> Play:
    return crash("RuntimeError: a bad day") if told.attempt == 1 else learn(told)


def _crashes_in_its_own_way(told: Told) -> Play:
    return crash(f"ValueError: too many {WORDS[told.trial % len(WORDS)]}")


def _needs_too_much(told: Told) -> Play:
    return crash("", code=137, reason="OOMKilled") if told.trial == 0 else learn(told)


def _diverges(told: Told) -> Play:
    return Play(metrics={"loss": [math.nan]}) if told.trial == 0 else learn(told)


def _logs_another_metric(told: Told) -> Play:
    return Play(metrics={"val_los": [0.5], "accuracy": [0.9]})


CAST: dict[str, tuple[Role, dict[str, Any]]] = {
    "crashing": (_crashes_alike, {"trials": {"max": 1, "attempts": 2}}),
    "unlucky": (_crashes_once, {"trials": {"max": 1, "attempts": 2}}),
    "limited": (_crashes_in_its_own_way, {"trials": {"max": 6, "attempts": 1, "maxFailed": 1}}),
    "alike": (_crashes_alike, {"trials": {"max": 6, "attempts": 1, "maxFailed": 6, "parallel": 1}}),
    "greedy": (_needs_too_much, {"trials": {"max": 2, "attempts": 3}}),
    "diverging": (_diverges, {"trials": {"max": 2}}),
    "silent": (
        _logs_another_metric,
        {"trials": {"max": 1}, "objectives": [{"metric": "val_loss", "goal": "Minimize"}]},
    ),
    "imageless": (
        learn,
        {"annotations": scenario("wait", reason="ImagePullBackOff", message="no such image: example.com/train:1")},
    ),
    "homeless": (learn, {"container": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}, "trials": {"max": 1}}),
}


@pytest.fixture(scope="module")
def applied(shared: Stage) -> Iterator[Sweeps]:
    """Each sweep by name, all applied before any is looked at."""
    for name, (role, _) in CAST.items():
        shared.trainers.cast[shared.namespace, name] = role
    found = {name: shared.apply(name, **spec) for name, (_, spec) in CAST.items()}
    yield found.__getitem__
    for name in ("imageless", "homeless"):
        found[name].delete()


def attempts(stage: Stage, sweep: Sweep) -> list[tuple[int, int]]:
    """Trial and attempt of every pod that ran."""
    return sorted((one.trial, one.attempt) for one in stage.trainers.of(stage.namespace, sweep.name))


def true(status: dict[str, Any]) -> dict[str, str]:
    """The conditions that hold, and their reasons."""
    return {c["type"]: c["reason"] for c in status["conditions"] if c["status"] == "True"}


def test_a_crash_is_repeated_as_often_as_allowed(shared: Stage, applied: Sweeps) -> None:
    """Both attempts are in the ledger; then the trial has failed, and a sweep without any result with it."""
    sweep = applied("crashing")
    status = sweep.wait("Failed")
    assert attempts(shared, sweep) == [(0, 1), (0, 2)]
    assert true(status).keys() == {"Accepted", "TrackingAvailable", "Stalled", "Finished", "Failed"}
    assert true(status)["Failed"] == "NoResult"
    assert (status["trials"]["failed"], status["trials"]["created"]) == (1, 1)
    (run,) = shared.runs(sweep).values()
    assert (run.status, run.outcome, run.tags["hypersweep.attempt"]) == ("FAILED", "Failed", "2")
    assert run.tags["hypersweep.reason"] == "Crashed"
    assert "ImportError: no module named torch" in run.tags["hypersweep.message"]


def test_a_crash_that_does_not_come_again_does_no_harm(shared: Stage, applied: Sweeps) -> None:
    """The second attempt goes on in the same run, and its result counts."""
    sweep = applied("unlucky")
    status = sweep.wait("Complete")
    assert attempts(shared, sweep) == [(0, 1), (0, 2)]
    assert status["trials"]["succeeded"] == 1
    (run,) = shared.runs(sweep).values()
    assert (run.outcome, run.tags["hypersweep.charged"]) == ("Succeeded", "1")


def test_more_failures_than_are_borne_end_the_sweep_until_more_are(shared: Stage, applied: Sweeps) -> None:
    """It stops at the limit, says which field raises it, lists each kind of failure; and goes on when it is raised."""
    sweep = applied("limited")
    status = sweep.wait("Failed")
    assert true(status)["Failed"] == "TooManyFailures"
    assert "trials.maxFailed" in sweep.condition("Failed")["message"]
    assert {group["message"] for group in status["failures"]} >= {f"ValueError: too many {word}" for word in WORDS[:2]}
    shared.trainers.cast[shared.namespace, "limited"] = learn
    sweep.edit(trials={"maxFailed": 5})
    status = sweep.wait("Complete")
    assert status["trials"]["failed"] >= 2
    assert status["trials"]["failed"] + status["trials"]["succeeded"] + status["trials"]["stopped"] == 6
    assert not true(status).keys() & {"Failed", "Stalled"}


def test_failures_alike_end_the_sweep_and_a_token_runs_them_again(shared: Stage, applied: Sweeps) -> None:
    """Nobody wants the same ImportError six times: three are enough. The last lines are in the status, with a pod to look at;
    once mended, `retry` runs the same trials again, and the others after them.
    """
    sweep = applied("alike")
    status = sweep.wait("Failed")
    assert true(status)["Failed"] == "RepeatedFailure"
    (group,) = status["failures"]
    assert group["reason"] == "Crashed"
    assert group["count"] == status["trials"]["failed"] in (3, 4), (
        "a fourth may be on its way when the third is counted"
    )
    assert group["message"].startswith("ImportError: no module named torch")
    assert group["log"].startswith("Traceback (most recent call last):")
    assert group["pod"] in {pod["metadata"]["name"] for pod in sweep.pods()}
    assert any("ImportError" in note for note in sweep.events()["TrialFailed"])
    before = shared.runs(sweep)
    failed = [index for index, run in before.items() if run.outcome == "Failed"]

    shared.trainers.cast[shared.namespace, "alike"] = learn
    sweep.edit(retry="with-torch")
    status = sweep.wait("Complete")
    assert (status["trials"]["succeeded"], status["trials"]["failed"]) == (6 - status["trials"]["stopped"], 0)
    assert status["failures"] == []
    again = [one for one in shared.trainers.of(shared.namespace, "alike") if one.attempt == 2]
    assert sorted(one.trial for one in again) == failed
    assert {one.trial: one.run for one in again} == {index: before[index].id for index in failed}
    assert {one.trial: one.parameters for one in again} == {
        index: json.loads(before[index].tags["hypersweep.parameters"]) for index in failed
    }


def test_a_trial_out_of_memory_is_infeasible_and_not_repeated(shared: Stage, applied: Sweeps) -> None:
    """The same again would need as much; the sweep goes on, and says so."""
    sweep = applied("greedy")
    status = sweep.wait("Complete")
    assert attempts(shared, sweep) == [(0, 1), (1, 1)]
    assert (status["trials"]["infeasible"], status["trials"]["failed"], status["trials"]["succeeded"]) == (1, 0, 1)
    assert [(group["reason"], group["trial"]) for group in status["failures"]] == [("OutOfMemory", 0)]
    assert shared.runs(sweep)[0].outcome == "Infeasible"


def test_an_objective_that_is_no_number_is_infeasible_and_never_the_best(shared: Stage, applied: Sweeps) -> None:
    """NaN sorts nowhere."""
    sweep = applied("diverging")
    status = sweep.wait("Complete")
    assert (status["trials"]["infeasible"], status["trials"]["succeeded"]) == (1, 1)
    assert status["best"]["trial"] == 1


def test_a_metric_that_never_comes_is_a_failure_that_names_those_that_did(shared: Stage, applied: Sweeps) -> None:
    """After a bounded grace: the nearest name first, since it is the likely mistake."""
    sweep = applied("silent")
    status = sweep.wait("Failed")
    (group,) = status["failures"]
    assert group["reason"] == "ObjectiveMissing"
    assert group["log"].index("val_los") < group["log"].index("accuracy")


@pytest.mark.parametrize(
    ("name", "reason", "count"), [("imageless", "ImageNotPulled", 2), ("homeless", "Unschedulable", 1)]
)
def test_why_trials_wait_is_in_the_status(applied: Sweeps, name: str, reason: str, count: int) -> None:
    """While it may still pass: no failure, no charge, but no silence either."""
    sweep = applied(name)
    status = eventually(
        lambda: (
            (found := sweep.status)["trials"]["created"] == count
            and f"{count} wait: {reason}" in found["summary"]
            and found
        ),
        what=f"{reason} in the summary of {name}",
        every=0.5,
    )
    assert status
    assert (status["trials"]["failed"], status["trials"]["running"]) == (0, 0)
    assert true(status).keys() == {"Accepted", "TrackingAvailable"}
