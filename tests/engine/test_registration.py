"""The best model at the end of a sweep: registered once, whatever happens meanwhile, and never in the way of the end."""

from functools import partial
from typing import Any

import pytest

from hypersweep.controller.registrar import Registrar
from hypersweep.core.conditions import is_true
from hypersweep.core.errors import TrackingRefused, TrackingUnavailable
from hypersweep.core.trial import Attempt, Phase
from hypersweep.tracking import records
from tests.core.builders import make_spec
from tests.engine import courses
from tests.engine.courses import Course
from tests.engine.simulation import Killed, SimulatedCluster, SimulatedHost

ASKED: dict[str, Any] = {"registerModel": "team.digits", "alias": "champion"}
LOSS = {0: 0.5, 1: 0.25, 2: 0.4}  # by trial
MS = {0: 1.0, 1: 9.0, 2: 5.0}


def make_cluster(**changes: Any) -> SimulatedCluster:
    given = {"trials": {"max": 3, "parallel": 3, "attempts": 1, "maxFailed": 2}, "onComplete": ASKED, **changes}
    return SimulatedCluster(make_spec(**given))


async def to_the_end(
    cluster: SimulatedCluster, host: SimulatedHost, *, models: bool = True, settled: bool = True, looks: int = 40
) -> None:
    """Look until the sweep has ended and, if `settled`, nothing is pending; trials log their results and, if wanted, models."""

    def done() -> bool:
        return is_true(cluster.status, "Finished") and (said(cluster).get("state") != "Pending" or not settled)

    await Course(host, partial(train, models=models), pause=1.5).until(done, looks=looks)


async def train(cluster: SimulatedCluster, job: Attempt, *, models: bool) -> None:
    if models:
        cluster.store.artifacts[job.run, "model/MLmodel"] = "flavors: {}"
    metrics = {"loss": LOSS.get(job.trial, 0.1), "ms": MS.get(job.trial, 3.0)}
    await courses.train(cluster, job, metrics=metrics)


def fail_at(cluster: SimulatedCluster, verbs: tuple[str, ...], error: Exception, *, times: int = 10**6) -> list[str]:
    """The next so many of these requests fail before they take effect; the list names them."""
    struck: list[str] = []

    def fail(_number: int, verb: str, when: str) -> None:
        if verb in verbs and when == "before" and len(struck) < times:
            struck.append(verb)
            raise error

    cluster.store.fail = fail
    return struck


def said(cluster: SimulatedCluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.status.get("registeredModel", {})
    return found


def condition(cluster: SimulatedCluster) -> tuple[str, str]:
    found = next(c for c in cluster.status["conditions"] if c["type"] == "ModelRegistered")
    return found["status"], found["reason"]


def run_of(cluster: SimulatedCluster, trial: int) -> str:
    return next(r.id for r in cluster.store.runs.values() if r.tags.get(records.TRIAL) == str(trial))


def versions(cluster: SimulatedCluster, name: str = "team.digits") -> list[str]:
    """The run of each version."""
    return [run for run, _ in cluster.store.models.registered.get(name, [])]


def events(cluster: SimulatedCluster) -> list[tuple[str, str]]:
    return [(e.type, e.reason) for e in cluster.events if e.reason.startswith("Model")]


async def test_the_best_trials_model_becomes_a_version_with_the_alias() -> None:
    cluster = make_cluster()
    await to_the_end(cluster, SimulatedHost(cluster))
    assert versions(cluster) == [run_of(cluster, 1)]
    assert cluster.store.models.aliases == {("team.digits", "champion"): "1"}
    assert cluster.store.models.tags["team.digits", "1"] == {"hypersweep.sweep": "a/b", "hypersweep.trial": "1"}
    assert said(cluster) == {
        "state": "Registered",
        "name": "team.digits",
        "alias": "champion",
        "version": "1",
        "trial": 1,
        "run": {"id": run_of(cluster, 1)},
        "message": "version 1 of team.digits, alias champion: the model of trial 1",
    }
    assert condition(cluster) == ("True", "Registered")
    assert events(cluster) == [("Normal", "ModelRegistered")]


@pytest.mark.parametrize(("choose", "trial"), [({"metric": "ms"}, 0), ({"metric": "loss"}, 1), (None, 2)])
async def test_of_several_objectives_the_choice_decides(choose: dict[str, str] | None, trial: int) -> None:
    """The best in one; without a choice the compromise, which is what `best` shows."""
    objectives = [{"metric": "loss", "goal": "Minimize"}, {"metric": "ms", "goal": "Minimize"}]
    cluster = make_cluster(objectives=objectives, onComplete=ASKED | ({"choose": choose} if choose else {}))
    await to_the_end(cluster, SimulatedHost(cluster))
    assert said(cluster)["trial"] == trial
    assert versions(cluster) == [run_of(cluster, trial)]


async def test_a_larger_value_may_be_the_better_one() -> None:
    """The choice goes by the objective's goal."""
    objectives = [{"metric": "loss", "goal": "Maximize"}, {"metric": "ms", "goal": "Maximize"}]
    cluster = make_cluster(objectives=objectives, onComplete={**ASKED, "choose": {"metric": "ms"}})
    await to_the_end(cluster, SimulatedHost(cluster))
    assert said(cluster)["trial"] == 1


async def test_nothing_is_registered_that_nobody_asked_for() -> None:
    cluster = make_cluster(onComplete=None)
    await to_the_end(cluster, SimulatedHost(cluster))
    assert "registeredModel" not in cluster.status
    assert not [c for c in cluster.status["conditions"] if c["type"] == "ModelRegistered"]
    assert not {"files", "versions"} & set(cluster.store.requests)


async def test_until_the_end_the_condition_says_that_it_waits() -> None:
    cluster = make_cluster()
    await SimulatedHost(cluster).look()
    assert condition(cluster) == ("False", "SweepNotEnded")


async def test_a_model_that_nobody_logged_is_said_and_the_sweep_is_complete_all_the_same() -> None:
    """As with an image of the user's own that logs none."""
    cluster = make_cluster()
    await to_the_end(cluster, SimulatedHost(cluster), models=False)
    assert condition(cluster) == ("False", "NoModel")
    assert "has no model: found no model/MLmodel among its artifacts" in said(cluster)["message"]
    assert (said(cluster)["trial"], said(cluster)["state"]) == (1, "NotRegistered")
    assert events(cluster) == [("Warning", "ModelNotRegistered")]
    assert is_true(cluster.status, "Complete")
    assert not is_true(cluster.status, "Stalled")


async def test_a_sweep_that_failed_registers_nothing() -> None:
    cluster = make_cluster(trials={"max": 3, "parallel": 1, "attempts": 1, "maxFailed": 0})
    crash = partial(courses.train, metrics={}, phase=Phase.FAILED, reason="Crashed", message="no data")
    course = Course(SimulatedHost(cluster), crash, pause=1.5)
    for _ in range(20):
        await course.look()
    assert is_true(cluster.status, "Failed")
    assert condition(cluster) == ("False", "SweepFailed")
    assert versions(cluster) == []


async def test_a_sweep_without_a_feasible_trial_registers_nothing() -> None:
    cluster = make_cluster(constraints=[{"metric": "ms", "max": 0.5}])
    await to_the_end(cluster, SimulatedHost(cluster))
    assert condition(cluster) == ("False", "SweepFailed")
    assert "the sweep did not complete (NoResult)" in said(cluster)["message"]


async def test_of_a_sweep_whose_trials_were_all_deleted_from_mlflow_nothing_is_registered() -> None:
    """Between the end and its registration, and unknown to the process that takes it up."""
    cluster = make_cluster()
    fail_at(cluster, ("files",), TrackingUnavailable("no answer"))
    await to_the_end(cluster, SimulatedHost(cluster), settled=False)
    for trial in LOSS:
        cluster.store.delete(run_of(cluster, trial))
    await to_the_end(cluster, SimulatedHost(cluster))
    assert condition(cluster) == ("False", "NoTrial")


async def test_a_refusal_of_mlflow_is_said_and_not_tried_again() -> None:
    cluster = make_cluster()
    struck = fail_at(cluster, ("create_version",), TrackingRefused("HTTP 400: the name belongs to a prompt"))
    await to_the_end(cluster, SimulatedHost(cluster))
    assert struck == ["create_version"]
    assert condition(cluster) == ("False", "Refused")
    assert said(cluster)["message"].startswith("HTTP 400: the name belongs to a prompt; change spec.retry")


async def test_the_run_of_the_best_trial_may_be_deleted_before() -> None:
    cluster = make_cluster()
    fail_at(cluster, ("files", "artifact"), TrackingUnavailable("no answer"), times=2)
    host = SimulatedHost(cluster)
    await to_the_end(cluster, host, settled=False)
    cluster.store.delete(run_of(cluster, 1))
    await to_the_end(cluster, host)
    assert condition(cluster) == ("False", "NoRun")


async def test_an_outage_is_waited_for() -> None:
    """The end is told meanwhile; so is what the registration waits for."""
    cluster = make_cluster()
    struck = fail_at(cluster, ("files",), TrackingUnavailable("no answer"), times=3)
    host = SimulatedHost(cluster)
    await to_the_end(cluster, host, settled=False)
    assert condition(cluster) == ("False", "Pending")
    await host.look()
    assert said(cluster)["message"] == "no answer"
    await to_the_end(cluster, host)
    assert len(struck) == 3
    assert condition(cluster) == ("True", "Registered")


async def test_an_outage_that_lasts_is_given_up_and_said() -> None:
    cluster = make_cluster()
    struck = fail_at(cluster, ("files",), TrackingUnavailable("no answer"))
    await to_the_end(cluster, SimulatedHost(cluster), looks=2000)
    assert len(struck) == 1 + len(Registrar.pauses)
    assert condition(cluster) == ("False", "TrackingUnavailable")
    assert is_true(cluster.status, "Complete")


async def test_a_kill_at_any_request_leaves_one_version() -> None:
    """Before the end, at it, between version and alias: the next process goes on, though the sweep is over."""
    for kind in ("kill before", "kill after", "fail after"):
        for n in range(1, 200):
            cluster = make_cluster()
            cluster.faults.set(kind, n)
            host, struck = SimulatedHost(cluster), False
            try:
                await to_the_end(cluster, host)
                struck = cluster.faults.countdown < 0
            except Killed:
                struck = True
                cluster.now += 1000
                await to_the_end(cluster, SimulatedHost(cluster))
            where = f"{kind} request {n}"
            assert condition(cluster) == ("True", "Registered"), where
            assert versions(cluster) == [run_of(cluster, said(cluster)["trial"])], where
            assert cluster.store.models.aliases == {("team.digits", "champion"): "1"}, where
            if not struck:
                assert n > 25, "the sweep, and its errands, take more requests than that"
                break
        else:
            raise AssertionError("it never ran to its end")


async def test_a_finished_sweep_whose_model_is_registered_is_left_alone() -> None:
    """A new process asks MLflow nothing of it, and does not take back an alias that a person has moved since."""
    cluster = make_cluster()
    await to_the_end(cluster, SimulatedHost(cluster))
    cluster.store.models.aliases["team.digits", "champion"] = "7"
    before, host = len(cluster.store.requests), SimulatedHost(cluster)
    for _ in range(5):
        await host.look()
    assert len(cluster.store.requests) == before
    assert condition(cluster) == ("True", "Registered")
    assert cluster.store.models.aliases == {("team.digits", "champion"): "7"}


async def test_a_sweep_that_goes_on_and_has_the_same_best_keeps_its_version() -> None:
    """Another best is another version, and has the alias then."""
    cluster = make_cluster()
    host = SimulatedHost(cluster)
    await to_the_end(cluster, host)
    cluster.edit(retry="again")
    await to_the_end(cluster, host)
    assert versions(cluster) == [run_of(cluster, 1)]
    cluster.edit(max=4)  # the fourth is the best
    await to_the_end(cluster, host)
    assert versions(cluster) == [run_of(cluster, 1), run_of(cluster, 3)]
    assert cluster.store.models.aliases == {("team.digits", "champion"): "2"}
    assert said(cluster)["version"] == "2"


async def test_a_finished_sweep_may_be_told_later_what_to_register_and_where_else() -> None:
    cluster = make_cluster(onComplete=None)
    host = SimulatedHost(cluster)
    await to_the_end(cluster, host)
    cluster.edit(onComplete={"registerModel": "team.late"})
    await to_the_end(cluster, host)
    assert versions(cluster, "team.late") == [run_of(cluster, 1)]
    assert "alias" not in said(cluster)
    cluster.edit(onComplete=None)
    await to_the_end(cluster, host)
    assert "registeredModel" not in cluster.status


async def test_of_several_seeds_the_first_ones_model_is_registered() -> None:
    """The assignment is the best; one of its models has to be it."""
    cluster = make_cluster(repeats={"count": 3})
    await to_the_end(cluster, SimulatedHost(cluster))
    assert said(cluster)["trial"] == 0
    assert versions(cluster) == [run_of(cluster, 0)]
