"""The REST adapter against servers in every kind of trouble: which error, how fast, and what is never done."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hypersweep.core.errors import TrackingError, TrackingNotFound, TrackingRefused, TrackingUnavailable
from hypersweep.tracking.rest import RestStore
from tests.tracking.proxy import Proxy, Trouble, answer, cut, half, lost, proxied, silence
from tests.tracking.server import free_port

HTML = "<html><body>login</body></html>"
NO_RUNS = answer(200, "{}")

TROUBLES = [
    pytest.param(silence, TrackingUnavailable, "no answer within 0.3 s", id="slow"),
    pytest.param(cut, TrackingUnavailable, "disconnected", id="cut before the answer"),
    pytest.param(half, TrackingUnavailable, "payload", id="cut within the answer"),
    pytest.param(
        answer(500, '{"error_code":"INTERNAL_ERROR","message":"oops"}'),
        TrackingUnavailable,
        "INTERNAL_ERROR oops",
        id="500",
    ),
    pytest.param(answer(503, '{"error_code":"TEMPORARILY_UNAVAILABLE"}'), TrackingUnavailable, "HTTP 503", id="503"),
    pytest.param(answer(502, HTML, kind="text/html"), TrackingUnavailable, "login", id="502 page of an ingress"),
    pytest.param(answer(429, "{}"), TrackingUnavailable, "HTTP 429", id="429"),
    pytest.param(answer(200, HTML, kind="text/html"), TrackingUnavailable, "without JSON", id="200 page"),
    pytest.param(answer(200, "[1]"), TrackingUnavailable, "without JSON", id="200 list"),
    pytest.param(
        answer(200, '{"runs":[{"info":1}]}'), TrackingUnavailable, "not an answer of MLflow", id="200 something else"
    ),
    pytest.param(answer(200, '{"runs":[{}]}'), TrackingUnavailable, "not an answer of MLflow", id="200 half a run"),
    pytest.param(answer(404, HTML, kind="text/html"), TrackingUnavailable, "without JSON", id="404 page of an ingress"),
    pytest.param(
        answer(400, '{"error_code":"BAD_REQUEST","message":"QueuePool limit of size 5 overflow 10 reached"}'),
        TrackingUnavailable,
        "QueuePool",
        id="400 of an exhausted pool",
    ),
    pytest.param(
        answer(401, "You are not authenticated", kind="text/plain"),
        TrackingRefused,
        "HTTP 401.*not authenticated",
        id="401",
    ),
    pytest.param(answer(403, '{"error_code":"PERMISSION_DENIED"}'), TrackingRefused, "PERMISSION_DENIED", id="403"),
    pytest.param(
        answer(400, '{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}'), TrackingRefused, "INVALID_P", id="400"
    ),
    pytest.param(answer(404, '{"error_code":"RESOURCE_DOES_NOT_EXIST"}'), TrackingNotFound, "HTTP 404", id="404"),
    pytest.param(
        answer(302, "", Location="https://login.test/"), TrackingRefused, "redirects to https://login.test/", id="302"
    ),
]


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A server that answers every search with no runs, until told otherwise."""
    async with proxied(trouble=NO_RUNS) as it:
        yield it


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[RestStore]:
    """A store of little patience."""
    it = RestStore(proxy.uri, timeout=0.3)
    yield it
    await it.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it, at most 5 s."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  (what is awaited lies in the server, which knows no events)
            await asyncio.sleep(0.01)


async def look(store: RestStore) -> list[object]:
    """Any request."""
    return list(await store.search(experiment="1", tags={"a": "b"}))


@pytest.mark.parametrize(("trouble", "error", "message"), TROUBLES)
async def test_every_trouble_is_one_of_our_errors(
    store: RestStore, proxy: Proxy, trouble: Trouble, error: type[TrackingError], message: str
) -> None:
    """What passes by itself is Unavailable, what does not is Refused; asked once, and answered soon."""
    proxy.trouble = trouble
    begun = time.monotonic()
    with pytest.raises(error, match=message) as caught:
        await look(store)
    assert type(caught.value) is error or error is TrackingRefused
    assert time.monotonic() - begun < 3
    assert proxy.requests == ["POST runs/search"]


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Refused connections pass by themselves."""
    store = RestStore(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TrackingUnavailable, match="Cannot connect"):
        await look(store)
    await store.close()


async def test_the_store_says_since_when_and_why_the_server_is_down(store: RestStore, proxy: Proxy) -> None:
    """For the sweep's conditions; it is forgotten when the server answers again."""
    before = time.time()
    for trouble, said in ((answer(500, "{}"), "HTTP 500"), (answer(401, "who are you"), "who are you")):
        proxy.trouble = trouble
        with pytest.raises(TrackingError):
            await look(store)
        assert store.down_since is not None
        assert before <= store.down_since <= time.time()
        assert said in store.error
    proxy.trouble = NO_RUNS
    await look(store)
    assert (store.down_since, store.error) == (None, "")


async def test_a_server_that_is_down_is_left_alone(store: RestStore, proxy: Proxy) -> None:
    """After three failures, requests fail at once with the same message, and do not reach the server."""
    proxy.trouble = answer(500, "{}")
    for _ in range(20):
        with pytest.raises(TrackingUnavailable, match="HTTP 500"):
            await look(store)
    assert len(proxy.requests) == 3


async def test_a_refusal_does_not_count_as_down(store: RestStore, proxy: Proxy) -> None:
    """A server that says no is well: other requests go on."""
    proxy.trouble = answer(400, "{}")
    for _ in range(10):
        with pytest.raises(TrackingRefused):
            await look(store)
    assert len(proxy.requests) == 10
    assert store.down_since is None


async def test_at_most_four_requests_are_in_flight(store: RestStore, proxy: Proxy) -> None:
    """However many trials want something."""

    async def slowly(_proxy: Proxy, request: object) -> object:
        await asyncio.sleep(0.01)
        return await NO_RUNS(_proxy, request)  # type: ignore[arg-type]

    proxy.trouble = slowly  # type: ignore[assignment]
    await asyncio.gather(*(look(store) for _ in range(20)))
    assert proxy.most_in_flight == 4
    assert len(proxy.requests) == 20


async def test_one_slow_request_does_not_hold_up_others(proxy: Proxy) -> None:
    """Three slots are left."""
    store = RestStore(proxy.uri)
    proxy.trouble = silence
    slow = asyncio.create_task(look(store))
    await until(lambda: proxy.in_flight == 1)
    proxy.trouble = NO_RUNS
    async with asyncio.timeout(5):
        await asyncio.gather(*(look(store) for _ in range(5)))
    assert not slow.done()
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    await store.close()


async def test_a_cancelled_request_gives_its_slot_back(proxy: Proxy) -> None:
    """A sweep that ends in the middle of a request leaves the server to the others."""
    store = RestStore(proxy.uri, limit=1)
    proxy.trouble = silence
    for _ in range(3):
        task = asyncio.create_task(look(store))
        await until(lambda: proxy.in_flight == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: proxy.in_flight == 0)
    proxy.trouble = NO_RUNS
    async with asyncio.timeout(2):
        await look(store)
    await store.close()


async def test_connections_are_kept(store: RestStore, proxy: Proxy) -> None:
    """Requests one after the other share a connection."""
    for _ in range(5):
        await look(store)
    assert len(proxy.connections) == 1


async def test_an_idle_connection_is_closed_before_uvicorn_closes_it(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn does so after 5 s of silence; a request that meets it there would be lost."""
    monkeypatch.setattr("hypersweep.tracking.rest.KEEP_ALIVE", 0.05)
    store = RestStore(proxy.uri)
    await look(store)
    await asyncio.sleep(0.2)
    await look(store)
    assert len(proxy.connections) == 2
    await store.close()


def test_keep_alive_is_shorter_than_uvicorns() -> None:
    """The setting that the test above stands on."""
    from hypersweep.tracking.rest import KEEP_ALIVE

    assert KEEP_ALIVE < 5


# ---- credentials -----------------------------------------------------------------------------------------------------


async def test_a_token_is_read_anew_for_each_request(proxy: Proxy, tmp_path: Path) -> None:
    """Secrets rotate while the operator runs."""
    store = RestStore(proxy.uri, auth=tmp_path)
    for token in ("one", "two"):
        (tmp_path / "token").write_text(f"{token}\n")
        await look(store)
    assert proxy.authorization == ["Bearer one", "Bearer two"]
    await store.close()


async def test_a_user_name_and_password_are_sent_as_basic_authentication(proxy: Proxy, tmp_path: Path) -> None:
    """As MLflow's own basic-auth app wants it."""
    (tmp_path / "username").write_text("ada")
    (tmp_path / "password").write_text("löve\n")
    store = RestStore(proxy.uri, auth=tmp_path)
    await look(store)
    assert proxy.authorization == ["Basic YWRhOmzDtnZl"]
    await store.close()


async def test_credentials_that_cannot_be_read_are_told(proxy: Proxy, tmp_path: Path) -> None:
    """A Secret that is not mounted yet passes by itself; nothing is sent without credentials."""
    store = RestStore(proxy.uri, auth=tmp_path)
    with pytest.raises(TrackingUnavailable, match=r"credentials cannot be read.*username"):
        await look(store)
    assert proxy.requests == []
    await store.close()


async def test_a_token_that_no_header_bears_is_told(proxy: Proxy, tmp_path: Path) -> None:
    """Such as a file with more lines than one: every look would end in an error of the client's own."""
    (tmp_path / "token").write_text("secret\n# expires in May\n")
    store = RestStore(proxy.uri, auth=tmp_path)
    with pytest.raises(TrackingUnavailable, match="credentials cannot be read: the token holds a line break") as caught:
        await look(store)
    assert "secret" not in str(caught.value)
    assert proxy.requests == []
    await store.close()


def test_credentials_in_the_uri_are_refused() -> None:
    """They would end up in messages, and in trials' environments."""
    with pytest.raises(ValueError, match="no credentials") as caught:
        RestStore("https://ada:love@mlflow.test")
    assert "love" not in str(caught.value)


async def test_a_token_follows_no_redirect(proxy: Proxy, tmp_path: Path) -> None:
    """Another host gets neither the request nor the token; the message names the address to configure."""
    (tmp_path / "token").write_text("secret")
    async with proxied(trouble=NO_RUNS) as elsewhere:
        proxy.trouble = answer(307, "", Location=f"{elsewhere.uri}/api")
        store = RestStore(proxy.uri, auth=tmp_path)
        with pytest.raises(TrackingRefused, match=elsewhere.uri):
            await look(store)
        assert elsewhere.requests == []
        assert "secret" not in store.error
        await store.close()


# ---- metrics, lost answers -------------------------------------------------------------------------------------------


async def test_each_request_is_observed(proxy: Proxy) -> None:
    """With its verb, its duration and whether it went well; one that the breaker held back is none."""
    seen: list[tuple[str, bool]] = []
    store = RestStore(proxy.uri, observe=lambda verb, seconds, ok: seen.append((verb, ok and 0 <= seconds < 10)))
    await look(store)
    proxy.trouble = answer(500, "{}")
    for _ in range(5):
        with pytest.raises(TrackingUnavailable):
            await store.run("a" * 32)
    assert seen == [("search_runs", True), ("get_run", False), ("get_run", False), ("get_run", False)]
    await store.close()


@pytest.mark.tracking
async def test_a_write_whose_answer_is_lost_is_not_repeated(mlflow_server: str) -> None:
    """It may have happened, and did: who asked must look before asking again."""
    async with proxied(mlflow_server) as proxy:
        store = RestStore(proxy.uri)
        experiment = await store.experiment("lost-answer")
        proxy.requests.clear()
        proxy.trouble = lost
        with pytest.raises(TrackingUnavailable):
            await store.create_run(experiment=experiment, name="r", tags={"a": "b"}, started=1.0)
        assert proxy.requests == ["POST runs/create"]
        proxy.trouble = None
        assert len(await store.search(experiment=experiment, tags={"a": "b"})) == 1
        await store.close()
