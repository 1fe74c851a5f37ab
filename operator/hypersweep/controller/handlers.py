"""kopf feeds the custom resource's events, no more: the only file that knows kopf.

It writes nothing to objects, posts no Events, sets no finalizers; `on.event` rests on no bookkeeping of kopf's. kopf takes
itself for the owner of its event loop (it handles signals there, and at its end cancels every task), so it has a loop and a
thread of its own; each event is handed over to ours.
"""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

import kopf

from hypersweep.controller.registry import Registry
from hypersweep.core.errors import HyperSweepError
from hypersweep.core.spec import GROUP, PLURAL, VERSION


class WatchEnded(HyperSweepError):  # noqa: N818  (a state, not a mistake)
    """kopf's watch of sweeps is over. A new process is the cheap and certain way to get another."""


def settings() -> kopf.OperatorSettings:
    """kopf kept from everything that is not ours to have done: scanning (54 s of 403s), posting, killing the process."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True
    chosen.posting.enabled = False
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 360
    chosen.watching.connect_timeout = 10
    chosen.networking.request_timeout = 30
    chosen.process.ultimate_exiting_timeout = None
    return chosen


async def feed(registry: Registry, *, namespaces: Sequence[str]) -> NoReturn:
    """Watch sweeps in these namespaces (none: cluster-wide) and tell the registry, until cancelled.

    Raises:
        WatchEnded: kopf gave up.
    """
    loop, stop = asyncio.get_running_loop(), threading.Event()
    ended: asyncio.Future[BaseException | None] = loop.create_future()

    def tell(event: Any) -> None:
        if event["type"] == "DELETED":
            registry.gone(event["object"]["metadata"]["uid"])
        else:
            registry.seen(event["object"])

    def settle(error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(error)

    def work() -> None:
        error: BaseException | None = None
        try:
            asyncio.run(_watch(lambda event: loop.call_soon_threadsafe(tell, event), namespaces, stop))
        except Exception as caught:  # noqa: BLE001  (handed over, whatever it is)
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=work, name="kopf", daemon=True).start()
    try:
        error = await ended
    finally:
        stop.set()
    raise WatchEnded(f"the watch of sweeps ended: {error}") from error


async def _watch(tell: Any, namespaces: Sequence[str], stop: threading.Event) -> None:
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def sweep(event: Any, **_: Any) -> None:
        tell(event)

    await kopf.operator(
        registry=handlers,
        settings=settings(),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=list(namespaces),
        stop_flag=stop,
    )
