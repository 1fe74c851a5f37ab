"""/healthz, /readyz and /metrics. Alive means that loops make progress, not that the process answers."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


def application(*, ready: Callable[[], str], sick: Callable[[], str]) -> web.Application:
    """`ready` and `sick` answer with a reason: why it is not ready yet, why it should be restarted; empty when all is well."""

    async def healthz(_: web.Request) -> web.Response:
        return _verdict(sick())

    async def readyz(_: web.Request) -> web.Response:
        return _verdict(ready())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


def _verdict(trouble: str) -> web.Response:
    return web.Response(status=503 if trouble else 200, text=trouble or "ok")


async def serve(app: web.Application, *, port: int) -> web.AppRunner:
    """Listen on all addresses of the pod. Call `cleanup()` on what comes back."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
