"""A server between a store and MLflow that misbehaves on command: one that tests ask for trouble, and count requests at."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

Trouble = Callable[["Proxy", web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Proxy:
    """What the tests see of it. `trouble` answers in place of MLflow; None: forward. `upstream` is MLflow's URI."""

    upstream: str = ""
    uri: str = ""
    trouble: Trouble | None = None
    requests: list[str] = field(default_factory=list)  # "POST runs/create"
    authorization: list[str | None] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    connections: set[int] = field(default_factory=set)
    _session: aiohttp.ClientSession | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path.removeprefix('/api/2.0/mlflow/')}")
        self.authorization.append(request.headers.get("Authorization"))
        self.connections.add(id(request.transport))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await (self.trouble or forward)(self, request)
        finally:
            self.in_flight -= 1

    async def ask(self, request: web.Request) -> tuple[int, bytes]:
        """MLflow's own answer."""
        assert self._session is not None
        body = await request.read()
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        async with self._session.request(
            request.method, self.upstream + request.path_qs, data=body, headers=headers
        ) as answer:
            return answer.status, await answer.read()


@asynccontextmanager
async def proxied(upstream: str = "", *, trouble: Trouble | None = None) -> AsyncIterator[Proxy]:
    """A proxy on a port of 127.0.0.1."""
    proxy = Proxy(upstream=upstream, trouble=trouble)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    proxy.uri = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        proxy._session = session
        try:
            yield proxy
        finally:
            await runner.cleanup()


async def forward(proxy: Proxy, request: web.Request) -> web.StreamResponse:
    """No trouble."""
    status, body = await proxy.ask(request)
    return web.Response(status=status, body=body, content_type="application/json")


def answer(status: int, text: str, *, kind: str = "application/json", **headers: str) -> Trouble:
    """One and the same answer, without asking MLflow."""

    async def trouble(_proxy: Proxy, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=kind, headers=headers)

    return trouble


async def silence(_proxy: Proxy, _request: web.Request) -> web.StreamResponse:
    """No answer, ever."""
    await asyncio.Event().wait()
    raise AssertionError


async def cut(_proxy: Proxy, request: web.Request) -> web.StreamResponse:
    """The connection ends before the answer; MLflow never hears of the request."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def lost(proxy: Proxy, request: web.Request) -> web.StreamResponse:
    """MLflow does what was asked, and nobody hears of it."""
    await proxy.ask(request)
    return await cut(proxy, request)


async def half(_proxy: Proxy, request: web.Request) -> web.StreamResponse:
    """The connection ends within the answer."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"runs": [')
    assert request.transport is not None
    request.transport.close()
    return response


def first(times: int, trouble: Trouble) -> Trouble:
    """Trouble for some requests, then none."""
    left = [times]

    async def one(proxy: Proxy, request: web.Request) -> web.StreamResponse:
        left[0] -= 1
        return await (trouble if left[0] >= 0 else forward)(proxy, request)

    return one
