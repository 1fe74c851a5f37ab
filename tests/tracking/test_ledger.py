"""The ledger's operations on trials, on the fake store: what each leaves behind, and what odd ledgers do to it."""

import json
import math
from dataclasses import replace

import pytest

from hypersweep.core.errors import TrackingNotFound, TrackingRefused, TrackingUnavailable
from hypersweep.core.trial import Outcome, Result, Trial
from hypersweep.tracking import records
from hypersweep.tracking.base import FAILED, FINISHED, KILLED, RUNNING, Run
from hypersweep.tracking.ledger import Ledger
from tests.fakes.store import FakeStore
from tests.tracking.ledgers import IDENTITY, LOSS, NOW, fail_at, never, new_store, plan, reopened, succeeded


@pytest.fixture
def store() -> FakeStore:
    return new_store()


@pytest.fixture
async def ledger(store: FakeStore) -> Ledger:
    """Open, and empty."""
    return await reopened(store)


def live_runs(store: FakeStore, index: int = 0) -> list[Run]:
    """The runs that a search of ours would find for an index."""
    return [
        r
        for r in store.runs.values()
        if r.tags.get(records.ID) == IDENTITY.key and r.tags.get(records.TRIAL) == str(index)
    ]


async def duplicate(store: FakeStore, trial: Trial, *, started: float, outcome: str | None = None) -> str:
    """A second run of the same trial."""
    run = store.runs[trial.run]
    tags = {**run.tags, **({records.OUTCOME: outcome} if outcome else {})}
    made = await store.create_run(
        experiment=run.experiment, name=tags.pop("mlflow.runName"), tags=tags, started=started
    )
    return made.id


async def commit_run(store: FakeStore, run: str) -> None:
    """End a run's trial as another operator would have."""
    await store.log(run, tags=records.committed_tags(succeeded()))


# ---- planning --------------------------------------------------------------------------------------------------------


async def test_a_planned_trial_says_everything_in_one_request(store: FakeStore, ledger: Ledger) -> None:
    """Its run is complete from its first moment: a crash right after loses nothing."""
    before = len(store.requests)
    trial = await plan(ledger, 3, name="published", retry="token", tags={"hypersweep.seed": "7"})
    assert store.requests[before:] == ["create_run"]
    tags = store.runs[trial.run].tags
    assert tags["mlflow.parentRunId"] == ledger.parent.run
    assert tags["mlflow.runName"] == "trial-3 published"
    assert json.loads(tags["hypersweep.parameters"]) == {
        "lr": 1e-05,
        "layers": 2,
        "optimizer": "adam",
        "nesterov": True,
    }
    told = {
        key: tags[f"hypersweep.{key}"]
        for key in ("sweep", "search", "trial", "attempt", "charged", "outcome", "retry", "seed", "version")
    }
    assert told == {
        "sweep": "team/digits",
        "search": "0123456789ab",
        "trial": "3",
        "attempt": "1",
        "charged": "0",
        "outcome": "Open",
        "retry": "token",
        "seed": "7",
        "version": "1",
    }
    assert await (await reopened(store)).history() == [trial]
    assert store.runs[trial.run].params == {}


async def test_the_first_launch_needs_no_request_and_later_ones_are_noted(store: FakeStore, ledger: Ledger) -> None:
    """Attempt 1 is in the plan; a restarted operator finds the number that was launched last."""
    trial = await plan(ledger)
    before = len(store.requests)
    await ledger.attempt(trial)
    assert len(store.requests) == before
    second = replace(trial, attempt=2, charged=1)
    await ledger.attempt(second)
    assert await (await reopened(store)).history() == [second]


async def test_a_plan_whose_answer_was_lost_is_found_again(store: FakeStore, ledger: Ledger) -> None:
    """In this process without being told, in another when it is unsure: one run, with the parameters first written."""
    store.fail = fail_at("create_run", "after")
    with pytest.raises(TrackingUnavailable):
        await plan(ledger)
    store.fail = never
    trial = await ledger.plan(0, {"lr": 0.7}, name="", retry="", tags={}, now=NOW)
    assert trial.parameters["lr"] == 1e-05
    assert len(live_runs(store)) == 1
    again = await (await reopened(store)).plan(0, {"lr": 0.8}, name="", retry="", tags={}, now=NOW, unsure=True)
    assert again == trial


async def test_a_plan_that_never_arrived_is_made(store: FakeStore, ledger: Ledger) -> None:
    """Looking first costs one search, and finds nothing."""
    store.fail = fail_at("create_run", "before")
    with pytest.raises(TrackingUnavailable):
        await plan(ledger)
    store.fail = never
    assert (await plan(ledger)).run == live_runs(store)[0].id


async def test_a_run_that_shows_up_late_is_closed(store: FakeStore, ledger: Ledger) -> None:
    """The lost request took effect after we had looked and made another: the one that we launched stays."""
    trial = await plan(ledger)
    late = await duplicate(store, trial, started=NOW - 1)
    assert [t.run for t, _ in await ledger.unfinished()] == [trial.run]
    assert store.runs[late].status == KILLED
    assert [r.id for r in live_runs(store)] == [trial.run]


async def test_a_duplicate_of_an_ended_trial_is_not_open(store: FakeStore, ledger: Ledger) -> None:
    """Else a finished trial would run again."""
    trial = await ledger.commit(await plan(ledger), succeeded())
    late = await duplicate(store, trial, started=NOW - 1, outcome="Open")
    assert await ledger.unfinished() == []
    assert store.runs[late].status == KILLED


async def test_a_trial_that_ends_while_mlflow_searches_is_not_open(store: FakeStore, ledger: Ledger) -> None:
    """The search saw it open, the commit was faster than its answer: a stale view brings nothing back."""
    trial = await plan(ledger)
    await ledger.commit(trial, succeeded())
    committed = store.runs[trial.run]
    store.runs[trial.run] = replace(committed, tags={**committed.tags, records.OUTCOME: "Open"})  # as the search saw it
    assert await ledger.unfinished() == []
    assert store.runs[trial.run].status == FINISHED


@pytest.mark.parametrize("length", [8000, 20_000])
async def test_an_assignment_too_long_for_a_tag_is_refused(ledger: Ledger, length: int) -> None:
    """MLflow would cut it, and nobody could read it again; the message says how long it is."""
    with pytest.raises(TrackingRefused, match=r"trial 0 takes .* characters.*8000"):
        await ledger.plan(0, {"text": "x" * length}, name="", retry="", tags={}, now=NOW)


# ---- reading ---------------------------------------------------------------------------------------------------------


async def test_of_duplicates_the_committed_stays_then_the_jobs_then_the_earliest(
    store: FakeStore, ledger: Ledger
) -> None:
    """Everyone who looks decides alike, and the others are found never again."""
    early = [await plan(ledger, index) for index in range(3)]
    late = [await duplicate(store, trial, started=NOW + 10) for trial in early]
    await ledger.commit(early[0], succeeded())
    await commit_run(store, late[0])  # both committed: the earliest
    await commit_run(store, late[1])  # committed beats what a Job names
    history = await (await reopened(store)).history(prefer={1: early[1].run, 2: late[2]})
    assert [trial.run for trial in history] == [early[0].run, late[1], late[2]]
    assert [store.runs[run].status for run in (late[0], early[1].run, early[2].run)] == [KILLED] * 3
    before = len(store.requests)
    assert [t.run for t in await (await reopened(store)).history()] == [early[0].run, late[1], late[2]]
    assert store.requests[before:] == ["experiment", "search", "search"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verb", ["finish", "log"])
async def test_a_crash_while_a_duplicate_is_closed_is_repaired(
    store: FakeStore, ledger: Ledger, verb: str, when: str
) -> None:
    """It ends up killed and out of sight, never running and out of sight."""
    trial = await plan(ledger)
    late = await duplicate(store, trial, started=NOW + 10)
    again = await reopened(store)
    store.fail = fail_at(verb, when)
    with pytest.raises(TrackingUnavailable):
        await again.history()
    store.fail = never
    assert [t.run for t in await (await reopened(store)).history()] == [trial.run]
    assert (store.runs[late].status, [r.id for r in live_runs(store)]) == (KILLED, [trial.run])


async def test_without_a_job_the_earliest_duplicate_stays(store: FakeStore, ledger: Ledger) -> None:
    """Also when the ledger shows them in another order."""
    trial = await plan(ledger)
    first = await duplicate(store, trial, started=NOW - 10)
    assert [t.run for t in await (await reopened(store)).history()] == [first]


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("hypersweep.trial", "three"),
        ("hypersweep.trial", "-1"),
        ("hypersweep.parameters", "{"),
        ("hypersweep.parameters", "[1]"),
        ("hypersweep.parameters", '{"lr": null}'),
        ("hypersweep.attempt", "x"),
        ("hypersweep.outcome", "Done"),
        ("hypersweep.outcome", "Succeeded"),
    ],
)
async def test_a_run_that_cannot_be_read_is_left_out_and_reported(
    store: FakeStore, ledger: Ledger, tag: str, value: str
) -> None:
    """Someone edited our tags: the other trials go on, and the log says which run it is and why."""
    broken, fine = await plan(ledger, 0), await plan(ledger, 1)
    await store.log(broken.run, tags={tag: value})
    again = await reopened(store)
    assert [trial.run for trial in await again.history()] == [fine.run]
    assert [skip.run for skip in again.skipped] == [broken.run]
    assert again.skipped[0].reason


async def test_unfinished_trials_show_their_newest_metric(store: FakeStore, ledger: Ledger) -> None:
    """How the loop knows that a trial makes progress: one small query for all of them."""
    quiet, busy = await plan(ledger, 0), await plan(ledger, 1)
    await ledger.commit(await plan(ledger, 2), succeeded())
    await store.log(busy.run, metrics={"loss": 0.5}, step=1)
    before = len(store.requests)
    found = await ledger.unfinished()
    assert store.requests[before:] == ["search"]
    assert [(trial.run, trial.progress) for trial, _ in found] == [(quiet.run, None), (busy.run, NOW + 50)]
    assert found[1][1].metrics["loss"].value == 0.5


async def test_a_deleted_trial_is_unfinished_no_more_and_cannot_be_measured(store: FakeStore, ledger: Ledger) -> None:
    """A person deleted the run: every operation says that it is gone, none brings it back."""
    trial = await plan(ledger)
    store.delete(trial.run)
    assert await ledger.unfinished() == []
    with pytest.raises(TrackingNotFound):
        await ledger.measure(trial, LOSS)
    with pytest.raises(TrackingNotFound):
        await ledger.attempt(replace(trial, attempt=2))
    with pytest.raises(TrackingNotFound):
        await ledger.commit(trial, succeeded())
    with pytest.raises(TrackingNotFound):
        await ledger.reopen(trial, retry="x")
    assert (await plan(ledger)).run != trial.run


async def test_points_lie_at_their_step_or_where_the_axis_says(store: FakeStore, ledger: Ledger) -> None:
    """A step at which the counting metric was not logged has no place on its axis."""
    trial = await plan(ledger)
    for step, loss, samples in [(1, 0.9, 64.0), (2, 0.7, None), (3, 0.5, 192.0)]:
        await store.log(trial.run, metrics={"loss": loss} | ({"samples": samples} if samples else {}), step=step)
    plain = await ledger.points(trial.run, "loss", axis=None)
    assert [(p.budget, p.value) for p in plain] == [(1, 0.9), (2, 0.7), (3, 0.5)]
    counted = await ledger.points(trial.run, "loss", axis="samples")
    assert [(p.budget, p.value) for p in counted] == [(64, 0.9), (192, 0.5)]


# ---- the end of a trial ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Outcome.SUCCEEDED, FINISHED), (Outcome.FAILED, FAILED), (Outcome.STOPPED, KILLED), (Outcome.INFEASIBLE, FAILED)],
)
async def test_a_committed_trial_reads_back_as_it_ended(
    store: FakeStore, ledger: Ledger, outcome: Outcome, status: str
) -> None:
    """Outcome, value, reason, message, place and time; and MLflow's own status says the same in its words."""
    result = Result(
        outcome=outcome, value=0.5, reason="Crashed", message="exit 1:\nboom\0", where="pod-x", ended=NOW + 100
    )
    ended = await ledger.commit(await plan(ledger), result)
    [found] = await (await reopened(store)).history()
    assert found == ended
    assert (found.outcome, found.value, found.reason, found.where, found.ended) == (
        outcome,
        0.5,
        "Crashed",
        "pod-x",
        NOW + 100,
    )
    assert found.message == "exit 1:\nboom�"
    assert (store.runs[found.run].status, store.runs[found.run].ended) == (status, NOW + 100)


async def test_a_second_objective_that_is_no_number_reads_back(store: FakeStore, ledger: Ledger) -> None:
    """Like a first."""
    trial = await plan(ledger)
    await ledger.commit(trial, Result(outcome=Outcome.INFEASIBLE, value=1.0, values=(1.0, math.nan), ended=NOW))
    [read] = await (await reopened(store)).history()
    assert repr(read.values) == "(1.0, nan)"


@pytest.mark.parametrize("violation", [0.25, math.inf])
async def test_a_violation_reads_back(store: FakeStore, ledger: Ledger, violation: float) -> None:
    """After a restart the search is led by the same amounts."""
    trial = await plan(ledger)
    result = Result(outcome=Outcome.INFEASIBLE, value=0.5, violation=violation, reason="ConstraintViolated", ended=NOW)
    committed = await ledger.commit(trial, result)
    [found] = await (await reopened(store)).history()
    assert (found.value, found.violation) == (committed.value, committed.violation) == (0.5, violation)


async def test_params_that_the_trainer_left_out_are_added(store: FakeStore, ledger: Ledger) -> None:
    """In the shortest spelling that reads back alike; the trainer's own spellings stay."""
    trial = await plan(ledger)
    await store.log(trial.run, params={"lr": "0.00001", "other": "x"})
    await ledger.commit(trial, succeeded())
    assert store.runs[trial.run].params == {
        "lr": "0.00001",
        "other": "x",
        "layers": "2",
        "optimizer": "adam",
        "nesterov": "true",
    }


async def test_a_param_that_comes_between_look_and_write_does_not_stop_the_commit(
    store: FakeStore, ledger: Ledger
) -> None:
    """A trainer that is being stopped may log until its last moment."""
    trial = await plan(ledger)
    await ledger.measure(trial, LOSS)
    await store.log(trial.run, params={"lr": "1E-5"})
    assert (await ledger.commit(trial, succeeded())).outcome is Outcome.SUCCEEDED
    assert store.runs[trial.run].params["lr"] == "1E-5"


async def test_a_commit_costs_three_requests_or_two(store: FakeStore, ledger: Ledger) -> None:
    """Measure, status, end; a trainer that closed its own run saves one."""
    for index, closed in enumerate((False, True)):
        trial = await plan(ledger, index)
        await store.log(trial.run, metrics={"loss": 0.5})
        if closed:
            await store.finish(trial.run, status=FINISHED, ended=NOW)
        before = len(store.requests)
        await ledger.measure(trial, LOSS)
        await ledger.commit(trial, succeeded())
        assert store.requests[before:] == (["run", "log"] if closed else ["run", "finish", "log"])


async def test_what_an_attempt_left_behind_is_seen_at_the_commit(store: FakeStore, ledger: Ledger) -> None:
    """Attempt 1 closed the run as failed and was measured, attempt 2 was killed in the middle: no run is left RUNNING."""
    trial = await plan(ledger)
    await store.finish(trial.run, status=FAILED, ended=NOW)
    await ledger.measure(trial, LOSS)
    second = replace(trial, attempt=2, charged=1)
    await ledger.attempt(second)
    await store.finish(trial.run, status=RUNNING)  # as start_run() does in the second attempt
    await ledger.commit(second, Result(outcome=Outcome.FAILED, ended=NOW + 9))
    assert store.runs[trial.run].status == FAILED


async def test_a_trial_ends_once(store: FakeStore, ledger: Ledger) -> None:
    """A second commit with another result, after a lost answer, returns the first: results are frozen."""
    trial = await plan(ledger)
    await ledger.measure(trial, LOSS)
    store.fail = fail_at("log", "after")
    with pytest.raises(TrackingUnavailable):
        await ledger.commit(trial, succeeded(0.5))
    store.fail = never
    for one in (ledger, await reopened(store)):
        again = await one.commit(trial, Result(outcome=Outcome.FAILED, ended=NOW + 200))
        assert (again.outcome, again.value) == (Outcome.SUCCEEDED, 0.5)


async def test_a_long_message_keeps_its_end(ledger: Ledger) -> None:
    """The last lines of a log say what happened."""
    trial = await ledger.commit(
        await plan(ledger), succeeded(message="first line" + "x" * 20_000 + "ValueError: the cause")
    )
    assert len(trial.message) == 4000
    assert trial.message.startswith("first line")
    assert trial.message.endswith("ValueError: the cause")


async def test_a_failed_trial_is_tried_anew_in_its_run(store: FakeStore, ledger: Ledger) -> None:
    """Open again, a new attempt, nothing charged, and nothing left of its first end; then it ends for good."""
    failed = await ledger.commit(
        await plan(ledger), Result(outcome=Outcome.FAILED, reason="Crashed", message="boom", ended=NOW)
    )
    again = await ledger.reopen(replace(failed, attempt=3, charged=2), retry="second")
    assert (again.attempt, again.charged, again.retry, again.outcome) == (4, 0, "second", Outcome.OPEN)
    assert (again.reason, again.message, again.ended) == ("", "", None)
    assert store.runs[again.run].status == RUNNING
    assert await (await reopened(store)).history() == [again]
    assert [trial for trial, _ in await ledger.unfinished()] == [again]
    assert (await ledger.commit(again, succeeded())).outcome is Outcome.SUCCEEDED


async def test_what_a_trial_has_used_outlives_its_attempts_its_end_and_a_new_chance(
    store: FakeStore, ledger: Ledger
) -> None:
    """Each writes the whole account; a ledger read anew has it."""
    used: list[dict[str, dict[str, float]]] = [{"a": {"cpu": 0.5}}]
    trial = await ledger.account(await plan(ledger), used[0])
    used.append({**used[0], "b": {"cpu": 0.25, "nvidia.com/gpu": 0.125}})
    await ledger.attempt(replace(trial, attempt=2, charged=1, spent=used[1]))
    assert [t.spent for t in await ledger.history()] == [used[1]]
    used.append({**used[1], "c": {"cpu": 1.0}})
    [trial] = await ledger.history()
    failed = await ledger.commit(trial, Result(outcome=Outcome.FAILED, reason="Crashed", ended=NOW, spent=used[2]))
    assert [t.spent for t in (failed, *await ledger.history())] == [used[2], used[2]]
    again = await ledger.reopen(failed, retry="again")
    assert [t.spent for t in (again, *await ledger.history())] == [used[2], used[2]]
