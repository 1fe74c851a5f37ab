"""What was done already is not done again: an equal trial's result is taken, whatever breaks meanwhile."""

from typing import Any

import pytest

from hypersweep.core.conditions import is_true
from hypersweep.core.trial import Phase
from hypersweep.tracking import records
from hypersweep.tracking.base import Run
from hypersweep.tracking.identity import Identity, search_hash
from hypersweep.tracking.ledger import Ledger
from tests.core.builders import make_spec
from tests.engine.simulation import Killed, SimulatedCluster, SimulatedHost

LATER = 70.0  # seconds: longer than the ledger's open trials go unread
PINNED = {"containers": [{"name": "train", "image": f"i@sha256:{'a' * 64}", "command": ["true"]}]}
SPEC = {
    "reuse": {"dataFingerprint": "v1"},
    "trials": {"max": 3, "parallel": 2},
    "job": {"template": {"spec": {"template": {"spec": PINNED}}}},
}


class Host(SimulatedHost):
    """The same surroundings for sweeps of several names, in one experiment."""

    name = "first"

    def ledger(self, spec: Any) -> Ledger:
        identity = Identity(sweep=self.name, search=search_hash(spec), experiment="shared")
        return Ledger(self.world.store, identity, lineage={})


async def sweep(
    name: str, after: SimulatedCluster | None = None, *, fault: tuple[str, int] = ("", -1), **spec: Any
) -> Any:
    """A sweep of that name to its end, its process begun anew when it is killed; in the MLflow of the one before."""
    cluster = SimulatedCluster(make_spec(**SPEC | spec))
    if after is not None:
        cluster.store.runs, cluster.store.experiments = dict(after.store.runs), dict(after.store.experiments)
        cluster.store.points = {key: list(points) for key, points in after.store.points.items()}
    cluster.faults.set(*fault)

    def host() -> Host:
        made = Host(cluster)
        made.name = name
        return made

    running = host()
    for _ in range(60):
        cluster.catch_up()
        try:
            await running.look()
        except Killed:
            running = host()
        cluster.now += LATER
        for key, job in list(cluster.jobs.items()):
            if not job.phase.ended:
                fail, cluster.store.fail = cluster.store.fail, lambda *_: None
                await cluster.store.log(job.run, metrics={"loss": 0.5 + key[0], "ms": 10.0})
                cluster.store.fail = fail
                cluster.end(key, Phase.SUCCEEDED)
        if is_true(cluster.status, "Finished"):
            return cluster
    raise AssertionError(f"it has not ended: {cluster.status}")


def trials(cluster: SimulatedCluster, name: str) -> list[Run]:
    runs = [r for r in cluster.store.runs.values() if r.tags.get(records.KIND) == records.KIND_TRIAL]
    runs = [r for r in runs if r.tags[records.SWEEP] == name and r.tags[records.ID] != records.SUPERSEDED]
    return sorted(runs, key=lambda run: run.tags[records.TRIAL])


async def test_the_second_of_two_equal_sweeps_runs_no_job() -> None:
    """It has the results of the first, says so, and its runs tell whose they are."""
    first = await sweep("first")
    assert len(first.launched) == 3
    second = await sweep("second", first)
    assert second.launched == []
    assert second.status["trials"]["reused"] == second.status["trials"]["succeeded"] == 3
    assert second.status["best"]["objectives"] == first.status["best"]["objectives"]
    for mine, theirs in zip(trials(second, "second"), trials(second, "first"), strict=True):
        assert mine.tags[records.SOURCE] == theirs.id
        assert mine.tags["hypersweep.seed"] == theirs.tags["hypersweep.seed"]
        assert mine.metrics["loss"].value == theirs.metrics["loss"].value
        assert theirs.id in mine.tags["mlflow.note.content"]


@pytest.mark.parametrize(
    "changes",
    [
        {"reuse": {"dataFingerprint": "v2"}},
        {"strategy": {"name": "Random", "seed": 8}},
        {"job": {"arguments": "Flags"}},
        {"reuse": None},
    ],
    ids=["other data", "another seed", "another template", "not asked for"],
)
async def test_what_is_not_equal_is_run(changes: dict[str, Any]) -> None:
    """Any of what a result depends on."""
    second = await sweep("second", await sweep("first"), **changes)
    assert len(second.launched) == 3
    assert second.status["trials"]["reused"] == 0


async def test_another_objective_of_equal_trials_is_read_from_their_runs() -> None:
    """What was trained is the same; what it is judged by is this sweep's."""
    second = await sweep("second", await sweep("first"), objectives=[{"metric": "ms", "goal": "Minimize"}])
    assert second.launched == []
    assert second.status["best"]["objectives"] == {"ms": 10.0}


async def test_a_third_takes_the_result_of_the_first() -> None:
    """Not the copy, which has no curve."""
    second = await sweep("second", await sweep("first"))
    third = await sweep("third", second)
    first = {run.id for run in trials(third, "first")}
    assert {run.tags[records.SOURCE] for run in trials(third, "third")} == first


@pytest.mark.parametrize("when", ["kill before", "kill after", "fail before", "fail after"])
async def test_results_are_taken_whichever_request_breaks(when: str) -> None:
    """The n-th request is lost, for every n until there are no more: the same results, one run a trial, and no Job."""
    first = await sweep("first")
    calm = await sweep("second", first)
    struck, n = True, 0
    while struck:
        n += 1
        second = await sweep("second", first, fault=(when, n))
        struck = second.faults.countdown < 0
        assert second.launched == [], f"request {n}"
        assert second.status["trials"]["reused"] == 3, f"request {n}"
        told = [
            [run.tags[key] for key in (records.TRIAL, records.PARAMETERS, records.SOURCE)]
            for run in trials(second, "second")
        ]
        wanted = [
            [run.tags[key] for key in (records.TRIAL, records.PARAMETERS, records.SOURCE)]
            for run in trials(calm, "second")
        ]
        assert told == wanted, f"request {n}"
    assert n > 15, "a sweep of three trials takes more requests than that"


async def test_where_the_equal_run_has_gone_meanwhile_the_trial_is_run() -> None:
    """Between finding it and reading it: the trial does not wait for what will not come."""
    first = await sweep("first")
    find, taken = Ledger.equal, list[str]()

    async def found_and_deleted(ledger: Ledger, likeness: str) -> str:
        source = await find(ledger, likeness)
        taken.append(source)
        ledger.store.delete(source)  # type: ignore[attr-defined]
        return source

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "equal", found_and_deleted)
        second = await sweep("second", first)
    assert len(taken) == len(second.launched) == 3
    assert second.status["trials"]["succeeded"] == 3
    assert second.status["trials"]["reused"] == 0
