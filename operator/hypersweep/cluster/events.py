"""Events of a sweep, as `kubectl describe` shows them.

Owns their shape, their number and their names: the same thing said again is counted, not repeated, also after a
restart, because an Event's name is a function of what it says. Telling is a courtesy to people: what cannot be told is
logged, and never stops a sweep, whose status says the same.
"""

import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from kubernetes.aio.client import ApiClient

from hypersweep.cluster.client import MERGE_PATCH, ApiError, request
from hypersweep.core.names import short_hash

CONTROLLER = "hypersweep.dev/operator"
LONGEST_NOTE = 1024  # characters that the API server takes
LONGEST_NAME = 200  # characters of the sweep's name in an Event's
BURST, REFILL = 30.0, 0.1  # Events at once, and per second from then on

_log = logging.getLogger(__name__)


class Told(Protocol):
    """What is to be told: see `core.status.Event`."""

    @property
    def reason(self) -> str: ...

    @property
    def message(self) -> str: ...

    @property
    def type(self) -> str: ...


class Announcer:
    """Tells the Events of one object."""

    def __init__(self, api: ApiClient, *, regarding: Mapping[str, Any], clock: Callable[[], float] = time.time) -> None:
        """`regarding` is an object reference: apiVersion, kind, namespace, name, uid."""
        self._api, self._regarding, self._clock = api, regarding, clock
        self._path = f"/apis/events.k8s.io/v1/namespaces/{regarding['namespace']}/events"
        self._counts: dict[str, int] = {}
        self._allowed, self._refilled = BURST, clock()

    async def tell(self, events: Sequence[Told]) -> None:
        """Tell these, in their order; those beyond the allowed rate are dropped, and so logged."""
        for event in events:
            if not self._may():
                _log.warning("an Event too many: %s: %s", event.reason, event.message)
                continue
            try:
                await self._tell(event)
            except ApiError as error:
                _log.warning("an Event could not be told (%s): %s: %s", error, event.reason, event.message)

    async def _tell(self, event: Told) -> None:
        told = self._document(event)
        name = told["metadata"]["name"]
        if name not in self._counts:
            try:
                await request(self._api, "POST", self._path, body=told)
            except ApiError as error:
                if not error.already_exists:
                    raise
            else:
                self._remember(name, 1)
                return
        count = self._counts.get(name, 1) + 1
        body = {"series": {"count": count, "lastObservedTime": told["eventTime"]}}
        try:
            await request(self._api, "PATCH", f"{self._path}/{name}", body=body, content_type=MERGE_PATCH)
        except ApiError as error:
            if not error.not_found:
                raise
            self._counts.pop(name, None)  # it has expired
            await request(self._api, "POST", self._path, body=told)
            count = 1
        self._remember(name, count)

    def _document(self, event: Told) -> dict[str, Any]:
        about = self._regarding
        digest = short_hash(about["uid"], event.type, event.reason, event.message, length=16)
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{about['name'][:LONGEST_NAME]}.{digest}", "namespace": about["namespace"]},
            "eventTime": datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "regarding": dict(about),
            "type": event.type,
            "reason": event.reason,
            "action": "Run",
            "note": event.message[:LONGEST_NOTE],
            "reportingController": CONTROLLER,
            "reportingInstance": socket.gethostname()[:128],
        }

    def _remember(self, name: str, count: int) -> None:
        self._counts[name] = count
        if len(self._counts) > BURST:
            del self._counts[next(iter(self._counts))]

    def _may(self) -> bool:
        now = self._clock()
        self._allowed = min(BURST, self._allowed + (now - self._refilled) * REFILL)
        self._refilled = now
        if self._allowed < 1:
            return False
        self._allowed -= 1
        return True
