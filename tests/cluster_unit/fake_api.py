"""A small API server for one collection, which fails in the ways a real one does, when told to.

It speaks enough of the protocol for list (paged), watch (from a version, with bookmarks) and a history that can be
compacted. Faults are of three kinds: `refuse` answers the next requests otherwise, `say` writes anything into the open
watches, `cut` breaks their connections. Everything runs in the test's event loop.
"""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from aiohttp import web

PATH = "/apis/batch/v1/namespaces/ns/jobs"


class FakeApi:
    """Use as `async with FakeApi() as api`. `asked` holds the query of every request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 100
        self.oldest = 0
        self.events: list[tuple[int, bytes]] = []
        self.asked: list[Mapping[str, str]] = []
        self.headers: list[Mapping[str, str]] = []
        self.answers: deque[web.Response] = deque()
        self.on_list: Callable[[], None] = lambda: None
        self._snapshots: list[tuple[int, list[dict[str, Any]]]] = []
        self._streams: set[web.StreamResponse] = set()
        self._changed = asyncio.Condition()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        # handler_cancellation: a watch ends with its connection
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._runner.addresses[0]
        return f"http{'s' if self._tls else ''}://{host}:{port}"

    def kubeconfig(self, directory: Path) -> str:
        """A kubeconfig that leads here."""
        path = directory / "kubeconfig"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": {"server": self.url}}],
                    "users": [{"name": "u", "user": {"token": "t"}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "c",
                }
            )
        )
        return str(path)

    @property
    def lists(self) -> int:
        """How many lists were begun."""
        return sum("watch" not in query and "continue" not in query for query in self.asked)

    @property
    def watches(self) -> list[str]:
        """The version that each watch asked for."""
        return [query["resourceVersion"] for query in self.asked if "watch" in query]

    @property
    def watching(self) -> int:
        """How many watches are open now."""
        return len(self._streams)

    def refuse(self, status: int, body: str | None = None, **headers: str) -> None:
        """Answer the next request (list or watch) with this status."""
        text = body if body is not None else json.dumps({"kind": "Status", "code": status, "message": "as told"})
        self.answers.append(web.Response(status=status, text=text, headers=headers))

    async def put(self, name: str, **fields: Any) -> None:
        """Create or change an object."""
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.version += 1
        metadata = {"namespace": "ns", "name": name, "resourceVersion": str(self.version)}
        self.objects[name] = {"metadata": metadata, **fields}
        await self._log(kind, self.objects[name])

    async def delete(self, name: str) -> None:
        """Delete an object."""
        self.version += 1
        body = self.objects.pop(name)
        await self._log("DELETED", body | {"metadata": body["metadata"] | {"resourceVersion": str(self.version)}})

    async def bookmark(self) -> None:
        """Send a bookmark to all watches."""
        await self._log("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def compact(self) -> None:
        """Forget history: whoever comes with an older version is told 410."""
        self.oldest = self.version

    async def say(self, data: bytes) -> None:
        """Write these bytes into every open watch."""
        for stream in list(self._streams):
            await stream.write(data)

    def cut(self) -> None:
        """Break the connection of every watch."""
        for stream in list(self._streams):
            transport = stream._req.transport  # type: ignore[union-attr]
            if transport:
                transport.abort()
        self._streams.clear()

    async def _log(self, kind: str, body: dict[str, Any]) -> None:
        line = json.dumps({"type": kind, "object": body}).encode() + b"\n"
        async with self._changed:
            self.events.append((self.version, line))
            self._changed.notify_all()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        self.headers.append(dict(request.headers))
        if self.answers:
            return self.answers.popleft()
        return await self._watch(request) if "watch" in request.query else self._list(request)

    def _list(self, request: web.Request) -> web.Response:
        self.on_list()
        token, _, begin = request.query.get("continue", "/0").partition("/")
        if not token:  # all pages are of the moment of the first
            token = str(len(self._snapshots))
            self._snapshots.append((self.version, [self.objects[name] for name in sorted(self.objects)]))
        version, bodies = self._snapshots[int(token)]
        end = int(begin) + int(request.query.get("limit", len(bodies)))
        metadata = {"resourceVersion": str(version)}
        if end < len(bodies):
            metadata["continue"] = f"{token}/{end}"
        return web.json_response({"metadata": metadata, "items": bodies[int(begin) : end]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        version = int(request.query["resourceVersion"])
        if version < self.oldest:
            status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
            await stream.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
            return stream
        at = sum(1 for known, _ in self.events if known <= version)
        self._streams.add(stream)
        try:
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: at < len(self.events))  # noqa: B023
                for _, line in self.events[at:]:
                    at += 1
                    await stream.write(line)
        finally:
            self._streams.discard(stream)
