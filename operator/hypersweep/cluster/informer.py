"""A cache of one kind of object, kept current by list and watch: what the loop reads instead of asking.

Owns the stream and its failures: expired versions, cuts, garbage, silence, refusals, a server that restarts. It keeps a
slim record of each object, never the object, and tells of a change only when the slim record changed. Refuses to
interpret records or to write anything. A relist is compared with the cache, so that what was deleted during a cut is
told as well.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import aiohttp
from kubernetes.aio.client import ApiClient

from hypersweep.cluster.client import NO_ANSWER, ApiError, no_answer, open_stream, request

T = TypeVar("T")
Key = tuple[str, str]
"""Namespace and name."""

PAGE = 250  # objects in one answer to a list: some 1 MB, parsed in one go while all else waits
LIMIT = 16 * 2**20  # bytes in one line; etcd takes objects of at most 1.5 MB
WATCH = (240, 300)  # seconds after which the server is to end a watch: a range, so that not all end at once
SILENCE = 150.0  # seconds without a byte; the server sends a bookmark each minute, so the connection is dead
STEADY = 5.0  # seconds that a watch must last to count as working
FIRST, LONGEST = 0.2, 10.0  # seconds to wait after one failure, and after many

_log = logging.getLogger(__name__)


class _MustRelist(Exception):  # noqa: N818
    """The stream can't be trusted any more: what was missed is unknown."""


class Informer(Generic[T]):
    """Runs as `await informer.run()` until cancelled; everything else is read in the same event loop.

    `synced` is set after the first complete list. `last_seen` is when (`time.monotonic()`) the API server was last
    heard: in a quiet cluster up to a minute ago. `problem` says why the cache may be stale; None when it is not.
    """

    def __init__(
        self,
        api: ApiClient,
        *,
        path: str,
        slim: Callable[[dict[str, Any]], T | None],
        on_change: Callable[[Key, T | None, T | None], None],
        label_selector: str = "",
        page: int = PAGE,
        silence: float = SILENCE,
    ) -> None:
        """`path` is a collection, such as `/apis/batch/v1/namespaces/a/jobs`.

        `slim` makes an object's record, which is compared by equality, or None to leave the object out. `on_change`
        gets the key, the old and the new record (None: was not, or is no more) after the cache has changed. What
        either of them raises is logged, and the stream goes on.
        """
        self._api, self._path = api, path
        self._slim, self._on_change = slim, on_change
        self._selector = {"labelSelector": label_selector} if label_selector else {}
        self._page, self._silence = page, silence
        self._store: dict[Key, T] = {}
        self._version: str | None = None
        self._failures = 0
        self.synced = asyncio.Event()
        self.last_seen = time.monotonic()
        self.problem: str | None = None

    @property
    def items(self) -> Mapping[Key, T]:
        """The cache itself, not a copy."""
        return self._store

    async def run(self) -> None:
        """List, then watch from there, for ever; what fails is tried again after a growing, jittered pause."""
        while True:
            try:
                if self._version is None:
                    self._version = await self._list()
                await self._watch(self._version)
            except ApiError as error:
                if error.is_gone:
                    self._version = None
                await self._wait_out(error, error.retry_after or 0.0)
            except _MustRelist as error:
                self._version = None
                await self._wait_out(error)

    async def _wait_out(self, error: Exception, at_least: float = 0.0) -> None:
        self._failures += 1
        pause = max(at_least, min(LONGEST, FIRST * 2.0 ** min(self._failures - 1, 20)) * random.uniform(0.5, 1.0))  # noqa: S311
        self.problem = f"{self._path}: {error}"
        level = logging.INFO if self._failures == 1 else logging.WARNING  # single cuts are daily life
        _log.log(level, "%s; trying again in %.1f s", self.problem, pause)
        await asyncio.sleep(pause)

    async def _list(self) -> str:
        """Replace the cache by what the server has now, and return the version to watch from."""
        found: dict[Key, T | None] = {}
        query = {"limit": str(self._page), **self._selector}
        while True:
            document = await request(self._api, "GET", self._path, query=query)
            try:
                found |= (self._read(item) for item in document.get("items") or ())
                meta = document["metadata"]
                version = meta["resourceVersion"]
            except (AttributeError, KeyError, TypeError) as error:
                raise _MustRelist(f"not a list of objects: {str(document)[:200]}") from error
            self.last_seen = time.monotonic()
            if not meta.get("continue"):
                break
            query["continue"] = meta["continue"]
        for key in self._store.keys() - found.keys():
            self._put(key, None)
        for key, record in found.items():
            self._put(key, record)
        self.synced.set()
        return str(version)

    async def _watch(self, version: str) -> None:
        """Take in events until the server ends the watch; anything but a quiet end after a while is an error."""
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version, **self._selector}
        query["timeoutSeconds"] = str(random.randint(*WATCH))  # noqa: S311
        stream = await open_stream(self._api, self._path, query=query, silence=self._silence)
        opened = time.monotonic()
        self.problem = None
        try:
            await self._take_lines(stream.content)
        except (aiohttp.ClientError, OSError) as error:
            raise no_answer(error) from error
        finally:
            stream.close()
            steady = time.monotonic() - opened >= STEADY
            if steady:
                self._failures = 0
        if not steady:
            raise ApiError(NO_ANSWER, "Cut", "the watch ended at once")

    async def _take_lines(self, content: aiohttp.StreamReader) -> None:
        rest = b""  # what is left at the end of the stream is half an event: it comes again
        while chunk := await content.readany():
            self.last_seen = time.monotonic()
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take(line)
            if len(rest) > LIMIT:
                raise _MustRelist(f"a line of more than {LIMIT} bytes")

    def _take(self, line: bytes) -> None:
        """Take in one event."""
        try:
            event = json.loads(line)
            kind, body = event["type"], event["object"]
            if kind == "ERROR":
                raise _MustRelist(f"{body.get('code')} {body.get('reason')}: {body.get('message')}")
            if kind in ("ADDED", "MODIFIED"):
                self._put(*self._read(body))
            elif kind == "DELETED":
                self._put(_key(body), None)
            elif kind != "BOOKMARK":
                raise _MustRelist(f"unknown event {kind!r}")
            self._version = str(body["metadata"]["resourceVersion"])
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise _MustRelist(f"not a watch event: {line[:200]!r}") from error

    def _read(self, body: dict[str, Any]) -> tuple[Key, T | None]:
        key = _key(body)
        try:
            return key, self._slim(body)
        except Exception:  # noqa: BLE001  (the caller's code must not end the stream)
            _log.exception("%s: no record could be made of %s/%s", self._path, *key)
            return key, self._store.get(key)

    def _put(self, key: Key, new: T | None) -> None:
        old = self._store.get(key)
        if old == new:
            return
        if new is None:
            del self._store[key]
        else:
            self._store[key] = new
        try:
            self._on_change(key, old, new)
        except Exception:  # noqa: BLE001  (as above)
            _log.exception("%s: the change of %s/%s was not taken in", self._path, *key)


def _key(body: dict[str, Any]) -> Key:
    meta = body["metadata"]
    return meta.get("namespace", ""), meta["name"]
