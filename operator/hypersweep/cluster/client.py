"""The connection to the API server: how it is found, one kind of raw JSON request, one kind of error.

Owns timeouts, the user agent, the metrics hook and the classification of failures. Refuses to retry (the loop looks
again anyway, and knows for how long it makes sense) and to know any resource: paths and bodies are the caller's.

ApiError is the only exception that `request` and `open_stream` let out, besides cancellation.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from hypersweep import __version__
from hypersweep.core.errors import HyperSweepError

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"  # server-side apply; JSON is YAML

SECONDS = 10.0  # a request that takes longer is as good as lost
CONNECTIONS = 64  # bounds requests in flight; each informer holds one for good

NO_ANSWER = 0  # the status of an ApiError when the API server did not answer, or not in its own words

Observe = Callable[[str, str, float, int], None]
"""Told of each request: verb (`create`, `watch`, …), resource (`jobs`, `pods/log`), seconds until the answer's head
arrived, and its status (0: none came)."""


class NoCluster(HyperSweepError):  # noqa: N818  (a state, not a mistake)
    """No usable configuration says where the API server is."""


class ApiError(HyperSweepError):
    """The API server refused a request, or did not answer it.

    `status` is the HTTP status, or 0 without an answer; `reason` and `message` are the Status object's (for instance
    `AlreadyExists`); `retry_after` is in seconds, where the server asks for a pause.
    """

    def __init__(self, status: int, reason: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{status or 'no answer'} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @property
    def not_found(self) -> bool:
        """The object, its namespace or its kind does not exist (any more)."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def is_conflict(self) -> bool:
        """Someone else wrote first. After a create, ask `already_exists`: a busy quota conflicts as well."""
        return self.status == HTTPStatus.CONFLICT

    @property
    def already_exists(self) -> bool:
        """A create found the name taken."""
        return self.status == HTTPStatus.CONFLICT and self.reason == "AlreadyExists"

    @property
    def is_gone(self) -> bool:
        """The resourceVersion or continue token asked for is too old: list anew."""
        return self.status == HTTPStatus.GONE

    @property
    def is_transient(self) -> bool:
        """The same request may succeed later: no answer, throttled, or the server's own failure."""
        return (
            self.status in (NO_ANSWER, HTTPStatus.TOO_MANY_REQUESTS) or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        )


async def connect(
    kubeconfig: str | None = None, *, observe: Observe | None = None, connections: int = CONNECTIONS
) -> ApiClient:
    """A client for the cluster that `kubeconfig` names, else $KUBECONFIG, else the pod we run in, else ~/.kube/config.

    In a pod the token is read anew each minute, so its hourly rotation goes unnoticed. A kubeconfig is read once: what
    its exec plugin answers lasts as long as it lasts. Close the client with `await api.close()`.

    Raises:
        NoCluster: none of these is there, or what is there cannot be used.
    """
    configuration = Configuration(connection_pool_maxsize=connections)
    path = kubeconfig or os.environ.get("KUBECONFIG")
    try:
        if path is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)
        else:
            place = path or str(Path.home() / ".kube" / "config")
            await config.load_kube_config(place, client_configuration=configuration, persist_config=False)
    except (config.ConfigException, OSError) as error:
        raise NoCluster(f"no Kubernetes cluster to talk to ({path or 'pod, ~/.kube/config'}): {error}") from error
    configuration.client_session_kwargs = {"cookie_jar": aiohttp.DummyCookieJar()}
    if observe:
        configuration.trace_configs = [_trace(observe)]
    api = ApiClient(configuration=configuration)
    api.user_agent = f"hypersweep/{__version__}"
    return api


async def request(
    api: ApiClient,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    content_type: str = JSON,
    seconds: float = SECONDS,
) -> Any:
    """Send one request and return its answer as parsed JSON; `seconds` bound all of it.

    Raises:
        ApiError: refused, or not answered in time.
    """
    limits = aiohttp.ClientTimeout(total=seconds)
    answer = await _send(api, method, path, query=query, body=body, content_type=content_type, limits=limits)
    try:
        content = await answer.read()
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise no_answer(error) from error
    try:
        document = json.loads(content)
    except ValueError as error:
        if answer.status < HTTPStatus.BAD_REQUEST:
            raise ApiError(NO_ANSWER, "NotJSON", repr(content[:200])) from error
        document = content[:200].decode(errors="replace")
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise _refusal(answer, document)
    return document


async def open_stream(
    api: ApiClient, path: str, *, query: Mapping[str, str], seconds: float = SECONDS, silence: float
) -> aiohttp.ClientResponse:
    """Open a stream: `seconds` until its head is there, then at most `silence` seconds without a byte (TimeoutError).

    The caller closes it. The stream itself raises aiohttp's errors; `no_answer` words them.

    Raises:
        ApiError: refused, or not opened in time.
    """
    limits = aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=silence)
    try:
        async with asyncio.timeout(seconds):
            answer = await _send(api, "GET", path, query=query, limits=limits)
    except TimeoutError as error:
        raise no_answer(error) from error
    if answer.status == HTTPStatus.OK:
        return answer
    try:
        async with asyncio.timeout(seconds):
            content = await answer.read()
        raise _refusal(answer, json.loads(content))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _refusal(answer, str(error)) from error
    finally:
        answer.close()


def no_answer(error: BaseException) -> ApiError:
    """The ApiError for a timeout or a broken connection."""
    if isinstance(error, TimeoutError):
        return ApiError(NO_ANSWER, "Timeout", str(error) or "nothing came in time")
    return ApiError(NO_ANSWER, "Connection", str(error) or type(error).__name__)


async def _send(
    api: ApiClient,
    method: str,
    path: str,
    *,
    limits: aiohttp.ClientTimeout,
    query: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    content_type: str = JSON,
) -> aiohttp.ClientResponse:
    """The head of the answer, whatever its status."""
    try:
        method, url, headers, payload, _ = await api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": JSON, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = await api.call_api(method, url, headers, payload, _request_timeout=limits)
    except (aiohttp.ClientError, OSError, config.ConfigException) as error:  # the last: our token's file, just rotated
        raise no_answer(error) from error
    response: aiohttp.ClientResponse = answer.response
    return response


def _refusal(answer: aiohttp.ClientResponse, document: Any) -> ApiError:
    """What the API server's Status object says; a proxy in front of it may have answered something else."""
    status = document if isinstance(document, dict) else {"message": str(document)}
    try:
        pause = float(answer.headers.get("Retry-After", ""))
    except ValueError:  # absent, or a date, which the API server never sends
        pause = None
    return ApiError(
        answer.status, status.get("reason") or answer.reason or "", status.get("message") or "", retry_after=pause
    )


def _trace(observe: Observe) -> aiohttp.TraceConfig:
    """Calls `observe` for whatever goes through the client, so the generated API classes are counted too."""
    trace = aiohttp.TraceConfig()

    async def start(_: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceRequestStartParams) -> None:
        context.start = time.monotonic()

    async def end(_: aiohttp.ClientSession, context: SimpleNamespace, done: aiohttp.TraceRequestEndParams) -> None:
        observe(*describe(done.method, str(done.url)), time.monotonic() - context.start, done.response.status)

    async def fail(
        _: aiohttp.ClientSession, context: SimpleNamespace, done: aiohttp.TraceRequestExceptionParams
    ) -> None:
        if not isinstance(done.exception, asyncio.CancelledError):
            observe(*describe(done.method, str(done.url)), time.monotonic() - context.start, NO_ANSWER)

    trace.on_request_start.append(start)
    trace.on_request_end.append(end)
    trace.on_request_exception.append(fail)
    return trace


def describe(method: str, url: str) -> tuple[str, str]:
    """Verb and resource of a request, as the API server's own audit log and metrics name them.

    >>> describe("GET", "https://host/apis/batch/v1/namespaces/a/jobs?watch=true")
    ('watch', 'jobs')
    >>> describe("PATCH", "https://host/apis/batch/v1/namespaces/a/jobs/b/status")
    ('patch', 'jobs/status')
    """
    parts = urlsplit(url)
    _, api, *rest = [*parts.path.split("/"), "", ""]
    rest = rest[1:] if api == "api" else rest[2:]  # without the version; without the group and version
    if rest[:1] == ["namespaces"] and rest[2:3] not in ([], [""]):
        rest = rest[2:]
    resource, name, subresource = [*rest, "", "", ""][:3]
    verb = {"GET": "get" if name else "list", "POST": "create", "PUT": "update"}.get(method, method.lower())
    if "watch=true" in parts.query.lower():
        verb = "watch"
    return verb, (f"{resource}/{subresource}" if subresource else resource) or parts.path
