"""What a sweep learns from others, through kills, lost answers and experiments that change meanwhile: always the same."""

import asyncio
from functools import partial
from typing import Any

import pytest

from hypersweep.core.conditions import is_true
from hypersweep.tracking import records
from hypersweep.tracking.base import FINISHED, Run
from tests.core.builders import make_spec
from tests.engine.courses import LATER, Course, by_others, train
from tests.engine.simulation import SimulatedCluster, SimulatedHost

SPEC = {
    "strategy": {"name": "TPE", "settings": {"startup": 4}},
    "warmStart": [{"experiment": "others"}],
    "trials": {"max": 2, "parallel": 1},
}


async def add_other(cluster: SimulatedCluster, name: str, lr: str, loss: float) -> None:
    """Somebody's run, which is no request of the operator's."""
    store = cluster.store
    with by_others(cluster):
        run = await store.create_run(
            experiment=await store.experiment("others"), name=name, tags={}, started=len(store.runs)
        )
        await store.log(run.id, params={"lr": lr}, metrics={"loss": loss})
        await store.finish(run.id, status=FINISHED, ended=0.0)


async def begun(**changes: Any) -> SimulatedCluster:
    """A sweep that is about to begin, and an experiment of others with eight runs, two of which do not fit."""
    cluster = SimulatedCluster(make_spec(**SPEC | changes))
    for i in range(6):
        await add_other(cluster, f"run-{i}", f"0.0{i + 1}", abs(i - 3.0))
    await add_other(cluster, "far", "7", 0.0)
    await add_other(cluster, "odd", "high", 0.0)
    return cluster


def course_of(cluster: SimulatedCluster) -> Course:
    return Course(SimulatedHost(cluster), partial(train, metrics={"loss": 0.5}), revived=True)


async def to_its_end(cluster: SimulatedCluster) -> None:
    """The sweep, its process restarted whenever it is killed."""
    await course_of(cluster).to_the_end()


async def among_others(cluster: SimulatedCluster) -> None:
    """The sweep to its end, while others go on logging, and the process is another one now and then."""
    course = course_of(cluster)
    for turn in range(40):
        await course.look()
        if standing(cluster, records.KIND_TRIAL):
            await add_other(cluster, f"new-{turn}", "0.09", -5.0)
            if turn % 4 == 0:
                course.host = SimulatedHost(cluster)
    assert is_true(cluster.status, "Finished"), cluster.status


def standing(cluster: SimulatedCluster, kind: str) -> list[Run]:
    """The sweep's runs of that kind, duplicates left aside."""
    runs = [run for run in cluster.store.runs.values() if run.tags.get(records.KIND) == kind]
    return [run for run in runs if run.tags[records.ID] != records.SUPERSEDED]


def assignments(cluster: SimulatedCluster) -> list[str]:
    runs = standing(cluster, records.KIND_TRIAL)
    return [run.tags[records.PARAMETERS] for run in sorted(runs, key=lambda run: run.tags[records.TRIAL])]


async def test_what_was_taken_is_said_and_counts_for_nothing_else() -> None:
    """In the status, as an Event, and on the sweep's run; not among trials, and not the best, though it is better."""
    cluster = await begun()
    await to_its_end(cluster)
    said = cluster.status["warmStart"]
    assert (said["found"], said["taken"]) == (8, 6)
    assert [(left["reason"], left["count"]) for left in said["leftOut"]] == [("OutsideSpace", 1), ("WrongType", 1)]
    assert cluster.status["trials"]["succeeded"] == 2
    assert cluster.status["best"]["objectives"] == {"loss": 0.5}
    [event] = [event for event in cluster.events if event.reason == "WarmStarted"]
    assert event.message.startswith("6 of 8 runs taken, left out: 1 OutsideSpace")
    [parent] = standing(cluster, records.KIND_SWEEP)
    assert '"taken": 6' in parent.tags["hypersweep.warmStart"]


async def test_it_changes_what_is_tried_from_the_first_trial_on() -> None:
    """Else it would be a report and no start."""
    cold, warm = await begun(warmStart=[]), await begun()
    await to_its_end(cold)
    await to_its_end(warm)
    assert assignments(cold)[0] != assignments(warm)[0]


@pytest.mark.parametrize("when", ["kill before", "kill after", "fail before", "fail after"])
async def test_the_same_data_give_the_same_trials_whichever_request_breaks(when: str) -> None:
    """The n-th request of a sweep is lost, for every n until there are no more; one warm start is kept, and the same is tried."""
    calm = await begun()
    await to_its_end(calm)
    struck, n = True, 0
    while struck:
        n += 1
        cluster = await begun()
        cluster.faults.set(when, n)
        await to_its_end(cluster)
        struck = cluster.faults.countdown < 0
        assert assignments(cluster) == assignments(calm), f"request {n}"
        complete = [run for run in standing(cluster, records.KIND_WARM_START) if "hypersweep.warmStart" in run.tags]
        assert len(complete) == 1, f"request {n}"
        assert cluster.status["warmStart"]["taken"] == 6, f"request {n}"
    assert n > 20, "a sweep of two trials takes more requests than that"


async def test_what_others_log_later_changes_nothing() -> None:
    """A restart reads what was taken, not what is there by then."""
    calm, busy = await begun(), await begun()
    await to_its_end(calm)
    await among_others(busy)
    assert assignments(busy) == assignments(calm)
    assert busy.store.requests.count("find") == 1


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"experiment": "nowhere"}, 'spec.warmStart[0].experiment: found "nowhere"; there is no such experiment'),
        (
            {"experiment": "others", "filter": "loss <"},
            'spec.warmStart[0].filter: found "loss <"; MLflow says: invalid',
        ),
    ],
    ids=["no such experiment", "a filter that says nothing"],
)
async def test_what_mlflow_does_not_have_is_refused_and_awaited(source: dict[str, str], said: str) -> None:
    """Nothing is tried without what was asked for; the sweep begins when it is there."""
    cluster = await begun(warmStart=[source])
    host = SimulatedHost(cluster)
    for _ in range(3):
        await host.look()
        cluster.now += LATER
    accepted = next(c for c in cluster.status["conditions"] if c["type"] == "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "WarmStartRefused")
    assert said in accepted["message"]
    assert said in cluster.status["summary"]
    assert is_true(cluster.status, "Stalled")
    assert not cluster.launched
    cluster.store.experiments["nowhere"] = cluster.store.experiments["others"]
    if "filter" not in source:
        await to_its_end(cluster)
        assert cluster.status["warmStart"]["taken"] == 6


def test_a_laptop_does_not_wait_for_what_mlflow_does_not_have() -> None:
    """The command ends, so that a person can mend the file."""

    async def run() -> SimulatedCluster:
        cluster = await begun(warmStart=[{"experiment": "nowhere"}])
        async with asyncio.timeout(20):
            await SimulatedHost(cluster).loop.run(once=True)
        return cluster

    assert asyncio.run(run()).status["phase"] == "Refused"
