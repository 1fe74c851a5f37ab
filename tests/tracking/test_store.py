"""What every store promises (tracking/base.py), on each adapter and database."""

import asyncio
import itertools
import math
import uuid
from pathlib import Path

import pytest

from hypersweep.core.errors import TrackingNotFound, TrackingRefused
from hypersweep.tracking import client, rest
from hypersweep.tracking.base import FINISHED, PARAM_LIMIT, RUNNING, TAG_LIMIT, Store
from tests.tracking.stores import delete_experiment, delete_run, read_artifact

T0 = 1_700_000_000.0


def name() -> str:
    """An experiment that no other test has."""
    return f"experiment-{uuid.uuid4().hex[:8]}"


async def make_run(store: Store, experiment: str, *, started: float = T0, **tags: str) -> str:
    """A run with these tags; its id."""
    made = await store.create_run(experiment=experiment, name="r", tags=tags, started=started)
    return made.id


async def test_an_experiment_is_made_once(store: Store) -> None:
    """Asking for an experiment by name gives the same id each time."""
    wanted = name()
    assert await store.experiment(wanted) == await store.experiment(wanted)


async def test_two_who_make_an_experiment_at_once_get_the_same(store: Store) -> None:
    """Neither fails, and no second one is made."""
    wanted = name()
    assert len(set(await asyncio.gather(*(store.experiment(wanted) for _ in range(4))))) == 1


async def test_a_run_comes_back_as_it_was_made(store: Store) -> None:
    """One request makes the run with all of its tags, whatever characters they hold."""
    experiment = await store.experiment(name())
    tags = {
        "hypersweep.parameters": '{"lr":1e-05,"opt":"ädäm \'\\"\\\\ \\n 日本"}',
        "empty": "",
        "many.dots.and-dashes": "x" * TAG_LIMIT,
    }
    made = await store.create_run(experiment=experiment, name="the first", tags=tags, started=T0 + 0.123)
    for run in (made, await store.run(made.id)):
        assert {key: run.tags[key] for key in tags} == tags
        assert (run.tags["mlflow.runName"], run.status, run.experiment) == ("the first", RUNNING, experiment)
        assert (run.started, run.ended, run.deleted) == (T0 + 0.123, None, False)
        assert (run.params, run.metrics) == ({}, {})


async def test_a_run_that_does_not_exist_is_not_found(store: Store) -> None:
    """Reading and writing say TrackingNotFound, so that nobody waits for it."""
    absent = uuid.uuid4().hex
    with pytest.raises(TrackingNotFound):
        await store.run(absent)
    with pytest.raises(TrackingNotFound):
        await store.log(absent, tags={"a": "b"})
    with pytest.raises(TrackingNotFound):
        await store.finish(absent, status=FINISHED)
    assert list(await store.curve(absent, "loss")) == []


async def test_a_deleted_run_is_read_but_not_found_by_search_nor_written(store: Store) -> None:
    """Who deletes a run in MLflow's pages ends its trial; nothing of ours brings it back in silence."""
    experiment = await store.experiment(name())
    run = await make_run(store, experiment, a="b")
    await delete_run(store, run)
    assert (await store.run(run)).deleted
    assert await store.search(experiment=experiment, tags={"a": "b"}) == []
    with pytest.raises(TrackingRefused):
        await store.log(run, tags={"a": "c"})
    with pytest.raises(TrackingRefused):
        await store.finish(run, status=FINISHED)


async def test_a_deleted_experiment_is_refused_by_name(store: Store) -> None:
    """The message says what to do; no run is made in it."""
    wanted = name()
    experiment = await store.experiment(wanted)
    await delete_experiment(store, experiment)
    with pytest.raises(TrackingRefused, match=f'"{wanted}" is deleted'):
        await store.experiment(wanted)
    with pytest.raises(TrackingRefused):
        await make_run(store, experiment)


async def test_a_run_in_an_experiment_that_does_not_exist_is_refused(store: Store) -> None:
    """No run is made out of nothing."""
    with pytest.raises(TrackingRefused):
        await make_run(store, "987654321")


async def test_search_finds_runs_whose_tags_are_exactly_these(store: Store) -> None:
    """All tags must hold, and another case is another value, whatever the database thinks of it."""
    experiment = await store.experiment(name())
    wanted = await make_run(store, experiment, sweep="a", outcome="Open")
    for other in ({"sweep": "a", "outcome": "open"}, {"sweep": "b", "outcome": "Open"}, {"sweep": "a"}):
        await make_run(store, experiment, **other)
    assert [run.id for run in await store.search(experiment=experiment, tags={"sweep": "a", "outcome": "Open"})] == [
        wanted
    ]


@pytest.mark.parametrize(
    "value", ["it's", 'say "x"', "both ' and \"", "back\\slash\\", "100%", "a_b", "`tick`", "ünï 日本", "a' or '1'='1"]
)
async def test_search_takes_any_text_for_a_value(store: Store, value: str) -> None:
    """Quotes and wildcards in a value change nothing of its meaning."""
    experiment = await store.experiment(name())
    wanted = await make_run(store, experiment, **{"hypersweep.name": value})
    await make_run(store, experiment, **{"hypersweep.name": "aXb"})
    assert [run.id for run in await store.search(experiment=experiment, tags={"hypersweep.name": value})] == [wanted]


async def test_search_gives_the_oldest_first_and_no_more_than_asked(store: Store) -> None:
    """The order is the runs' start, so that the earliest of two is the same for everyone."""
    experiment = await store.experiment(name())
    runs = {start: await make_run(store, experiment, started=T0 + start, a="b") for start in (3, 1, 2)}
    assert [run.id for run in await store.search(experiment=experiment, tags={"a": "b"})] == [runs[1], runs[2], runs[3]]
    assert [run.id for run in await store.search(experiment=experiment, tags={"a": "b"}, limit=2)] == [runs[1], runs[2]]


async def test_find_gives_the_newest_runs_that_a_persons_filter_lets_through(store: Store) -> None:
    """By the experiment's name, whatever the filter says: no further than asked, deleted runs left out."""
    wanted, other = name(), name()
    experiment = await store.experiment(wanted)
    runs = [await make_run(store, experiment, started=T0 + i, team="ab"[i % 2]) for i in range(6)]
    await make_run(store, await store.experiment(other), team="a")
    await delete_run(store, runs[4])
    found = await store.find(experiment=wanted, where="tags.team = 'a'", limit=10) or []
    assert [run.id for run in found] == [runs[2], runs[0]]
    found = await store.find(experiment=wanted, where="", limit=3) or []
    assert [run.id for run in found] == [runs[5], runs[3], runs[2]]


async def test_find_makes_no_experiment_and_takes_no_nonsense(store: Store) -> None:
    """Absent and deleted experiments are None; a filter that MLflow does not understand is refused with its words."""
    absent, deleted, there = name(), name(), name()
    await delete_experiment(store, await store.experiment(deleted))
    await store.experiment(there)
    for experiment in (absent, absent, deleted):
        assert await store.find(experiment=experiment, where="", limit=1) is None
    with pytest.raises(TrackingRefused, match=r"(?i)invalid"):
        await store.find(experiment=there, where="loss <", limit=1)


@pytest.mark.parametrize("limit", [3, 4, 5, 99])
async def test_find_reads_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """A long history is no longer than one page, nor twice as long."""
    for adapter in (rest, client):
        monkeypatch.setattr(adapter, "RUNS_A_PAGE", 2)
    wanted = name()
    experiment = await store.experiment(wanted)
    runs = [await make_run(store, experiment, started=T0 - i) for i in range(5)]
    found = await store.find(experiment=wanted, where="", limit=limit) or []
    assert [run.id for run in found] == runs[:limit]


async def test_search_keeps_to_its_experiment(store: Store) -> None:
    """The same tags in another experiment are other runs."""
    here, there = await store.experiment(name()), await store.experiment(name())
    await make_run(store, there, a="b")
    assert await store.search(experiment=here, tags={"a": "b"}) == []


async def test_search_goes_through_all_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """More runs than fit on a page, many of them started at the same time, are found once each."""
    for module in ("hypersweep.tracking.rest", "hypersweep.tracking.client"):
        monkeypatch.setattr(f"{module}.RUNS_A_PAGE", 3)
    experiment = await store.experiment(name())
    made = [await make_run(store, experiment, started=T0 + i // 4, a="b") for i in range(10)]
    assert sorted(run.id for run in await store.search(experiment=experiment, tags={"a": "b"})) == sorted(made)


async def test_tags_can_be_changed_and_params_cannot(store: Store) -> None:
    """A param keeps its first value; another one is refused, and the tags of that request are not written either."""
    experiment = await store.experiment(name())
    run = await make_run(store, experiment, outcome="Open")
    await store.log(run, params={"lr": "0.1"}, tags={"outcome": "Failed"})
    await store.log(run, params={"lr": "0.1"})
    with pytest.raises(TrackingRefused):
        await store.log(run, params={"lr": "1e-1", "layers": "2"}, tags={"outcome": "Succeeded"})
    found = await store.run(run)
    assert (found.tags["outcome"], found.params) == ("Failed", {"lr": "0.1"})


async def test_a_hundred_params_and_tags_go_in_one_request(store: Store) -> None:
    """The largest search space fits."""
    experiment = await store.experiment(name())
    run = await make_run(store, experiment)
    texts = {f"p{i}": "x" * 256 for i in range(100)}
    await store.log(run, params=texts, tags=texts)
    found = await store.run(run)
    assert found.params == texts
    assert {key: found.tags[key] for key in texts} == texts


@pytest.mark.parametrize(
    "texts",
    [
        {"tags": {"a": "x" * (TAG_LIMIT + 1)}},
        {"params": {"a": "x" * (PARAM_LIMIT + 1)}},
        {"tags": {"a": "\0"}},
        {"tags": {"a": "\ud800"}},
    ],
    ids=["long tag", "long param", "NUL", "surrogate"],
)
async def test_what_mlflow_would_cut_or_choke_on_is_refused(store: Store, texts: dict[str, dict[str, str]]) -> None:
    """Nothing is shortened in silence, and nothing looks like a server in trouble."""
    experiment = await store.experiment(name())
    run = await make_run(store, experiment)
    with pytest.raises(TrackingRefused):
        await store.log(run, **texts)


@pytest.mark.parametrize("value", [0.5, -0.0, 1e-300, 1e300, 123456789.123456789, math.nan, math.inf, -math.inf])
async def test_a_metric_comes_back_as_it_was_logged(store: Store, value: float) -> None:
    """NaN and infinities too, from the run, from a search and from the curve."""
    experiment = await store.experiment(name())
    run = await make_run(store, experiment, a="b")
    await store.log(run, metrics={"loss": value}, step=3)
    [found] = await store.search(experiment=experiment, tags={"a": "b"})
    for point in (found.metrics["loss"], (await store.run(run)).metrics["loss"], *await store.curve(run, "loss")):
        assert point.step == 3
        assert point.value == value or (math.isnan(point.value) and math.isnan(value))


async def test_a_run_shows_each_metric_at_its_highest_step(store: Store) -> None:
    """Not the newest point, and not the best."""
    experiment = await store.experiment(name())
    run = await make_run(store, experiment)
    for step, value in ((1, 0.9), (5, 0.5), (3, 0.1)):
        await store.log(run, metrics={"loss": value}, step=step)
    point = (await store.run(run)).metrics["loss"]
    assert (point.step, point.value) == (5, 0.5)


async def test_a_curve_is_ordered_by_step(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """All points, over several pages; a metric that was never logged has none."""
    monkeypatch.setattr("hypersweep.tracking.rest.POINTS_A_PAGE", 2)
    experiment = await store.experiment(name())
    run = await make_run(store, experiment)
    steps = [4, 0, 3, 1, 2]
    for step in steps:
        await store.log(run, metrics={"loss": step / 10, "other": 1.0}, step=step)
    assert [(p.step, p.value) for p in await store.curve(run, "loss")] == [(s, s / 10) for s in sorted(steps)]
    assert list(await store.curve(run, "absent")) == []


async def test_a_run_ends_and_opens_again(store: Store) -> None:
    """Status and end time; and both, and metrics, can still be written afterwards."""
    experiment = await store.experiment(name())
    run = await make_run(store, experiment)
    for status, ended in (("FINISHED", T0 + 10), ("FAILED", T0 + 20), ("KILLED", T0 + 30)):
        await store.finish(run, status=status, ended=ended)
        found = await store.run(run)
        assert (found.status, found.ended) == (status, ended)
    await store.log(run, metrics={"late": 1.0}, tags={"late": "yes"}, params={"late": "1"})
    await store.finish(run, status=RUNNING)
    found = await store.run(run)
    assert (found.status, found.metrics["late"].value, found.tags["late"], found.params["late"]) == (
        RUNNING,
        1.0,
        "yes",
        "1",
    )


async def test_a_file_among_a_runs_artifacts_is_written_and_replaced(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # MLflow without a server keeps artifacts in the folder it runs in
    run = await store.run(await make_run(store, await store.experiment(name())))
    for text in ("first", "# zweiter, länger 日本\n"):
        await store.artifact(run, "report/a b.md", text)
        assert await read_artifact(store, run.id, "report/a b.md") == text


async def test_many_at_once_all_come_through(store: Store) -> None:
    """Requests wait for a slot; none fails for being one of many."""
    experiment = await store.experiment(name())
    await asyncio.gather(*(make_run(store, experiment, started=T0 + i, a="b") for i in range(24)))
    found = await store.search(experiment=experiment, tags={"a": "b"})
    assert len(found) == 24
    assert all(one.started < two.started for one, two in itertools.pairwise(found))


async def test_a_store_that_answers_reports_no_trouble(store: Store) -> None:
    """Also when the answer was a refusal."""
    with pytest.raises(TrackingNotFound):
        await store.run(uuid.uuid4().hex)
    assert (store.down_since, store.error) == (None, "")
