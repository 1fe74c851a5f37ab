"""The report at the end of a sweep: there in the end, whatever happens meanwhile, and never in the way of the end."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from hypersweep.controller import reporter
from hypersweep.controller.reporter import Reporter
from hypersweep.core.conditions import is_true
from hypersweep.core.errors import TrackingRefused, TrackingUnavailable
from hypersweep.tracking import records, reports
from hypersweep.tracking.base import Run
from tests.core.builders import make_spec
from tests.engine.courses import Course, train
from tests.engine.simulation import Killed, SimulatedCluster, SimulatedHost

WRITTEN = {"state": "Written", "path": "hypersweep-report/report.md"}


def make_cluster(**changes: Any) -> SimulatedCluster:
    return SimulatedCluster(make_spec(trials={"max": 2, "parallel": 2, "attempts": 1, "maxFailed": 2}, **changes))


async def to_the_end(
    cluster: SimulatedCluster, host: SimulatedHost, *, until: Callable[[], bool] | None = None
) -> None:
    """Look until the sweep has ended and its report is settled."""

    def settled() -> bool:
        return is_true(cluster.status, "Finished") and state(cluster) != "Pending"

    course = Course(host, partial(train, metrics={"loss": 0.5, "ms": 3.0}), pause=1.5)
    await course.until(until or settled)


def state(cluster: SimulatedCluster) -> str | None:
    found: str | None = cluster.status.get("report", {}).get("state")
    return found


def parent(cluster: SimulatedCluster) -> Run:
    return next(r for r in cluster.store.runs.values() if r.tags[records.KIND] == records.KIND_SWEEP)


def files_of(cluster: SimulatedCluster) -> set[str]:
    return {path for run, path in cluster.store.artifacts if run == parent(cluster).id}


def fail_artifacts(cluster: SimulatedCluster, error: Exception, *, times: int = 10**6) -> list[int]:
    """The next so many writes of artifacts fail; the list counts them."""
    struck: list[int] = []

    def fail(_number: int, verb: str, when: str) -> None:
        if verb == "artifact" and when == "before" and len(struck) < times:
            struck.append(1)
            raise error

    cluster.store.fail = fail
    return struck


@pytest.mark.parametrize(
    "objectives",
    [
        pytest.param([{"metric": "loss", "goal": "Minimize"}], id="one objective"),
        pytest.param(
            [{"metric": "loss", "goal": "Minimize"}, {"metric": "ms", "goal": "Maximize"}], id="two objectives"
        ),
    ],
)
async def test_a_sweep_that_ends_leaves_a_report_on_its_run(objectives: list[dict[str, str]]) -> None:
    cluster = make_cluster(objectives=objectives)
    await to_the_end(cluster, SimulatedHost(cluster))
    assert cluster.status["report"] == WRITTEN
    pictures = {"history.svg"} if len(objectives) == 1 else {"history-1.svg", "history-2.svg"}
    assert files_of(cluster) == {f"hypersweep-report/{name}" for name in ("report.md", "report.json", *pictures)}
    tags = parent(cluster).tags
    assert tags[reports.REPORT] == "hypersweep-report/report.md, among the artifacts"
    assert "it takes 20 finite results of loss, and there are 2" in tags[reports.NOTE]


async def test_the_end_is_told_before_the_report_is_there() -> None:
    """Finished comes first; the report follows."""
    cluster = make_cluster()
    fail_artifacts(cluster, TrackingUnavailable("no answer"))
    host = SimulatedHost(cluster)
    await to_the_end(cluster, host, until=lambda: is_true(cluster.status, "Finished"))
    assert state(cluster) == "Pending"
    assert parent(cluster).status == "FINISHED"


async def test_a_failure_of_mlflow_is_tried_again() -> None:
    cluster = make_cluster()
    struck = fail_artifacts(cluster, TrackingUnavailable("no answer"), times=2)
    await to_the_end(cluster, SimulatedHost(cluster))
    assert (cluster.status["report"], len(struck)) == (WRITTEN, 2)


async def test_a_failure_that_lasts_is_given_up_and_said_and_the_sweep_is_complete_all_the_same() -> None:
    cluster = make_cluster()
    struck = fail_artifacts(cluster, TrackingUnavailable("no answer"))
    await to_the_end(cluster, SimulatedHost(cluster))
    assert len(struck) == 1 + len(Reporter.pauses)
    assert cluster.status["report"] == {
        "state": "NotWritten",
        "message": "no answer; `hypersweep analyze` says the same",
    }
    assert is_true(cluster.status, "Complete")
    assert is_true(cluster.status, "TrackingAvailable")


async def test_artifacts_that_cannot_be_written_cost_the_files_but_not_the_note() -> None:
    """As where they are in a bucket that the operator has no key for."""
    cluster = make_cluster()
    struck = fail_artifacts(cluster, TrackingRefused("its artifacts are in s3://bucket"))
    await to_the_end(cluster, SimulatedHost(cluster))
    assert len(struck) == 1
    assert state(cluster) == "NotWritten"
    assert "s3://bucket" in cluster.status["report"]["message"]
    assert "no files: its artifacts are in s3://bucket" in parent(cluster).tags[reports.REPORT]
    assert "What we learned" in parent(cluster).tags[reports.NOTE]


async def test_an_analysis_that_fails_is_said_and_the_sweep_is_complete_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of no use")

    monkeypatch.setattr(reporter, "_files", broken)
    cluster = make_cluster()
    await to_the_end(cluster, SimulatedHost(cluster))
    assert cluster.status["report"]["message"].startswith("ZeroDivisionError: of no use")
    assert is_true(cluster.status, "Complete")


async def test_a_kill_at_any_request_leaves_one_whole_report() -> None:
    """Before the end, at it, between the files: the next process writes the report, though the sweep is over."""
    expected: set[str] | None = None
    for n in range(1, 200):
        cluster = make_cluster()
        cluster.faults.set("kill before", n)
        host, killed = SimulatedHost(cluster), False
        try:
            await to_the_end(cluster, host)
        except Killed:
            killed = True
            cluster.now += 1000
            await to_the_end(cluster, SimulatedHost(cluster))
        assert cluster.status["report"] == WRITTEN, f"request {n}"
        expected = expected or files_of(cluster)
        assert files_of(cluster) == expected, f"request {n}"
        if not killed:
            assert n > 25, "the sweep, and its report, take more requests than that"
            return
    raise AssertionError("it never ran to its end")


async def test_a_finished_sweep_whose_report_is_there_is_left_alone() -> None:
    """A new process asks MLflow nothing of it."""
    cluster = make_cluster()
    await to_the_end(cluster, SimulatedHost(cluster))
    before = len(cluster.store.requests)
    host = SimulatedHost(cluster)
    for _ in range(5):
        await host.look()
    assert len(cluster.store.requests) == before
    assert cluster.status["report"] == WRITTEN


async def test_a_sweep_that_goes_on_has_a_new_report_at_its_new_end() -> None:
    cluster = make_cluster()
    host = SimulatedHost(cluster)
    await to_the_end(cluster, host)
    cluster.edit(max=4)
    await to_the_end(cluster, host, until=lambda: not is_true(cluster.status, "Finished"))
    assert state(cluster) is None
    await to_the_end(cluster, host)
    assert cluster.status["report"] == WRITTEN
    assert "there are 4" in parent(cluster).tags[reports.NOTE]


async def test_the_run_of_a_finished_sweep_may_be_deleted_before_its_report() -> None:
    cluster = make_cluster()
    fail_artifacts(cluster, TrackingUnavailable("no answer"))
    await to_the_end(cluster, SimulatedHost(cluster), until=lambda: is_true(cluster.status, "Finished"))
    cluster.store.delete(parent(cluster).id)
    await to_the_end(cluster, SimulatedHost(cluster))
    assert "gone from MLflow" in cluster.status["report"]["message"]


async def test_the_loop_goes_on_while_the_report_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is in another thread: a look does not wait for it."""
    release = threading.Event()
    real = reporter._files

    def slow(*given: Any, **options: Any) -> Any:
        release.wait(30)
        return real(*given, **options)

    monkeypatch.setattr(reporter, "_files", slow)
    cluster = make_cluster()
    host = SimulatedHost(cluster)
    await to_the_end(
        cluster, host, until=lambda: len(cluster.store.requests) > 0 and not cluster.active() and bool(cluster.jobs)
    )
    for _ in range(20):
        cluster.catch_up()
        await host.loop.look()
        cluster.now += 1.5
        await asyncio.sleep(0.01)
    assert is_true(cluster.status, "Finished")
    assert state(cluster) == "Pending"
    release.set()
    await asyncio.gather(*host.loop._tasks)
    await host.look()
    assert cluster.status["report"] == WRITTEN
