"""Leader election: one operator acts in a namespace, and it knows when it may not any more.

Owns the Lease objects, nothing else. Every request is bounded, and all waiting is measured on the monotonic clock: the
times written into a Lease are for people, and other processes' clocks are not believed. A leader counts from before it
asked for the renewal, a candidate from after it saw it; so a leader gives up (after `deadline`) before a candidate
takes over (after `duration`): what is between the two is the time it has to stop. Nothing here can stop a process that
does not stop itself in that time; see `on_lost`.

(The client library's own election, 37.0.2, was tried: it cannot create its Lease, dies on a refused connection while
what it started goes on working, lets one request hang for minutes, goes by the wall clock and does not let go on exit.)
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn

from kubernetes.aio.client import ApiClient

from hypersweep.cluster.client import ApiError, request
from hypersweep.core.errors import HyperSweepError

NAME = "hypersweep"
DURATION, DEADLINE, RENEW, RETRY = 15, 10.0, 5.0, 1.5  # seconds; the first is whole, as the API wants it
ANSWER = 2.0  # seconds for one request, so that a deadline has room for several

_log = logging.getLogger(__name__)


class LeadershipLost(HyperSweepError):  # noqa: N818  (a state, not a mistake)
    """The lease could not be renewed in time, or is another's: stop at once, and start anew."""


class Lease:
    """One Lease in one namespace, and this process's claim to it.

    `identity` must be unique among processes that may live at once, and better stays the same in a restarted
    container (a pod's UID does both): a lease found in our own name is ours at once, any other only once it expires.
    `uid` is the Lease object's (empty before `acquire`): it outlives the process, so it names this installation.
    """

    def __init__(
        self,
        api: ApiClient,
        *,
        namespace: str,
        identity: str,
        name: str = NAME,
        duration: int = DURATION,
        deadline: float = DEADLINE,
        renew: float = RENEW,
        retry: float = RETRY,
    ) -> None:
        """All times in seconds: renew < deadline < duration."""
        if not renew < deadline < duration:
            raise ValueError(f"renew {renew} < deadline {deadline} < duration {duration} does not hold")
        self.namespace, self.name, self.identity = namespace, name, identity
        self.uid = ""
        self._api = api
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._duration, self._deadline, self._renew, self._retry = duration, deadline, renew, retry
        self._seen: tuple[str, str] | None = None
        self._seen_at = 0.0
        self._renewed: float | None = None

    @property
    def held(self) -> bool:
        """Whether we lead now, as far as can be known without asking."""
        return self._renewed is not None and time.monotonic() < self._renewed + self._deadline

    async def acquire(self) -> None:
        """Wait until the lease is ours, however long; who has it, or what is wrong, is logged when it changes."""
        said = ""
        while True:
            try:
                holder = await self._claim()
            except ApiError as error:
                say = str(error)
            else:
                if not holder:
                    break
                say = f"held by {holder}"
            if say != said:
                _log.warning("waiting for lease %s/%s: %s", self.namespace, self.name, say)
                said = say
            await asyncio.sleep(self._retry * random.uniform(0.8, 1.2))  # noqa: S311
        _log.info("lease %s/%s is held by %s", self.namespace, self.name, self.identity)

    async def keep(self) -> NoReturn:
        """Renew until cancelled.

        Raises:
            LeadershipLost: not renewed within the deadline, or taken by another.
        """
        while True:
            await asyncio.sleep(self._renew)
            problem = "no answer"
            try:
                async with asyncio.timeout((self._renewed or 0.0) + self._deadline - time.monotonic()):
                    while problem:
                        problem = await self._renewal()
            except TimeoutError:
                raise self._lost(f"not renewed in {self._deadline:.0f} s: {problem}") from None

    async def release(self) -> None:
        """Let go if we hold it, so that the next candidate need not wait; if that fails, it waits `duration`."""
        if self._renewed is None:
            return
        self._renewed = None
        try:
            found = await self._send("GET", f"/{self.name}")
            spec = found.get("spec") or {}
            if spec.get("holderIdentity") == self.identity:
                await self._send("PUT", f"/{self.name}", {**found, "spec": _spec(spec, "", 1)})
        except ApiError as error:
            _log.warning("lease %s/%s could not be released: %s", self.namespace, self.name, error)

    async def _claim(self) -> str:
        """Take or renew the lease if it is free or ours; otherwise return its holder.

        The resourceVersion in the PUT makes a lost race an error. A renewal whose answer was lost is simply repeated.
        """
        asked = time.monotonic()
        try:
            found = await self._send("GET", f"/{self.name}")
        except ApiError as error:
            if not error.not_found:
                raise
            new = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self.name}}
            found = await self._send("POST", "", {**new, "spec": _spec({}, self.identity, self._duration)})
        else:
            spec = found.get("spec") or {}
            if holder := self._other(spec):
                return holder
            body = {**found, "spec": _spec(spec, self.identity, self._duration)}
            found = await self._send("PUT", f"/{self.name}", body)
        self.uid = found["metadata"]["uid"]
        self._renewed = asked
        return ""

    def _other(self, spec: dict[str, Any]) -> str:
        """Who else holds the lease; empty if nobody does, or not any more."""
        holder: str = spec.get("holderIdentity") or ""
        if holder in ("", self.identity):
            return ""
        seen = (holder, spec.get("renewTime") or "")
        if seen != self._seen:
            self._seen, self._seen_at = seen, time.monotonic()
        expired = time.monotonic() - self._seen_at >= (spec.get("leaseDurationSeconds") or self._duration)
        return "" if expired else holder

    async def _renewal(self) -> str:
        """Renew once; return what prevented it, after a pause, if that may pass."""
        try:
            holder = await self._claim()
        except ApiError as error:
            await asyncio.sleep(min(1.0, self._renew))
            return str(error)
        if holder:
            raise self._lost(f"taken by {holder}")
        return ""

    def _lost(self, why: str) -> LeadershipLost:
        self._renewed = None
        return LeadershipLost(f"lease {self.namespace}/{self.name}: {why}")

    async def _send(self, method: str, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = await request(self._api, method, self._path + name, body=body, seconds=ANSWER)
        return answer


def _spec(old: dict[str, Any], holder: str, duration: int) -> dict[str, Any]:
    """The Lease's new spec; its times are informative."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    spec = {**old, "holderIdentity": holder, "leaseDurationSeconds": duration, "renewTime": now}
    if holder and holder != old.get("holderIdentity"):
        spec |= {"acquireTime": now, "leaseTransitions": old.get("leaseTransitions", -1) + 1}
    return spec


@asynccontextmanager
async def leadership(leases: Sequence[Lease], *, on_lost: Callable[[], None] | None = None) -> AsyncIterator[None]:
    """Hold all these leases while the body runs: wait for them, renew them, and let them go at the end.

    Once one is lost, `on_lost` is called, then the body is cancelled. A body that may take longer than `duration` -
    `deadline` to end needs an `on_lost` that ends the process by then (a timer). Leases are taken in the order of their
    namespaces, so that two processes can't each wait for the other.

    Raises:
        LeadershipLost: after the body has ended; nothing is let go then, since it is not ours.
    """

    async def keep(lease: Lease) -> None:
        try:
            await lease.keep()
        except LeadershipLost:
            if on_lost:
                on_lost()
            raise

    try:
        async with asyncio.TaskGroup() as group:
            keepers = []
            for lease in sorted(leases, key=lambda one: (one.namespace, one.name)):
                await lease.acquire()
                keepers.append(group.create_task(keep(lease)))
            yield
            for keeper in keepers:
                keeper.cancel()
    except BaseExceptionGroup as errors:  # of the group's making: the body's own error, a lost lease, or both
        lost = errors.subgroup(LeadershipLost)
        raise (lost or errors).exceptions[0] from None
    finally:
        await asyncio.gather(*(lease.release() for lease in leases))
