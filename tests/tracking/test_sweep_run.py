"""The sweep's own run, on the fake store: one for all who open it, whose it is, and what it says at the end."""

from dataclasses import replace

import pytest

from hypersweep.core.errors import TrackingNotFound
from hypersweep.core.snapshot import Ending
from hypersweep.core.trial import Outcome
from hypersweep.tracking import records
from hypersweep.tracking.base import FAILED, FINISHED, KILLED, RUNNING
from hypersweep.tracking.identity import Owner
from hypersweep.tracking.ledger import Ledger
from tests.fakes.store import FakeStore
from tests.tracking.ledgers import IDENTITY, NOW, new_store, plan, reopened, succeeded

ME = Owner(operator="op", sweep="uid")
DONE = Ending(reason="MaxTrials", message="all trials are done", complete=True)


@pytest.fixture
def store() -> FakeStore:
    return new_store()


@pytest.fixture
async def ledger(store: FakeStore) -> Ledger:
    """Open, and empty."""
    return await reopened(store)


async def test_opening_twice_gives_the_same_parent(store: FakeStore) -> None:
    """The ledger outlives the operator."""
    assert (await reopened(store)).parent.run == (await reopened(store)).parent.run
    assert len(store.runs) == 1


async def test_another_search_of_the_same_name_is_another_sweep(store: FakeStore) -> None:
    """Trials of one question never count for another."""
    ledger = await reopened(store)
    await plan(ledger)
    other = await reopened(store, replace(IDENTITY, search="ba9876543210"))
    assert other.parent.run != ledger.parent.run
    assert await other.history() == []


async def test_of_two_parents_the_earliest_stays(store: FakeStore) -> None:
    """Two operators that opened at once agree, and the other run is closed."""
    first = await reopened(store)
    tags = records.identity_tags(IDENTITY, records.KIND_SWEEP)
    second = await store.create_run(experiment=first.parent.experiment, name="x", tags=tags, started=NOW + 1)
    assert (await reopened(store)).parent.run == first.parent.run
    assert store.runs[second.id].status == KILLED
    assert store.runs[second.id].tags[records.SUPERSEDED_BY] == first.parent.run
    assert first.parent.run == (await reopened(store)).parent.run


async def test_a_deleted_parent_is_made_anew_and_trials_stay(store: FakeStore, ledger: Ledger) -> None:
    """Trials are found by the sweep's identity, not by their parent."""
    trial = await plan(ledger)
    store.delete(ledger.parent.run)
    again = await reopened(store)
    assert again.parent.run != ledger.parent.run
    assert [t.run for t in await again.history()] == [trial.run]


async def test_a_heartbeat_shows_on_the_parent_and_is_released(store: FakeStore, ledger: Ledger) -> None:
    """Others see who works on the sweep, since when, and that it is free again."""
    await ledger.heartbeat(ME, NOW + 60)
    seen = (await reopened(store)).parent
    assert (seen.owner, seen.heartbeat, seen.released) == (ME, NOW + 60, False)
    await ledger.release(ME)
    assert (await reopened(store)).parent.released


async def test_a_heartbeat_does_not_write_over_another_owner(store: FakeStore, ledger: Ledger) -> None:
    """Who took the sweep over keeps it; the former owner learns of it, and does not release what is not its own."""
    await ledger.heartbeat(ME, NOW)
    other, them = await reopened(store), Owner(operator="other", sweep="x")
    await other.heartbeat(them, NOW + 300)
    assert (await ledger.heartbeat(ME, NOW + 301)).owner == them
    await ledger.release(ME)
    seen = (await reopened(store)).parent
    assert (seen.owner, seen.heartbeat, seen.released) == (them, NOW + 300, False)


async def test_a_heartbeat_on_a_deleted_parent_is_not_found(store: FakeStore, ledger: Ledger) -> None:
    """The loop opens the ledger anew then."""
    store.delete(ledger.parent.run)
    with pytest.raises(TrackingNotFound):
        await ledger.heartbeat(ME, NOW)


async def test_a_finished_sweep_says_how_it_ended(store: FakeStore, ledger: Ledger) -> None:
    """In MLflow's pages: status, counts, the best trial and its value; a heartbeat afterwards opens it again."""
    best = await ledger.commit(await plan(ledger), succeeded(0.25))
    counts = {Outcome.SUCCEEDED: 1, Outcome.FAILED: 2}
    await ledger.finish(ending=DONE, best=best, counts=counts, spent={"nvidia.com/gpu": 1.5}, now=NOW + 9)
    run = store.runs[ledger.parent.run]
    assert run.metrics["resource_hours/nvidia.com/gpu"].value == 1.5
    assert (run.status, run.ended, run.metrics["best"].value) == (FINISHED, NOW + 9, 0.25)
    assert run.tags["hypersweep.reason"] == "MaxTrials"
    assert run.tags["hypersweep.best.run"] == best.run
    assert (run.tags["hypersweep.trials.succeeded"], run.tags["hypersweep.trials.failed"]) == ("1", "2")
    await ledger.heartbeat(ME, NOW + 20)
    assert store.runs[ledger.parent.run].status == RUNNING


async def test_a_failed_sweep_is_a_failed_run(store: FakeStore, ledger: Ledger) -> None:
    """Without a best trial there is no best metric."""
    await ledger.finish(ending=replace(DONE, complete=False), best=None, counts={}, spent={}, now=NOW)
    assert store.runs[ledger.parent.run].status == FAILED
    assert not store.runs[ledger.parent.run].metrics


async def test_the_parent_run_shows_how_the_front_grows(store: FakeStore, ledger: Ledger) -> None:
    """A curve over ended trials; at the end the front's trials, and no single best value."""
    await ledger.progress(hypervolume=1.5, ended=5)
    await ledger.progress(hypervolume=2.5, ended=9)
    best = replace(await plan(ledger), value=0.5, values=(0.5, 7.0))
    await ledger.finish(ending=DONE, best=best, front=[best], counts={Outcome.SUCCEEDED: 9}, spent={}, now=NOW)
    run = store.runs[ledger.parent.run]
    assert [(p.step, p.value) for p in await store.curve(run.id, "hypervolume")] == [(5, 1.5), (9, 2.5)]
    assert run.tags["hypersweep.paretoFront"] == "[0]"
    assert "best" not in run.metrics
