"""The informer against whatever can happen to a stream."""

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hypersweep.cluster import informer as informer_module
from hypersweep.cluster.client import connect
from hypersweep.cluster.informer import Informer, Key
from tests.cluster_unit.fake_api import PATH, FakeApi
from tests.cluster_unit.waiting import until

Change = tuple[str, int | None, int | None]


def size(body: dict[str, Any]) -> int | None:
    """The slim record of these tests: a number that objects carry."""
    found: int | None = body.get("size")
    return found


class Watched:
    """An informer that runs against a fake, and what it has told."""

    def __init__(self, api: FakeApi, informer: Informer[int], changes: list[Change]) -> None:
        self.api, self.informer, self.changes = api, informer, changes

    @property
    def sizes(self) -> dict[str, int]:
        return {name: record for (_, name), record in self.informer.items.items()}

    async def agrees(self) -> None:
        """Wait until the cache is what the server has."""
        await until(lambda: self.sizes == self.wanted(), what=f"{self.sizes} to become {self.wanted()}")

    def wanted(self) -> dict[str, int]:
        return {name: body["size"] for name, body in self.api.objects.items() if "size" in body}

    async def watches(self) -> None:
        """Wait until a watch is open."""
        await until(lambda: self.api.watching == 1, what="a watch to be open")


@asynccontextmanager
async def watched(
    api: FakeApi,
    directory: Path,
    *,
    slim: Callable[[dict[str, Any]], int | None] = size,
    tell: Callable[[Change], None] = lambda _: None,
    **settings: Any,
) -> AsyncIterator[Watched]:
    changes: list[Change] = []

    def on_change(key: Key, old: int | None, new: int | None) -> None:
        changes.append((key[1], old, new))
        tell(changes[-1])

    client = await connect(api.kubeconfig(directory))
    informer = Informer(client, path=PATH, slim=slim, on_change=on_change, **settings)
    running = asyncio.create_task(informer.run())
    try:
        yield Watched(api, informer, changes)
        assert not running.done(), "the informer ended by itself"
    finally:
        running.cancel()
        await asyncio.wait([running])
        await client.close()


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as fake:
        yield fake


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informer_module, "FIRST", 0.01)
    monkeypatch.setattr(informer_module, "LONGEST", 0.1)


async def test_list_is_read_in_pages_and_then_synced(api: FakeApi, tmp_path: Path) -> None:
    """Nothing counts as synced before the last page is in, and the selector narrows every request."""
    for number in range(5):
        await api.put(f"job-{number}", size=number)
    async with watched(api, tmp_path, page=2, label_selector="a=b,c") as it:
        assert not it.informer.synced.is_set()
        await it.informer.synced.wait()
        assert it.sizes == {f"job-{number}": number for number in range(5)}
        await it.watches()
        assert [query.get("continue") for query in api.asked] == [None, "0/2", "0/4", None]
        assert {query["labelSelector"] for query in api.asked} == {"a=b,c"}


async def test_only_changes_of_the_slim_record_are_told(api: FakeApi, tmp_path: Path) -> None:
    """A write that does not touch what we keep wakes nobody; `None` from slim takes an object out."""
    async with watched(api, tmp_path) as it:
        await it.watches()
        await api.put("a", size=1)
        await api.put("a", size=1, noise=True)
        await api.put("a", size=2)
        await api.put("a", noise=True)
        await api.put("ignored")
        await api.delete("ignored")
        await api.put("b", size=3)
        await api.delete("b")
        await until(lambda: len(it.changes) >= 5, what="all changes")
        assert it.changes == [("a", None, 1), ("a", 1, 2), ("a", 2, None), ("b", None, 3), ("b", 3, None)]
        assert api.lists == 1


async def test_cut_stream_goes_on_where_it_was(api: FakeApi, tmp_path: Path) -> None:
    """After a cut in the middle of an event nothing is lost, nothing is told twice, and nothing is listed again."""
    async with watched(api, tmp_path) as it:
        await it.watches()
        await api.put("a", size=1)
        await it.agrees()
        await api.say(b'{"type": "ADDED", "object": {"metadata": {"na')
        api.cut()
        await api.put("b", size=2)
        await it.agrees()
        assert it.changes == [("a", None, 1), ("b", None, 2)]
        assert api.lists == 1
        assert api.watches == ["100", "101"]


async def test_bookmark_moves_the_place_to_go_on_from(api: FakeApi, tmp_path: Path) -> None:
    """A quiet watch does not fall behind a compaction, since bookmarks carry its version on."""
    async with watched(api, tmp_path) as it:
        await it.watches()
        api.version = 500
        seen = it.informer.last_seen
        await api.bookmark()
        await until(lambda: it.informer.last_seen > seen, what="the bookmark to be heard")
        api.compact()
        api.cut()
        await until(lambda: len(api.watches) == 2, what="the next watch")
        assert api.watches[1] == "500"
        assert api.lists == 1


ERROR = b'{"type": "ERROR", "object": {"kind": "Status", "code": %d, "reason": "r", "message": "m"}}\n'


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"<html>502 Bad Gateway</html>\n", id="HTML"),
        pytest.param(b"\xff\xfe\x00\n", id="bytes"),
        pytest.param(b"[" * 100_000 + b"\n", id="deep nesting"),
        pytest.param(b"null\n", id="null"),
        pytest.param(b'{"type": "ADDED"}\n', id="no object"),
        pytest.param(b'{"type": "ADDED", "object": {"metadata": {"name": "x"}}}\n', id="no version"),
        pytest.param(b'{"type": "ADDED", "object": {"metadata": null}}\n', id="no metadata"),
        pytest.param(b'{"type": "RENAMED", "object": {"metadata": {"resourceVersion": "1"}}}\n', id="unknown type"),
        pytest.param(ERROR % 410, id="410"),
        pytest.param(ERROR % 500, id="500"),
        pytest.param(b'{"type": "ERROR", "object": null}\n', id="error without status"),
        pytest.param(b"x" * 5000, id="endless line"),
    ],
)
async def test_stream_that_cannot_be_trusted_is_replaced_by_a_list(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    """After nonsense or an ERROR the list is compared with the cache, and tells what the stream kept back."""
    monkeypatch.setattr(informer_module, "LIMIT", 4096)
    await api.put("kept", size=1)
    await api.put("deleted", size=2)
    async with watched(api, tmp_path) as it:
        await it.watches()
        it.changes.clear()
        del api.objects["deleted"]  # no event tells of it
        api.objects["new"] = {"metadata": {"namespace": "ns", "name": "new", "resourceVersion": "9"}, "size": 3}
        await api.say(line)
        await it.agrees()
        assert sorted(it.changes) == [("deleted", 2, None), ("new", None, 3)]
        assert api.lists == 2
        await it.watches()
        await until(lambda: it.informer.problem is None, what="the problem to be over")


async def test_expired_version_leads_to_a_list(api: FakeApi, tmp_path: Path) -> None:
    """A watch that comes back too late, by the 410 of the stream or of its head, still learns of deletions."""
    await api.put("a", size=1)
    await api.put("b", size=1)
    async with watched(api, tmp_path) as it:
        for name, by_head in (("a", False), ("b", True)):
            await it.watches()
            api.cut()
            await api.delete(name)
            if by_head:
                api.refuse(410)
            else:
                api.compact()
            await it.agrees()
        assert it.changes[-2:] == [("a", 1, None), ("b", 1, None)]
        assert api.lists == 3


async def test_list_that_expires_between_pages_begins_anew(api: FakeApi, tmp_path: Path) -> None:
    """A 410 for a continue token costs one more list, and nothing of half a list is told."""
    for number in range(4):
        await api.put(f"job-{number}", size=number)

    def expire() -> None:
        if len(api.asked) == 1:
            api.refuse(410)

    api.on_list = expire
    async with watched(api, tmp_path, page=2) as it:
        await it.agrees()
        assert api.lists == 2
        assert len(it.changes) == 4


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        pytest.param(500, None, "500", id="500"),
        pytest.param(503, "", "503", id="503 without a body"),
        pytest.param(502, "<html>", "502", id="a proxy's HTML"),
        pytest.param(200, "<html>", "NotJSON", id="a login page"),
        pytest.param(200, "[]", "not a list", id="another JSON"),
        pytest.param(200, '{"items": [{"metadata": {}}], "metadata": {}}', "not a list", id="no names"),
        pytest.param(401, None, "401", id="401"),
        pytest.param(404, None, "404", id="404"),
    ],
)
async def test_list_is_tried_until_it_succeeds(
    api: FakeApi, tmp_path: Path, status: int, body: str | None, said: str
) -> None:
    """Whatever a list answers, the informer says so in `problem`, goes on asking, and recovers by itself."""
    await api.put("a", size=1)
    for _ in range(3):
        api.refuse(status, body)
    problems: list[str] = []
    async with watched(api, tmp_path) as it:
        await until(lambda: it.informer.problem, what="a problem to be told")
        problems.append(it.informer.problem or "")
        assert not it.informer.synced.is_set()
        await it.agrees()
        await until(lambda: it.informer.problem is None, what="the problem to be over")
    assert said in problems[0]
    assert PATH in problems[0]
    assert api.lists == 4


async def test_forbidden_is_said_in_the_servers_words(
    api: FakeApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Missing rights are an administrator's to grant: they are logged as the server puts them, again and again."""
    caplog.set_level(logging.INFO)
    words = 'jobs.batch is forbidden: User "x" cannot list resource "jobs"'
    for _ in range(3):
        api.refuse(403, json.dumps({"kind": "Status", "code": 403, "reason": "Forbidden", "message": words}))
    async with watched(api, tmp_path) as it:
        await it.informer.synced.wait()
    levels = [record.levelname for record in caplog.records if words in record.getMessage()]
    assert levels == ["INFO", "WARNING", "WARNING"]


async def test_retry_after_is_honoured(api: FakeApi, tmp_path: Path) -> None:
    """A server that asks for a second of peace gets it, though the own pause would be far shorter."""
    api.refuse(429, **{"Retry-After": "1"})
    began = time.monotonic()
    async with watched(api, tmp_path) as it:
        await it.informer.synced.wait()
    assert time.monotonic() - began >= 1


async def test_watch_that_cannot_be_opened_keeps_its_place(api: FakeApi, tmp_path: Path) -> None:
    """A server that refuses watches for a while is asked from the same version: no list, no loss."""
    async with watched(api, tmp_path) as it:
        await it.watches()
        for _ in range(3):
            api.refuse(503)
        api.cut()
        await api.put("a", size=1)
        await it.agrees()
        assert api.lists == 1
        assert api.watches == ["100"] * 5


async def test_failures_are_waited_out_longer_each_time(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch that the server ends at once, each time, is no success: requests thin out instead of storming."""
    monkeypatch.setattr(informer_module, "LONGEST", 30.0)
    for _ in range(3):
        api.refuse(200, "")  # what a watch gets; a list never gets there
    async with watched(api, tmp_path) as it:
        await it.informer.synced.wait()
        for _ in range(20):
            api.refuse(200, "")
        await asyncio.sleep(1)  # the time in which requests are counted
        assert len(api.asked) < 15


async def test_silent_connection_is_given_up(api: FakeApi, tmp_path: Path) -> None:
    """A connection that died without a word is noticed, and the next one brings what happened meanwhile."""
    async with watched(api, tmp_path, silence=0.3) as it:
        await it.watches()
        await until(lambda: len(api.watches) >= 3, what="silent watches to be replaced")
        await api.put("a", size=1)
        await it.agrees()
        assert api.lists == 1


async def test_objects_may_be_large(api: FakeApi, tmp_path: Path) -> None:
    """An event beyond any buffer's limit is read like the others, and so are those around it."""
    async with watched(api, tmp_path) as it:
        await it.watches()
        await api.put("small", size=1)
        await api.put("large", size=2, annotation="x" * 3_000_000)
        await api.put("last", size=3)
        await it.agrees()
        assert api.lists == 1
        assert len(api.watches) == 1


async def test_failing_callbacks_are_logged_and_survived(
    api: FakeApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in the caller's code costs one change, not the stream."""

    def slim(body: dict[str, Any]) -> int:
        return 10 // int(body["size"])

    def tell(change: Change) -> None:
        if change[0] == "b":
            raise RuntimeError("a mistake in on_change")

    async with watched(api, tmp_path, slim=slim, tell=tell) as it:
        await it.watches()
        await api.put("a", size=1)
        await api.put("a", size=0)
        await api.put("b", size=5)
        await api.put("c", size=2)
        await until(lambda: it.sizes == {"a": 10, "b": 2, "c": 5}, what="the events after the mistakes")
        assert api.lists == 1
    assert "no record could be made of ns/a" in caplog.text
    assert "a mistake in on_change" in caplog.text


async def test_cancelling_ends_it_at_once(api: FakeApi, tmp_path: Path) -> None:
    """Nothing holds up the end of the process: not an open watch, not a pause."""
    client = await connect(api.kubeconfig(tmp_path))
    for refuse in (False, True):
        if refuse:
            api.refuse(429, **{"Retry-After": "60"})
        informer = Informer(client, path=PATH, slim=size, on_change=lambda *_: None)
        running = asyncio.create_task(informer.run())
        await until(lambda: api.watching if not refuse else informer.problem, what="it to be where it should be")  # noqa: B023
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=1)
        assert done
        assert running.cancelled()
        api.cut()
    await client.close()


@pytest.mark.parametrize("seed", range(12))
async def test_cache_converges_whatever_happens(api: FakeApi, tmp_path: Path, seed: int) -> None:
    """Any mix of changes and faults ends with the server's state, and what was told adds up to it."""
    chance = random.Random(seed)
    faults: list[Callable[[], Any]] = [
        api.cut,
        api.compact,
        lambda: api.refuse(chance.choice([403, 410, 429, 500, 502])),
        lambda: api.say(chance.choice([b"junk\n", ERROR % 410, ERROR % 500, b'{"type": "ADDED", "obj'])),
        api.bookmark,
    ]
    async with watched(api, tmp_path, page=3) as it:
        for _ in range(120):
            name = f"job-{chance.randrange(8)}"
            if chance.random() < 0.25:
                if (outcome := chance.choice(faults)()) is not None:
                    await outcome
            elif name in api.objects and chance.random() < 0.4:
                await api.delete(name)
            else:
                await api.put(name, size=chance.randrange(4))
            if chance.random() < 0.5:
                await asyncio.sleep(chance.random() * 0.02)
        await it.agrees()
        told: dict[str, int] = {}
        for name, old, new in it.changes:
            assert told.get(name) == old, "a change begins where the last one ended"
            assert old != new
            if new is None:
                del told[name]
            else:
                told[name] = new
        assert told == it.wanted()
