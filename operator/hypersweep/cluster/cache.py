"""The index of Jobs and pods, kept current by informers: two for each watched namespace, or two for the cluster.

Owns the informers and what runs beside them. Reads the API server; writes nothing.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from kubernetes.aio.client import ApiClient

from hypersweep.cluster.index import JobIndex
from hypersweep.cluster.informer import Informer
from hypersweep.cluster.records import job_record, pod_record
from hypersweep.cluster.waits import Waits
from hypersweep.core.names import SWEEP_LABEL


class JobCache(JobIndex):
    """The Jobs and pods of all sweeps in some namespaces. Runs as `await cache.run()` until cancelled."""

    def __init__(
        self,
        api: ApiClient,
        *,
        namespaces: Sequence[str],
        wake: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`namespaces` to look at, none for all; `wake` is told the UID of a sweep of which something has changed."""
        super().__init__(wake=wake, clock=clock)
        self._waits = Waits(api, waiting=self.starting, explain=self.explain, clock=clock)
        self._informers: list[Informer[Any]] = []
        for place in [f"/namespaces/{namespace}" for namespace in namespaces] or [""]:
            jobs, pods = f"/apis/batch/v1{place}/jobs", f"/api/v1{place}/pods"
            self._informers += [
                Informer(api, path=jobs, slim=job_record, on_change=self.job_changed, label_selector=SWEEP_LABEL),
                Informer(api, path=pods, slim=pod_record, on_change=self.pod_changed, label_selector=SWEEP_LABEL),
            ]

    async def run(self) -> None:
        """Follow the API server until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run())
            group.create_task(self._waits.run())

    async def synced(self) -> None:
        """Wait until everything that exists is known."""
        for informer in self._informers:
            await informer.synced.wait()

    @property
    def problem(self) -> str | None:
        """Why what is known may be out of date; None when it is not."""
        return next((informer.problem for informer in self._informers if informer.problem), None)
