"""A sweep on a real API server and its world, without an operator: for the tests of the world's parts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.aio.client import ApiClient

from hypersweep.cluster.cache import JobCache
from hypersweep.cluster.client import connect
from hypersweep.cluster.world import ClusterWorld
from hypersweep.core.manifest import parse
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Attempt, Phase, Trial
from tests.cluster.clients import Kubectl
from tests.cluster.control_plane import ControlPlane
from tests.cluster.waiting import eventually
from tests.cluster_unit.waiting import until
from tests.core.builders import make_spec, make_trial

CRDS = Path(__file__).parents[2] / "crds"


@dataclass(frozen=True)
class Target:
    uri: str = "http://mlflow:5000"
    experiment: str = "1"


@dataclass(frozen=True)
class Identity:
    search: str = "ab12"


class Host:
    """A sweep that keeps its newest copy, as the operator's host does."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body

    @property
    def spec(self) -> SweepSpec:
        return parse(self.body)[1]

    def identity(self, spec: SweepSpec) -> Identity:
        return Identity()

    def see(self, body: Mapping[str, Any]) -> bool:
        old, self.body = self.body, body
        return bool(old["metadata"]["generation"] != body["metadata"]["generation"])


def pod_template(*, annotations: dict[str, str] | None = None, **container: Any) -> dict[str, Any]:
    """A `job` of a sweep whose pods go through this scenario."""
    containers = [{"name": "train", "image": "none", "command": ["train"], **container}]
    pod = {"metadata": {"annotations": annotations or {}}, "spec": {"containers": containers}}
    return {"template": {"spec": {"template": pod}}}


class Stage:
    """A namespace with a sweep, its world, a cache that runs, and what was asked of the API server."""

    def __init__(self, api: ApiClient, kubectl: Kubectl, asked: Counter[str]) -> None:
        self.api, self.kubectl, self.asked = api, kubectl, asked
        self.woken: Counter[str] = Counter()
        assert kubectl.namespace is not None
        self.namespace = kubectl.namespace
        self.cache = JobCache(api, namespaces=[self.namespace], wake=lambda uid: self.woken.update([uid]))

    def sweep(self, name: str = "digits", **spec: Any) -> tuple[Host, ClusterWorld]:
        """A sweep as the API server has it, and its world."""
        document = make_spec(**spec).model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        kind = {"apiVersion": "hypersweep.dev/v1alpha1", "kind": "HyperparameterSweep", "metadata": {"name": name}}
        self.kubectl.apply({**kind, "spec": document})
        host = Host(self.kubectl.json("get", "hps", name))
        return host, self.world(host)

    def world(self, host: Host) -> ClusterWorld:
        return ClusterWorld(self.api, cache=self.cache, host=host, trainer_image="trainer:1")

    def jobs(self) -> list[dict[str, Any]]:
        return self.kubectl.json("get", "jobs")["items"]

    def events(self) -> list[dict[str, Any]]:
        return self.kubectl.json("get", "events.events.k8s.io", "--field-selector=reportingController!=x")["items"]


@asynccontextmanager
async def staged(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Stage]:
    """In a namespace of the control plane, which learns of the resource."""
    control_plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    control_plane.kubectl("wait", "--for=condition=Established", "crd/hyperparametersweeps.hypersweep.dev")
    asked: Counter[str] = Counter()
    api = await connect(
        str(control_plane.kubeconfig), observe=lambda verb, what, _, code: asked.update([f"{verb} {what} {code}"])
    )
    it = Stage(api, control_plane.kubectl.within(namespace), asked)
    running = asyncio.create_task(it.cache.run())
    try:
        async with asyncio.timeout(20):
            await it.cache.synced()
        yield it
        assert not running.done(), "the cache ended by itself"
    finally:
        running.cancel()
        await asyncio.wait([running])
        await api.close()
        await all_closed()


async def all_closed() -> None:
    """Wait until the connections of closed clients are closed too: TLS takes another round trip for that."""
    known = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]
    await until(lambda: not [t for t in known.values() if t._sock is not None], what="the connections to close")


async def becomes(world: ClusterWorld, phase: Phase, reason: str = "", *, seconds: float = 30.0) -> Attempt:
    """The world's only attempt, once it stands there."""

    def there() -> bool:
        return [(attempt.phase, attempt.reason) for attempt in world.attempts()] == [(phase, reason)]

    try:
        await until(there, what=f"{phase} {reason}", seconds=seconds)
    except TimeoutError as error:
        raise TimeoutError(f"{error}; attempts: {world.attempts()}") from None
    return world.attempts()[0]


async def launched(world: ClusterWorld, trial: Trial | None = None) -> None:
    await world.launch(trial or make_trial(0), tracking=Target())


def hold_to(stage: Stage, **hard: str) -> None:
    """Give the namespace a quota, and wait until it holds."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": hard}}
    stage.kubectl.apply(quota)
    in_force = ("get", "quota", "none", "-o", "jsonpath={.status.hard}")
    eventually(lambda: stage.kubectl(*in_force), what="the quota to hold")
