"""Why an attempt waits, where neither its Job nor its pod says so: quota, a missing service account, a missing volume.

The API server tells these in Events only. Owns when to ask for them and what they mean. Asks at most once in a while
and per namespace, and only while something has waited for long; watches nothing, since Events are many.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from kubernetes.aio.client import ApiClient

from hypersweep.cluster.client import ApiError, request
from hypersweep.cluster.index import Explanation
from hypersweep.cluster.records import JobRecord, PodRecord
from hypersweep.core.exits import last_words
from hypersweep.core.trial import Reason

PATIENCE = 10.0  # seconds that an attempt may wait without saying why
EVERY = 10.0  # seconds between two questions
REFUSED_FOR = 300.0  # seconds without questions after one was refused
_MOST = "500"  # events in an answer

# The Event that tells of it: of whom, and its reason.
_NO_POD, _NO_VOLUME = ("Job", "FailedCreate"), ("Pod", "FailedMount")

Waiting = Callable[[], Iterable[tuple[JobRecord, PodRecord | None, float]]]

_log = logging.getLogger(__name__)


class Waits:
    """Asks on behalf of a cache. Runs as `await waits.run()` until cancelled."""

    def __init__(
        self,
        api: ApiClient,
        *,
        waiting: Waiting,
        explain: Callable[[str, Explanation], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`waiting` gives Jobs, their pods and since when they wait; `explain` gets a Job's UID and what was found."""
        self._api, self._waiting, self._explain, self._clock = api, waiting, explain, clock

    async def run(self) -> None:
        """Ask whenever something has waited for long."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look()
            except ApiError as error:
                _log.warning("Events could not be read, so some waits go unexplained: %s", error)
                await asyncio.sleep(0.0 if error.is_transient else REFUSED_FOR)

    async def look(self) -> None:
        """Ask once, for all that wait. ApiError: an answer did not come."""
        asked: dict[tuple[str, tuple[str, str]], dict[str, str]] = defaultdict(
            dict
        )  # the UID an Event has -> the Job's
        for job, pod, since in self._waiting():
            if self._clock() - since >= PATIENCE:
                kind, uid = (_NO_VOLUME, pod.uid) if pod is not None else (_NO_POD, job.uid)
                asked[job.namespace, kind][uid] = job.uid
        for (namespace, kind), jobs in asked.items():
            for uid, message in (await self._messages(namespace, *kind)).items():
                if uid in jobs:
                    self._explain(jobs[uid], _meaning(kind, message))

    async def _messages(self, namespace: str, kind: str, reason: str) -> dict[str, str]:
        """The newest message of such Events, by the UID of the object that they are about."""
        selector = f"involvedObject.kind={kind},reason={reason}"
        path = f"/api/v1/namespaces/{namespace}/events"
        answer = await request(self._api, "GET", path, query={"fieldSelector": selector, "limit": _MOST})
        events = sorted(answer.get("items") or (), key=_last_seen)
        return {event["involvedObject"].get("uid", ""): event.get("message") or "" for event in events}


def _meaning(kind: tuple[str, str], message: str) -> Explanation:
    message = last_words(message.removeprefix("Error creating: "))
    if kind == _NO_POD:
        return Explanation(
            Reason.QUOTA_EXCEEDED if "exceeded quota" in message else Reason.CONTAINER_NOT_CREATED, message
        )
    # A volume that is slow comes in time; one whose Secret, ConfigMap or claim is missing does not.
    return Explanation(Reason.CONTAINER_NOT_CREATED if "not found" in message else Reason.STARTING, message)


def _last_seen(event: dict[str, Any]) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")
