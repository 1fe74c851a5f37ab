"""The informer on a real API server: real Jobs, real compaction, a real restart, real rights."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient

from hypersweep.cluster.client import connect, request
from hypersweep.cluster.informer import Informer, Key
from tests.cluster.clients import Kubectl
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import NewControlPlane, ServiceAccountKubeconfig
from tests.cluster_unit.proxy import Proxy
from tests.cluster_unit.waiting import until

pytestmark = pytest.mark.api

Slim = tuple[str, bool]
"""What these tests keep of a Job: its label `step` and whether it has succeeded."""


def slim(job: dict[str, Any]) -> Slim:
    labels = job["metadata"].get("labels", {})
    return labels.get("step", ""), job.get("status", {}).get("succeeded", 0) > 0


class Watched:
    """An informer that runs, the changes it told, and the requests it made."""

    def __init__(self, client: ApiClient, namespace: str, asked: Counter[str], **settings: Any) -> None:
        self.client, self.namespace, self.asked = client, namespace, asked
        self.changes: list[tuple[str, Slim | None, Slim | None]] = []
        self.informer = Informer(client, path=self.path, slim=slim, on_change=self._tell, **settings)

    @property
    def path(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs"

    @property
    def steps(self) -> dict[str, str]:
        return {name: record[0] for (_, name), record in self.informer.items.items()}

    def _tell(self, key: Key, old: Slim | None, new: Slim | None) -> None:
        assert key[0] == self.namespace
        self.changes.append((key[1], old, new))

    async def watches(self) -> None:
        """Wait until it is synced and a watch is open."""
        await until(lambda: self.informer.synced.is_set() and self.asked["watch 200"], what="a watch to be open")


@asynccontextmanager
async def watched(kubeconfig: Path | str, namespace: str, **settings: Any) -> AsyncIterator[Watched]:
    asked: Counter[str] = Counter()
    client = await connect(str(kubeconfig), observe=lambda verb, _, __, code: asked.update([f"{verb} {code}"]))
    it = Watched(client, namespace, asked, **settings)
    running = asyncio.create_task(it.informer.run())
    try:
        yield it
        assert not running.done(), "the informer ended by itself"
    finally:
        running.cancel()
        await asyncio.wait([running])
        await client.close()


@pytest.fixture
async def admin(control_plane: ControlPlane) -> AsyncIterator[ApiClient]:
    client = await connect(str(control_plane.kubeconfig))
    yield client
    await client.close()


def job(name: str, *, step: str = "1", suspend: bool = True, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "none"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"step": step}},
        "spec": {
            "suspend": suspend,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
            **spec,
        },
    }


async def create(client: ApiClient, namespace: str, *names: str, **settings: Any) -> None:
    for name in names:
        await request(client, "POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", body=job(name, **settings))


async def delete(client: ApiClient, namespace: str, name: str) -> None:
    query = {"propagationPolicy": "Background"}
    await request(client, "DELETE", f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}", query=query)


async def test_life_of_a_job_is_told_once_per_change(
    control_plane: ControlPlane, admin: ApiClient, namespace: str
) -> None:
    """Of the many writes to a Job, those that change what we keep are told, each once and in order."""
    await create(admin, namespace, "before")
    async with watched(control_plane.kubeconfig, namespace) as it:
        await it.watches()
        await create(admin, namespace, "runs", suspend=False)
        await until(lambda: it.informer.items.get((namespace, "runs")) == ("1", True), what="the Job to succeed")
        await delete(admin, namespace, "runs")
        await until(lambda: (namespace, "runs") not in it.informer.items, what="the Job to be gone")
        assert it.changes == [
            ("before", None, ("1", False)),
            ("runs", None, ("1", False)),
            ("runs", ("1", False), ("1", True)),
            ("runs", ("1", True), None),
        ]
        assert it.asked == {"list 200": 1, "watch 200": 1}


async def test_large_list_comes_in_pages_and_selectors_apply(
    control_plane: ControlPlane, admin: ApiClient, namespace: str
) -> None:
    """Continue tokens of a real API server lead through all pages; what the selector leaves out is never seen."""
    await create(admin, namespace, *(f"job-{number}" for number in range(7)))
    await create(admin, namespace, "other", step="2")
    async with watched(control_plane.kubeconfig, namespace, page=3, label_selector="step in (1,3)") as it:
        await it.watches()
        assert it.steps == {f"job-{number}": "1" for number in range(7)}
        assert it.asked["list 200"] == 3
        labels = {"metadata": {"labels": {"step": "2"}}}
        merge = "application/merge-patch+json"
        await request(admin, "PATCH", f"{it.path}/job-0", body=labels, content_type=merge)
        await until(lambda: "job-0" not in it.steps, what="the Job that is selected no more to leave")


async def test_cut_connection_goes_on_without_a_list(
    control_plane: ControlPlane, admin: ApiClient, namespace: str, tmp_path: Path
) -> None:
    """What happened while the network was away comes from the API server's history."""
    async with Proxy(control_plane.kubeconfig) as proxy, watched(proxy.kubeconfig(tmp_path), namespace) as it:
        await it.watches()
        await create(admin, namespace, "kept", "deleted")
        await until(lambda: it.steps.keys() == {"kept", "deleted"}, what="both Jobs")
        await proxy.cut()
        await delete(admin, namespace, "deleted")
        await create(admin, namespace, "new")
        await until(lambda: it.informer.problem, what="the cut to be noticed")
        await proxy.restore()
        await until(lambda: it.steps.keys() == {"kept", "new"}, what="what was missed")
        assert it.asked["list 200"] == 1


async def test_dead_connection_is_noticed_by_its_silence(
    control_plane: ControlPlane, admin: ApiClient, namespace: str, tmp_path: Path
) -> None:
    """A network that swallows everything and breaks nothing does not blind us for good."""
    async with (
        Proxy(control_plane.kubeconfig) as proxy,
        watched(proxy.kubeconfig(tmp_path), namespace, silence=1.0) as it,
    ):
        await it.watches()
        proxy.swallow()
        await create(admin, namespace, "new")
        await until(lambda: it.informer.problem, what="the silence to be noticed")
        await proxy.restore()
        await until(lambda: it.steps.keys() == {"new"}, what="what was missed", seconds=20)


async def test_restarted_server_is_listed_anew_and_deletions_are_told(
    new_control_plane: NewControlPlane, tmp_path: Path
) -> None:
    """A restarted API server has no history to go on from (410): the list is compared with what we had."""
    plane = new_control_plane(nodes=False)
    admin = await connect(str(plane.kubeconfig))
    async with Proxy(plane.kubeconfig) as proxy, watched(proxy.kubeconfig(tmp_path), "default") as it:
        await it.watches()
        await create(admin, "default", "kept", "deleted", "replaced")
        await until(lambda: len(it.steps) == 3, what="the Jobs")
        await proxy.cut()  # so that the changes below fall into its absence
        for name in ("deleted", "replaced"):
            await delete(admin, "default", name)
        await asyncio.to_thread(plane.restart_apiserver)
        await create(admin, "default", "replaced", step="2")
        it.changes.clear()
        await proxy.restore()
        await until(lambda: it.steps == {"kept": "1", "replaced": "2"}, what="the cache to be right", seconds=40)
        assert sorted(it.changes) == [("deleted", ("1", False), None), ("replaced", ("1", False), ("2", False))]
        assert it.asked["list 200"] == 2
        await create(admin, "default", "later")
        await until(lambda: "later" in it.steps, what="the new watch to tell")
    await admin.close()


async def test_missing_rights_are_said_and_work_once_granted(
    kubectl: Kubectl, namespace: str, service_account_kubeconfig: ServiceAccountKubeconfig
) -> None:
    """Without rights it says which are missing; list and watch on Jobs are all it needs."""
    kubectl("create", "serviceaccount", "operator", "-n", namespace)
    async with watched(service_account_kubeconfig(namespace, "operator"), namespace) as it:
        await until(lambda: it.informer.problem, what="the problem to be said")
        assert 'cannot list resource "jobs" in API group "batch" in the namespace' in (it.informer.problem or "")
        kubectl("create", "role", "r", "-n", namespace, "--verb=list,watch", "--resource=jobs.batch")
        kubectl("create", "rolebinding", "r", "-n", namespace, "--role=r", f"--serviceaccount={namespace}:operator")
        await it.watches()
        await until(lambda: it.informer.problem is None, what="the problem to be over")


async def test_whole_cluster_can_be_watched(control_plane: ControlPlane, admin: ApiClient, namespace: str) -> None:
    """One informer without a namespace tells apart Jobs of one name in two namespaces."""
    await create(admin, namespace, "same")
    await create(admin, "default", "same")
    told: set[Key] = set()
    informer = Informer(admin, path="/apis/batch/v1/jobs", slim=slim, on_change=lambda key, *_: told.add(key))
    running = asyncio.create_task(informer.run())
    await until(lambda: {(namespace, "same"), ("default", "same")} <= told, what="both Jobs")
    running.cancel()
    await asyncio.wait([running])
    await delete(admin, "default", "same")
