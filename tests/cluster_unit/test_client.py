"""The connection to the API server: where it is found, what its answers and silences become."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from kubernetes.aio.client import ApiClient, BatchV1Api
from kubernetes.aio.config import incluster_config

import hypersweep
from hypersweep.cluster.client import ApiError, NoCluster, connect, describe, open_stream, request
from tests.cluster import pki
from tests.cluster_unit.fake_api import PATH, FakeApi


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as fake:
        yield fake


@pytest.fixture
async def client(api: FakeApi, tmp_path: Path) -> AsyncIterator[ApiClient]:
    client = await connect(api.kubeconfig(tmp_path))
    yield client
    await client.close()


@pytest.fixture(autouse=True)
def _no_cluster_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))


async def refused(client: ApiClient, **settings: float) -> ApiError:
    """The error of a request that is expected to fail."""
    with pytest.raises(ApiError) as caught:
        await request(client, "GET", PATH, **settings)
    return caught.value


async def test_requests_carry_token_user_agent_and_query(api: FakeApi, client: ApiClient) -> None:
    """What an audit log needs to tell us from others is in every request."""
    await request(client, "GET", PATH, query={"labelSelector": "a=b,c in (d, e)", "limit": "5"})
    assert api.asked == [{"labelSelector": "a=b,c in (d, e)", "limit": "5"}]
    assert api.headers[0]["User-Agent"] == f"hypersweep/{hypersweep.__version__}"
    assert api.headers[0]["Authorization"] == "Bearer t"


@pytest.mark.parametrize(
    ("status", "reason", "kinds"),
    [
        (400, "BadRequest", set()),
        (401, "Unauthorized", set()),
        (403, "Forbidden", set()),
        (404, "NotFound", {"not_found"}),
        (409, "AlreadyExists", {"is_conflict", "already_exists"}),
        (409, "Conflict", {"is_conflict"}),
        (410, "Expired", {"is_gone"}),
        (422, "Invalid", set()),
        (429, "TooManyRequests", {"is_transient"}),
        (500, "InternalError", {"is_transient"}),
        (503, "ServiceUnavailable", {"is_transient"}),
        (504, "Timeout", {"is_transient"}),
    ],
)
async def test_refusals_are_told_apart(
    api: FakeApi, client: ApiClient, status: int, reason: str, kinds: set[str]
) -> None:
    """Each status of the API server falls into the kinds that callers act on, and no other."""
    api.refuse(status, json.dumps({"kind": "Status", "code": status, "reason": reason, "message": "because"}))
    error = await refused(client)
    assert (error.status, error.reason, error.message) == (status, reason, "because")
    every = ("not_found", "is_conflict", "already_exists", "is_gone", "is_transient")
    assert {kind for kind in every if getattr(error, kind)} == kinds


@pytest.mark.parametrize(
    ("status", "body"), [(502, "<html>Bad Gateway</html>"), (200, "<html>Sign in</html>"), (503, ""), (500, "[1]")]
)
async def test_answers_that_are_not_the_api_servers_are_transient(
    api: FakeApi, client: ApiClient, status: int, body: str
) -> None:
    """A proxy in between may say anything: it is an ApiError, it is quoted, and it may pass."""
    api.refuse(status, body)
    error = await refused(client)
    assert error.is_transient
    assert body in str(error)


@pytest.mark.parametrize(("header", "pause"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), (None, None)])
async def test_retry_after_is_handed_on(
    api: FakeApi, client: ApiClient, header: str | None, pause: float | None
) -> None:
    """The pause that the server asks for reaches whoever decides when to try again."""
    api.refuse(429, **({"Retry-After": header} if header else {}))
    assert (await refused(client)).retry_after == pause


async def test_request_is_given_up_after_its_time(tmp_path: Path, api: FakeApi, client: ApiClient) -> None:
    """A server that takes the connection and says nothing costs the time allowed, no more."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client.configuration.host = f"http://127.0.0.1:{mute.getsockname()[1]}"
        async with asyncio.timeout(5):
            error = await refused(client, seconds=0.2)
            assert (error.status, error.reason, error.is_transient) == (0, "Timeout", True)
            with pytest.raises(ApiError, match="Timeout"):
                await open_stream(client, PATH, query={"watch": "true"}, seconds=0.2, silence=60)


async def test_refused_connection_is_transient(client: ApiClient) -> None:
    """A server that is away is an ApiError like any other, whatever the library underneath raises."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    client.configuration.host = f"http://127.0.0.1:{port}"
    error = await refused(client)
    assert (error.status, error.reason, error.is_transient) == (0, "Connection", True)


async def test_cancelled_request_is_cancelled(client: ApiClient) -> None:
    """Cancellation is never taken for a timeout: SIGTERM must end what waits for a mute server."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client.configuration.host = f"http://127.0.0.1:{mute.getsockname()[1]}"
        asking = asyncio.create_task(request(client, "GET", PATH))
        await asyncio.wait([asking], timeout=0.1)
        asking.cancel()
        done, _ = await asyncio.wait([asking], timeout=1)
        assert done
        assert asking.cancelled()


async def test_refused_stream_says_why(api: FakeApi, client: ApiClient) -> None:
    """A watch that is refused raises the Status' reason, not an empty stream."""
    api.refuse(403, json.dumps({"reason": "Forbidden", "message": "cannot watch jobs"}))
    with pytest.raises(ApiError, match="403 Forbidden: cannot watch jobs"):
        await open_stream(client, PATH, query={"watch": "true"}, silence=60)
    api.refuse(502, "<html>")
    with pytest.raises(ApiError, match="502 Bad Gateway"):
        await open_stream(client, PATH, query={"watch": "true"}, silence=60)


async def test_every_request_is_observed(api: FakeApi, tmp_path: Path) -> None:
    """Metrics count what the generated classes send and what fails, too; a cancellation is no failure."""
    seen: list[tuple[str, str, int]] = []

    def observe(verb: str, resource: str, seconds: float, code: int) -> None:
        assert 0 <= seconds < 5
        seen.append((verb, resource, code))

    client = await connect(api.kubeconfig(tmp_path), observe=observe)
    await request(client, "GET", PATH)
    api.refuse(409)
    await refused(client)
    await BatchV1Api(client).list_namespaced_job_without_preload_content("ns")
    stream = await open_stream(client, PATH, query={"watch": "true", "resourceVersion": "1"}, silence=60)
    stream.close()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client.configuration.host = f"http://127.0.0.1:{mute.getsockname()[1]}"
        asking = asyncio.create_task(request(client, "DELETE", f"{PATH}/a"))
        await asyncio.wait([asking], timeout=0.1)
        asking.cancel()
        await asyncio.wait([asking])
    with pytest.raises(ApiError):
        await request(client, "DELETE", f"{PATH}/a")
    assert seen == [
        ("list", "jobs", 200),
        ("list", "jobs", 409),
        ("list", "jobs", 200),
        ("watch", "jobs", 200),
        ("delete", "jobs", 0),
    ]
    await client.close()


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/api/v1/pods", ("list", "pods")),
        ("GET", "/api/v1/namespaces", ("list", "namespaces")),
        ("GET", "/api/v1/namespaces/a", ("get", "namespaces")),
        ("GET", "/api/v1/namespaces/a/pods/b/log", ("get", "pods/log")),
        ("POST", "/api/v1/namespaces/a/events", ("create", "events")),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/a/leases/b", ("update", "leases")),
        ("PATCH", "/apis/hypersweep.dev/v1alpha1/namespaces/a/hps/b/status", ("patch", "hps/status")),
        ("DELETE", "/apis/batch/v1/namespaces/a/jobs/b", ("delete", "jobs")),
        ("GET", "/apis/batch/v1/jobs?watch=True", ("watch", "jobs")),
        ("GET", "/version", ("list", "/version")),
    ],
)
def test_requests_are_named_as_in_an_audit_log(method: str, path: str, said: tuple[str, str]) -> None:
    """A metric's labels are verb and resource, never a name: their number stays small."""
    assert describe(method, f"https://host:6443{path}") == said


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a `ca.crt` and what a server on loopback needs."""
    directory = tmp_path_factory.mktemp("pki")
    pki.authority(directory, "ca")
    pki.sign(directory, pki.Certificate("server", "/CN=s", usage="serverAuth", names=("IP:127.0.0.1",)))
    return directory


@pytest.fixture
def in_pod(monkeypatch: pytest.MonkeyPatch, certificates: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A function that makes us believe to run in a pod of the cluster at this URL; it returns the token's file."""

    def believe(url: str) -> Path:
        secret = tmp_path / "token"
        secret.write_text("first")
        monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(secret))
        monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(certificates / "ca.crt"))
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", urlsplit(url).hostname or "")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(urlsplit(url).port))
        return secret

    return believe


async def test_rotated_token_is_used(
    monkeypatch: pytest.MonkeyPatch, certificates: Path, in_pod: Callable[[str], Path]
) -> None:
    """A pod's token is replaced every hour: within a minute, without a restart, requests carry the new one."""
    now = datetime.now()  # noqa: DTZ005  (as the library under test)
    clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda: now), timedelta=timedelta)
    monkeypatch.setattr(incluster_config, "datetime", clock)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    async with FakeApi(tls) as api:
        secret = in_pod(api.url)
        client = await connect()
        await request(client, "GET", PATH)
        secret.write_text("second")
        now += timedelta(seconds=61)
        await request(client, "GET", PATH)
        stream = await open_stream(client, PATH, query={"watch": "true", "resourceVersion": "1"}, silence=60)
        stream.close()
        secret.write_text("")  # seen while it is being replaced: the next try will do
        now += timedelta(seconds=61)
        assert (await refused(client)).is_transient
        secret.write_text("third")
        await request(client, "GET", PATH)
        await client.close()
    assert [headers["Authorization"].lower() for headers in api.headers] == [
        *("bearer first", "bearer second", "bearer second", "bearer third")
    ]


async def test_configuration_is_found_in_order(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_pod: Callable[[str], Path]
) -> None:
    """An explicit file wins over $KUBECONFIG, that over the pod, that over ~/.kube/config; nothing is NoCluster."""

    async def host(kubeconfig: str | None = None) -> str:
        client = await connect(kubeconfig)
        found: str = client.configuration.host
        await client.close()
        return found

    def write(name: str) -> str:
        path = tmp_path / name / ".kube" / "config"
        path.parent.mkdir(parents=True)
        Path(api.kubeconfig(tmp_path)).rename(path)
        path.write_text(path.read_text().replace(api.url, f"http://{name}"))
        return str(path)

    with pytest.raises(NoCluster, match=r"no Kubernetes cluster to talk to .*~/.kube/config"):
        await connect()
    home = write("home")
    monkeypatch.setenv("HOME", str(Path(home).parent.parent))
    assert await host() == "http://home"
    in_pod("https://10.0.0.1:443")
    assert await host() == "https://10.0.0.1:443"
    monkeypatch.setenv("KUBECONFIG", write("env"))
    assert await host() == "http://env"
    assert await host(write("named")) == "http://named"
    with pytest.raises(NoCluster, match="absent"):
        await connect(str(tmp_path / "absent"))
