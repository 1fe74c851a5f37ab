"""A gate between the operator and a server: it counts writes, and lets one of them go wrong on command.

Towards the operator it speaks plain HTTP, whatever the server speaks; tokens are passed on. Owns what a write is, and
the three ways in which one goes wrong: the process dies before the server hears of it, the process dies before it hears
of the answer, the answer is lost and the process lives. Knows nothing of sweeps.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp
import yaml
from aiohttp import web

from hypersweep.cluster.client import describe

Fault = Literal["killed before", "killed after", "answer lost"]

_HOP_BY_HOP = {"host", "connection", "transfer-encoding", "content-length", "accept-encoding", "content-encoding"}
_READS = re.compile(r"/mlflow/(runs|experiments)/search$")  # POST, and yet no writes


@dataclass(frozen=True)
class Request:
    """A request as the server sees it."""

    method: str
    path: str
    query: str
    body: str = field(repr=False)

    @property
    def is_write(self) -> bool:
        """Whether it changes anything that a sweep could miss: not a dry run, not a lease."""
        if self.method == "GET" or "dryRun" in self.query or "/leases" in self.path:
            return False
        return not _READS.search(self.path)

    @property
    def kind(self) -> str:
        """What it is, without whose: `create jobs`, `patch hyperparametersweeps/status`, `runs/create`."""
        if "/mlflow/" in self.path:
            return self.path.split("/mlflow/")[1]
        return " ".join(describe(self.method, f"http://server{self.path}?{self.query}"))


@dataclass
class Gate:
    """What a test sees of it. `on_write` says for each write whether it goes wrong, and how; `kill` ends the process."""

    uri: str = ""
    answered: list[tuple[Request, int]] = field(default_factory=list)  # requests with their status
    on_write: Callable[[Request], Fault | None] = lambda _: None
    kill: Callable[[], None] = lambda: None
    _upstream: str = ""
    _tls: ssl.SSLContext | None = None
    _session: aiohttp.ClientSession | None = None

    async def handle(self, incoming: web.Request) -> web.StreamResponse:
        body = await incoming.read()
        request = Request(incoming.method, incoming.path, incoming.query_string, body.decode(errors="replace"))
        fault = self.on_write(request) if request.is_write else None
        if fault == "killed before":
            self.kill()
            return _cut(incoming)
        async with self._forward(incoming, body) as answer:
            self.answered.append((request, answer.status))
            if "watch=true" in request.query:
                return await _stream(incoming, answer)
            content = await answer.read()
        if fault == "killed after":
            self.kill()
        if fault is not None:
            return _cut(incoming)
        return web.Response(status=answer.status, body=content, headers=_passed_on(answer.headers))

    def _forward(self, incoming: web.Request, body: bytes) -> Any:
        assert self._session is not None
        url = self._upstream + incoming.raw_path
        headers = _passed_on(incoming.headers)
        return self._session.request(
            incoming.method, url, data=body or None, headers=headers, ssl=self._tls or True, allow_redirects=False
        )


@asynccontextmanager
async def gate(upstream: str, *, ca: Path | None = None) -> AsyncIterator[Gate]:
    """A gate on a port of 127.0.0.1 in front of a server; `ca` is what an https server is known by."""
    it = Gate(_upstream=upstream, _tls=ssl.create_default_context(cafile=ca) if ca else None)
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", it.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.uri = f"http://127.0.0.1:{runner.addresses[0][1]}"
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as it._session:
        try:
            yield it
        finally:
            await runner.cleanup()
    await asyncio.sleep(0)


def through(kubeconfig: Path, uri: str) -> Path:
    """The same kubeconfig, by way of a gate."""
    content = yaml.safe_load(kubeconfig.read_text())
    content["clusters"][0]["cluster"] = {"server": uri}
    path = kubeconfig.with_suffix(".gate")
    path.write_text(yaml.safe_dump(content))
    return path


async def _stream(incoming: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    outgoing = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
    await outgoing.prepare(incoming)
    async for chunk in answer.content.iter_any():
        await outgoing.write(chunk)
    return outgoing


def _cut(incoming: web.Request) -> web.Response:
    """The connection ends without an answer."""
    if incoming.transport is not None:
        incoming.transport.abort()
    return web.Response()


def _passed_on(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
