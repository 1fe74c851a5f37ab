"""A TCP proxy in front of a real API server, to take the network away from one client and give it back.

It sees only bytes (TLS goes through it), so what it breaks is what a network breaks. Runs in the test's event loop.
"""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Self

import yaml


class Proxy:
    """Use as `async with Proxy(kubeconfig) as proxy`; `proxy.kubeconfig(directory)` leads through it."""

    def __init__(self, kubeconfig: Path) -> None:
        self._config = yaml.safe_load(kubeconfig.read_text())
        host, _, port = self._cluster["server"].removeprefix("https://").partition(":")
        self._target = (host, int(port))
        self._server: asyncio.Server | None = None
        self._port = 0
        self._open = asyncio.Event()
        self._open.set()
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    @property
    def _cluster(self) -> dict[str, str]:
        cluster: dict[str, str] = self._config["clusters"][0]["cluster"]
        return cluster

    def kubeconfig(self, directory: Path) -> str:
        """The kubeconfig, with this proxy as its server."""
        self._cluster["server"] = f"https://127.0.0.1:{self._port}"
        path = directory / f"proxy-{self._port}.kubeconfig"
        path.write_text(json.dumps(self._config))
        return str(path)

    async def cut(self) -> None:
        """Break all connections and refuse new ones."""
        if self._server:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def swallow(self) -> None:
        """Let no byte through any more, and say nothing: a network that is just gone."""
        self._open.clear()

    async def restore(self) -> None:
        """Let everything through (again), on the same port."""
        self._open.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await asyncio.open_connection(*self._target)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._copy(reader, far))
                both.create_task(self._copy(far_reader, writer))
        except (OSError, asyncio.CancelledError, BaseExceptionGroup):  # either side is gone, or we cut it
            return
        finally:
            self._connections.discard(task)
            for end in (writer, far):
                if end:
                    end.transport.abort()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await self._open.wait()
            sink.write(data)
            await sink.drain()
        with suppress(OSError):
            sink.write_eof() if sink.can_write_eof() else sink.close()
