"""The operator's process: configuration, leadership, caches, health, and a loop for each sweep that exists.

Owns the order in which these begin and end. SIGTERM ends it within seconds: loops are cancelled, the lease is let go.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kubernetes.aio.client import ApiClient

from hypersweep import __version__
from hypersweep.cluster.cache import JobCache
from hypersweep.cluster.client import ApiError, connect, request
from hypersweep.cluster.lease import LeadershipLost, Lease, leadership
from hypersweep.cluster.world import ClusterWorld
from hypersweep.controller import handlers, health, logs, metrics
from hypersweep.controller.config import Config, TrackingServer
from hypersweep.controller.host import Source
from hypersweep.controller.loop import SweepLoop
from hypersweep.controller.registry import Registry
from hypersweep.core.admission import check
from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.manifest import parse
from hypersweep.core.reuse import DIGEST, not_pinned
from hypersweep.core.spec import GROUP, PLURAL, VERSION, SweepSpec
from hypersweep.tracking.ledger import Identity, Ledger, Owner, search_hash
from hypersweep.tracking.rest import RestStore

log = logging.getLogger(__name__)

RESYNC = 300.0  # seconds between full lists of sweeps: a relist of the watch does not tell what was deleted meanwhile
EXIT_LOST = 3
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Stores:
    """One connection per tracking server, whoever uses it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stores: dict[str, RestStore] = {}

    def of(self, server: TrackingServer) -> RestStore:
        if server.name not in self._stores:
            self._stores[server.name] = RestStore(server.uri, auth=server.credentials, observe=metrics.observe_tracking)
        return self._stores[server.name]

    async def close(self) -> None:
        for store in self._stores.values():
            await store.close()


class ClusterHost:
    """What a sweep's loop asks of the cluster."""

    def __init__(
        self,
        body: Mapping[str, Any],
        *,
        api: ApiClient,
        cache: JobCache,
        config: Config,
        stores: Stores,
        installation: str,
        alive: Callable[[str], bool],
    ) -> None:
        self.body = body
        self._config, self._stores, self.alive = config, stores, alive
        meta = body["metadata"]
        self.namespace, self.name = meta["namespace"], meta["name"]
        self.owner = Owner(operator=installation, sweep=meta["uid"])
        self._parsed: tuple[int, SweepSpec] | None = None
        self.world = ClusterWorld(api, cache=cache, host=self, trainer_image=config.trainer_image)

    @property
    def spec(self) -> SweepSpec:
        """The newest generation's spec, parsed once. SpecError when it can't be."""
        generation = self.body["metadata"]["generation"]
        if self._parsed is None or self._parsed[0] != generation:
            self._parsed = (generation, parse(self.body)[1])
        return self._parsed[1]

    def see(self, body: Mapping[str, Any]) -> bool:
        """A newer copy of the object. True when the loop should look at it: not for our own writes of the status."""
        old = self.body
        if int(body["metadata"]["resourceVersion"]) < int(old["metadata"]["resourceVersion"]):
            return False  # the watch is behind what our own write was answered with
        self.body = body
        return bool(old["metadata"].get("generation") != body["metadata"].get("generation"))

    def source(self) -> Source:
        return Source(generation=self.body["metadata"]["generation"], status=self.body.get("status") or {})

    def admit(self) -> SweepSpec:
        spec = self.spec
        problems = check(self.body["metadata"], spec)
        if problems:
            raise SpecError(problems)
        if problems := self._server(spec).forbidden(spec, self.namespace):
            raise SpecError(problems)
        if spec.reuse is not None and spec.trainer is not None and DIGEST not in self._config.trainer_image:
            raise SpecError(
                [Problem("spec.reuse", f"the built-in trainer's: {not_pinned(self._config.trainer_image)}")]
            )
        return spec

    def _server(self, spec: SweepSpec) -> TrackingServer:
        return self._config.server(spec.tracking.server, self.namespace)

    @property
    def ui(self) -> str:
        server = self._server(self.spec)
        return server.ui_uri or server.uri

    @property
    def trial_uri(self) -> str:
        server = self._server(self.spec)
        return server.trial_uri or server.uri

    def identity(self, spec: SweepSpec) -> Identity:
        """The sweep's identity in the ledger: the object's name, unless the spec gives another."""
        own = f"{self.namespace}/{self.name}"
        return Identity(
            sweep=spec.tracking.sweep or own, search=search_hash(spec), experiment=spec.tracking.experiment or own
        )

    def ledger(self, spec: SweepSpec) -> Ledger:
        return Ledger(
            self._stores.of(self._server(spec)), self.identity(spec), lineage={"hypersweep.version": __version__}
        )


def run(config: Config) -> int:
    """Run until SIGTERM (0), or until something is lost that a new process gets back (3)."""
    logs.configure(form=config.log_format)
    code = 0
    try:
        asyncio.run(_main(config))
    except* (LeadershipLost, handlers.WatchEnded) as errors:
        for error in errors.exceptions:
            log.error("%s", error)  # noqa: TRY400  (no traceback: it is no mistake)
        code = EXIT_LOST
    return code


def watched(config: Config) -> Sequence[str]:
    """The namespaces to watch; empty: all of them."""
    if config.namespaces == ("*",):
        return ()
    return config.namespaces or (own_namespace(),)


def own_namespace() -> str:
    """The namespace that this process runs in."""
    if "POD_NAMESPACE" in os.environ:
        return os.environ["POD_NAMESPACE"]
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"


async def _main(config: Config) -> None:
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    api = await connect(observe=metrics.observe_api)
    try:
        async with _serving(config, stop) as parts:
            await _lead(config, api, stop, parts)
    finally:
        await api.close()


class _Parts:
    """What the probes ask about, as it comes into being."""

    def __init__(self) -> None:
        self.waiting_for = "the API server"
        self.registry: Registry | None = None

    def sick(self) -> str:
        stuck = self.registry.stuck() if self.registry else []
        return f"no progress: {', '.join(stuck)}" if stuck else ""


@contextlib.asynccontextmanager
async def _serving(config: Config, stop: asyncio.Event) -> AsyncIterator[_Parts]:
    parts = _Parts()
    runner = await health.serve(health.application(ready=lambda: parts.waiting_for, sick=parts.sick), port=config.port)
    try:
        yield parts
    finally:
        stop.set()
        await runner.cleanup()


async def _lead(config: Config, api: ApiClient, stop: asyncio.Event, parts: _Parts) -> None:
    """Wait for leadership in every watched namespace, then run the sweeps in them."""
    namespaces = watched(config)
    identity = os.environ.get("POD_UID") or f"{os.environ.get('POD_NAME', 'process')}-{os.getpid()}"
    leases = [Lease(api, namespace=n, identity=identity) for n in namespaces or (own_namespace(),)]
    leading = asyncio.create_task(_run_sweeps(config, api, leases, parts))
    stopping = asyncio.create_task(stop.wait())
    parts.waiting_for = ""  # a standby is ready: it has nothing to serve, and a rollout must not wait for the lease
    await asyncio.wait({leading, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not leading.done():
        leading.cancel()
    try:
        await leading
    except asyncio.CancelledError:
        log.info("stopped")


async def _run_sweeps(config: Config, api: ApiClient, leases: Sequence[Lease], parts: _Parts) -> None:
    namespaces = watched(config)
    async with leadership(leases, on_lost=_leave_soon):
        metrics.LEADER.set(1)
        log.info("leading in %s", ", ".join(namespaces) or "all namespaces")
        stores = Stores(config)
        installation = leases[0].uid
        cache = JobCache(api, namespaces=namespaces, wake=lambda uid: registry.wake(uid))  # noqa: PLW0108  (it comes next)

        def start(body: Mapping[str, Any]) -> tuple[SweepLoop, Callable[[Mapping[str, Any]], bool]]:
            host = ClusterHost(
                body,
                api=api,
                cache=cache,
                config=config,
                stores=stores,
                installation=installation,
                alive=registry.alive,
            )
            return SweepLoop(host, observer=metrics.Observer()), host.see

        registry = parts.registry = Registry(start)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(cache.run())
                await cache.synced()
                group.create_task(handlers.feed(registry, namespaces=namespaces))
                group.create_task(_resync(api, registry, namespaces))
        finally:
            await registry.close()
            await stores.close()
            metrics.LEADER.set(0)


async def _resync(api: ApiClient, registry: Registry, namespaces: Sequence[str]) -> None:
    while True:
        await asyncio.sleep(RESYNC)
        for namespace in namespaces or ("",):
            place = f"namespaces/{namespace}/" if namespace else ""
            try:
                answer = await request(api, "GET", f"/apis/{GROUP}/{VERSION}/{place}{PLURAL}")
            except ApiError as error:
                log.warning("sweeps could not be listed: %s", error)
                continue
            registry.resync(answer["items"], namespaces=frozenset({namespace}) if namespace else None)


def _leave_soon() -> None:
    """The lease is lost: whatever hangs, this process is gone before another acts."""
    log.error("the lease is lost")
    asyncio.get_running_loop().call_later(4.0, os._exit, EXIT_LOST)
