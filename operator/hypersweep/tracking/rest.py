"""MLflow's REST API 2.0 by aiohttp: the operator's adapter. No mlflow package, no retries, no redirects.

Owns the transport: at most `limit` requests in flight per server, a total time for each, a breaker, credentials that may
rotate, and the reading of failures. Who is asked to try again is the loop. A redirect is refused with its target in the
message, so that credentials never travel to a host that nobody configured.
"""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from hypersweep import __version__
from hypersweep.core.errors import TrackingNotFound, TrackingRefused, TrackingUnavailable
from hypersweep.tracking import answers, wire
from hypersweep.tracking.base import DeletedExperiment, Metric, Run, check_texts, filter_string, matches
from hypersweep.tracking.breaker import Breaker
from hypersweep.tracking.rest_models import RestModels

CONNECT = 3.0  # seconds
KEEP_ALIVE = 4.0  # seconds; uvicorn closes an idle connection after 5
RUNS_A_PAGE = 1000
POINTS_A_PAGE = 10_000

Observe = Callable[[str, float, bool], None]  # verb, seconds, whether MLflow answered as it should


class RestStore:
    """A tracking server at `uri`. Implements base.Store.

    Args:
        uri: http(s) address without credentials.
        auth: a directory with `token`, or `username` and `password`; read anew for each request, since they rotate.
        timeout: seconds for one request, from its start on the wire (waiting for a free slot not included).
        limit: requests in flight at a time.
        observe: told of each request, for metrics.
    """

    def __init__(
        self,
        uri: str,
        *,
        auth: Path | None = None,
        timeout: float = 10.0,
        limit: int = 4,
        observe: Observe | None = None,
    ) -> None:
        self.uri = address(uri)
        self._auth, self._observe = auth, observe
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT)
        self._slots = asyncio.Semaphore(limit)
        self._limit = limit
        self._breaker = Breaker()
        self._session: aiohttp.ClientSession | None = None
        self.models = RestModels(self._call)

    @property
    def down_since(self) -> float | None:
        return self._breaker.down_since

    @property
    def error(self) -> str:
        return self._breaker.error

    # ---- the verbs ---------------------------------------------------------------------------------------------------

    async def experiment(self, name: str) -> str:
        try:
            return await self._experiment(name)
        except TrackingNotFound:
            pass
        try:
            made = await self._call("create_experiment", "POST", "experiments/create", {"name": name})
            return str(answers.field(made, "experiment_id"))
        except TrackingNotFound:
            raise
        except TrackingRefused:  # someone else was faster, or the name is not allowed: then this says so again
            try:
                return await self._experiment(name)
            except TrackingNotFound:
                pass
            raise

    async def create_run(self, *, experiment: str, name: str, tags: Mapping[str, str], started: float) -> Run:
        check_texts(tags=tags)
        body = {
            "experiment_id": experiment,
            "run_name": name,
            "start_time": wire.milliseconds(started),
            "tags": wire.pairs(tags),
        }
        return answers.run(answers.field(await self._call("create_run", "POST", "runs/create", body), "run"))

    async def run(self, run: str) -> Run:
        return answers.run(answers.field(await self._call("get_run", "GET", "runs/get", {"run_id": run}), "run"))

    async def search(self, *, experiment: str, tags: Mapping[str, str], limit: int | None = None) -> list[Run]:
        found: list[Run] = []
        body: dict[str, Any] = {
            "experiment_ids": [experiment],
            "filter": filter_string(tags),
            "run_view_type": "ACTIVE_ONLY",
            "order_by": ["attributes.start_time ASC"],
            "max_results": RUNS_A_PAGE if limit is None else min(limit, RUNS_A_PAGE),
        }
        while limit is None or len(found) < limit:
            page = await self._call("search_runs", "POST", "runs/search", body)
            found += [run for run in map(answers.run, page.get("runs", ())) if matches(run, tags)]
            if not page.get("next_page_token"):
                break
            body["page_token"] = page["next_page_token"]
        return sorted(found, key=lambda run: (run.started, run.id))[:limit]

    async def find(self, *, experiment: str, where: str, limit: int) -> list[Run] | None:
        try:
            wanted = await self._experiment(experiment)
        except (TrackingNotFound, DeletedExperiment):
            return None
        found: list[Run] = []
        body: dict[str, Any] = {
            "experiment_ids": [wanted],
            "filter": where,
            "run_view_type": "ACTIVE_ONLY",
            "order_by": ["attributes.start_time DESC", "attributes.run_id ASC"],
        }
        while len(found) < limit:
            body["max_results"] = min(limit - len(found), RUNS_A_PAGE)
            page = await self._call("search_runs", "POST", "runs/search", body)
            found += map(answers.run, page.get("runs", ()))
            if not page.get("next_page_token"):
                break
            body["page_token"] = page["next_page_token"]
        return found

    async def log(
        self,
        run: str,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
    ) -> None:
        check_texts(params=params, tags=tags)
        now = wire.milliseconds(time.time())
        points = [
            {"key": key, "value": wire.number_to_wire(value), "timestamp": now, "step": step}
            for key, value in (metrics or {}).items()
        ]
        body = {"run_id": run, "params": wire.pairs(params), "tags": wire.pairs(tags), "metrics": points}
        await self._call("log_batch", "POST", "runs/log-batch", body)

    async def finish(self, run: str, *, status: str, ended: float | None = None) -> None:
        body: dict[str, Any] = {"run_id": run, "status": status}
        if ended is not None:
            body["end_time"] = wire.milliseconds(ended)
        await self._call("update_run", "POST", "runs/update", body)

    async def curve(self, run: str, metric: str) -> Sequence[Metric]:
        points: list[Metric] = []
        query: dict[str, Any] = {"run_id": run, "metric_key": metric, "max_results": POINTS_A_PAGE}
        while True:
            page = await self._call("get_metric_history", "GET", "metrics/get-history", query)
            points += map(answers.metric, page.get("metrics", ()))
            if not page.get("next_page_token"):
                return sorted(points, key=lambda point: (point.step, point.timestamp))
            query["page_token"] = page["next_page_token"]

    async def artifact(self, run: Run, path: str, text: str) -> None:
        """By MLflow's server, if that keeps them: with no other store do credentials of ours have to do.

        Past the breaker: a bucket that cannot be written must not make the server look down.
        """
        place = urlsplit(run.artifacts)
        if place.scheme != "mlflow-artifacts" or place.netloc:
            where = f"{place.scheme}://{place.hostname or ''}" if place.scheme else "a folder of the server"
            raise TrackingRefused(f"its artifacts are in {where}: only those that MLflow's server keeps can be written")
        url = f"{self.uri}/api/2.0/mlflow-artifacts/artifacts/{place.path.strip('/')}/{path}"
        async with self._slots:
            await self._observed("put_artifact", self._exchange("PUT", url, silent=True, data=text.encode()))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # ---- the transport -----------------------------------------------------------------------------------------------

    async def _experiment(self, name: str) -> str:
        query = {"experiment_name": name}
        found = answers.field(await self._call("get_experiment", "GET", "experiments/get-by-name", query), "experiment")
        if found.get("lifecycle_stage") == "deleted":
            raise DeletedExperiment(name)
        return str(answers.field(found, "experiment_id"))

    async def _call(
        self, verb: str, method: str, path: str, content: Mapping[str, Any], *, unguarded: bool = False
    ) -> dict[str, Any]:
        """One request, when a slot is free and the breaker lets it pass (`unguarded`: it is not asked, nor told)."""
        async with self._slots:
            if unguarded:
                return await self._observed(verb, self._send(method, path, content))
            try:
                with self._breaker.guard():
                    return await self._observed(verb, self._send(method, path, content))
            except answers.Denied as error:
                self._breaker.note(str(error))
                raise

    async def _observed(self, verb: str, request: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        begun, answered = time.perf_counter(), False
        try:
            answer = await request
            answered = True
            return answer
        finally:
            if self._observe is not None:
                self._observe(verb, time.perf_counter() - begun, answered)

    async def _send(self, method: str, path: str, content: Mapping[str, Any]) -> dict[str, Any]:
        sent: dict[str, Any] = {"params": content} if method == "GET" else {"json": content}
        return await self._exchange(method, f"{self.uri}/api/2.0/mlflow/{path}", **sent)

    async def _exchange(self, method: str, url: str, *, silent: bool = False, **sent: Any) -> dict[str, Any]:
        try:
            async with self._open().request(
                method, url, headers=self._credentials(), allow_redirects=False, timeout=self._timeout, **sent
            ) as response:
                text = (await response.read()).decode(errors="replace")
                location = response.headers.get("Location", "")
                return answers.read(response.status, text, location=location, silent=silent)
        except TimeoutError:
            raise TrackingUnavailable(f"no answer within {self._timeout.total:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise TrackingUnavailable(str(error) or type(error).__name__) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._limit, keepalive_timeout=KEEP_ALIVE)
            agent = {"User-Agent": f"hypersweep/{__version__}"}
            self._session = aiohttp.ClientSession(connector=connector, headers=agent)
        return self._session

    def _credentials(self) -> dict[str, str]:
        if self._auth is None:
            return {}
        try:
            if (self._auth / "token").exists():
                return {"Authorization": f"Bearer {_one_line(_secret(self._auth / 'token'))}"}
            pair = f"{_secret(self._auth / 'username')}:{_secret(self._auth / 'password')}"
        except (OSError, ValueError) as error:
            raise TrackingUnavailable(f"the credentials cannot be read: {error}") from None
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def address(uri: str) -> str:
    """The URI of a tracking server, as it is asked. ValueError: it is none."""
    parsed = URL(uri)  # which says what is wrong with a port
    if parsed.user is not None or parsed.password is not None:
        raise ValueError("a tracking server's URI carries no credentials: they belong into files")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"found {uri!r}; a tracking server's URI is http://HOST[:PORT] or https://…")
    return uri.rstrip("/")


def _secret(path: Path) -> str:
    """A file's text, without the newline that editors and echo leave at its end."""
    return path.read_text().strip()


def _one_line(token: str) -> str:
    """The token as a header bears it. ValueError: it does not."""
    if any(character < " " or character == "\x7f" for character in token):
        raise ValueError("the token holds a line break, or another control character")
    return token
