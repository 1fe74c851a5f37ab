"""A report on a run in MLflow: where its files go, and whose the note is."""

import pytest

from hypersweep.core.errors import TrackingRefused, TrackingUnavailable
from hypersweep.tracking.base import Run
from hypersweep.tracking.reports import NOTE, REPORT, Published, publish
from hypersweep.tracking.rest import RestStore
from tests.fakes.store import FakeStore
from tests.tracking.proxy import answer, proxied

FILES = {"report.md": "# a", "report.json": "{}"}


async def make_run(store: FakeStore, **tags: str) -> str:
    return (await store.create_run(experiment=await store.experiment("e"), name="r", tags=tags, started=1.0)).id


async def test_a_note_of_ours_is_replaced_by_the_next() -> None:
    store = FakeStore()
    run = await make_run(store)
    await publish(store, run, files=FILES, note="of 5 trials")
    await publish(store, run, files=FILES, note="of 9 trials")
    assert store.runs[run].tags[NOTE].startswith("of 9 trials\n")


@pytest.mark.parametrize("after", ["of 5 trials, but I doubt it", "mine"])
async def test_a_note_that_a_person_wrote_or_changed_is_left_alone(after: str) -> None:
    store = FakeStore()
    run = await make_run(store, **({NOTE: after} if after == "mine" else {}))
    await publish(store, run, files=FILES, note="of 5 trials")
    await store.log(run, tags={NOTE: after})
    assert await publish(store, run, files=FILES, note="of 9 trials") == Published(where="hypersweep-report/report.md")
    assert store.runs[run].tags[NOTE] == after
    assert store.runs[run].tags[REPORT] == "hypersweep-report/report.md, among the artifacts"


async def test_a_note_that_is_too_long_is_cut() -> None:
    store = FakeStore()
    run = await make_run(store)
    await publish(store, run, files=FILES, note="x" * 50_000)
    assert len(store.runs[run].tags[NOTE]) == 7000


@pytest.mark.parametrize(
    ("artifacts", "said"),
    [
        ("s3://bucket/1/abc/artifacts", "s3://bucket:"),
        ("mlflow-artifacts://elsewhere:5000/1/abc/artifacts", "mlflow-artifacts://elsewhere:"),
        ("ftp://user:secret@host/1", "ftp://host:"),
        ("/var/mlflow/1/abc/artifacts", "a folder of the server:"),
        ("", "a folder of the server:"),
    ],
)
async def test_only_artifacts_that_the_server_keeps_are_sent(artifacts: str, said: str) -> None:
    """No request leaves for another place, and no password is told."""
    async with proxied() as proxy:
        store = RestStore(proxy.uri)
        run = Run(id="abc", experiment="1", status="FINISHED", started=0.0, artifacts=artifacts)
        with pytest.raises(TrackingRefused, match=said) as error:
            await store.artifact(run, "a.txt", "text")
        await store.close()
    assert proxy.requests == []
    assert "secret" not in str(error.value)


async def test_a_login_page_in_place_of_an_answer_is_no_success() -> None:
    """MLflow answers nothing to a file that it took."""
    async with proxied(trouble=answer(200, "<html>log in", kind="text/html")) as proxy:
        store = RestStore(proxy.uri)
        run = Run(id="abc", experiment="1", status="FINISHED", started=0.0, artifacts="mlflow-artifacts:/1/abc")
        with pytest.raises(TrackingUnavailable, match="without JSON"):
            await store.artifact(run, "a.txt", "text")
        await store.close()


async def test_a_bucket_that_cannot_be_written_does_not_make_the_server_look_down() -> None:
    async with proxied(trouble=answer(500, "{}")) as proxy:
        store = RestStore(proxy.uri)
        run = Run(
            id="abc", experiment="1", status="FINISHED", started=0.0, artifacts="mlflow-artifacts:/1/abc/artifacts"
        )
        for _ in range(5):
            with pytest.raises(TrackingUnavailable, match="HTTP 500"):
                await store.artifact(run, "a/b.txt", "text")
        await store.close()
    assert proxy.requests == ["PUT /api/2.0/mlflow-artifacts/artifacts/1/abc/artifacts/a/b.txt"] * 5
    assert (store.down_since, store.error) == (None, "")
