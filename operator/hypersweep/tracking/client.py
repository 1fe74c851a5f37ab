"""MLflow's own Python client as a store: for local runs, above all on SQLite.

Owns one worker thread, so that the process is the one writer that SQLite likes, and the database's initialisation, which
crashes when several processes do it at once. mlflow is imported in that thread, when first needed: it takes seconds.
"""

import asyncio
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from hypersweep.core.errors import TrackingError, TrackingNotFound, TrackingRefused, TrackingUnavailable
from hypersweep.tracking import answers, wire
from hypersweep.tracking.base import DeletedExperiment, Metric, Run, check_texts, filter_string, matches
from hypersweep.tracking.client_models import ClientModels
from hypersweep.tracking.worker import Worker

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

INITIALISATION = 300.0  # seconds: importing mlflow takes 3, on a machine under load a hundred
RUNS_A_PAGE = 1000
# What of MLflow's error codes passes by itself. ENDPOINT_NOT_FOUND: a 404 that is not MLflow's, see answers.py.
TRANSIENT_CODES = {
    "INTERNAL_ERROR",
    "TEMPORARILY_UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "ENDPOINT_NOT_FOUND",
}


class ClientStore:
    """A tracking server or database at `uri` (sqlite:///…, postgresql://…, http://…). Implements base.Store.

    A call that takes longer than `timeout` seconds is TrackingUnavailable; the thread goes on with it, and later calls
    wait their turn for at most as long. MLflow itself retries HTTP for minutes: for a server prefer rest.RestStore.
    """

    def __init__(self, uri: str, *, timeout: float = 10.0) -> None:
        self.uri = uri
        self._timeout = timeout
        self._worker = Worker("mlflow")
        self._client: MlflowClient | None = None
        self._down_since: float | None = None
        self._error = ""
        self.models = ClientModels(self._call)

    @property
    def down_since(self) -> float | None:
        return self._down_since

    @property
    def error(self) -> str:
        return self._error

    async def migrate(self) -> None:
        """Make the database and its tables where there are none, one process at a time. Takes seconds.

        TrackingUnavailable or TrackingRefused when that fails; an older MLflow's tables are left to `mlflow db upgrade`.
        """
        await self._call(lambda _client: None)

    # ---- the verbs ---------------------------------------------------------------------------------------------------

    async def experiment(self, name: str) -> str:
        return await self._call(lambda client: _experiment(client, name))

    async def experiments(self) -> dict[str, str]:
        """The ids of all active experiments, by name."""
        return await self._call(_experiments)

    async def create_run(self, *, experiment: str, name: str, tags: Mapping[str, str], started: float) -> Run:
        check_texts(tags=tags)
        return _run(
            await self._call(
                lambda client: client.create_run(
                    experiment, start_time=wire.milliseconds(started), tags=dict(tags), run_name=name
                )
            )
        )

    async def run(self, run: str) -> Run:
        return _run(await self._call(lambda client: client.get_run(run)))

    async def search(self, *, experiment: str, tags: Mapping[str, str], limit: int | None = None) -> list[Run]:
        found: list[Run] = []
        page: Any = None
        while limit is None or len(found) < limit:
            size = RUNS_A_PAGE if limit is None else min(limit, RUNS_A_PAGE)
            page = await self._call(_search, experiment, tags, size, page.token if page else None)
            found += [run for run in map(_run, page) if matches(run, tags)]
            if not page.token:
                break
        return sorted(found, key=lambda run: (run.started, run.id))[:limit]

    async def find(self, *, experiment: str, where: str, limit: int) -> list[Run] | None:
        wanted = await self._call(_active, experiment)
        if wanted is None:
            return None
        found: list[Run] = []
        page: Any = None
        while len(found) < limit:
            size = min(limit - len(found), RUNS_A_PAGE)
            page = await self._call(_newest, wanted, where, size, page.token if page else None)
            found += map(_run, page)
            if not page.token:
                break
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
        await self._call(
            lambda client: _log(client, run, params=params or {}, tags=tags or {}, metrics=metrics or {}, step=step)
        )

    async def finish(self, run: str, *, status: str, ended: float | None = None) -> None:
        if ended is None:
            await self._call(lambda client: client.update_run(run, status=status))
        else:
            await self._call(
                lambda client: client.set_terminated(run, status=status, end_time=wire.milliseconds(ended))
            )

    async def curve(self, run: str, metric: str) -> Sequence[Metric]:
        points = [
            Metric(value=wire.number(point.value), step=point.step, timestamp=point.timestamp / 1000)
            for point in await self._call(lambda client: client.get_metric_history(run, metric))
        ]
        return sorted(points, key=lambda point: (point.step, point.timestamp))

    async def artifact(self, run: Run, path: str, text: str) -> None:
        await self._call(lambda client: _artifact(client, run.id, path, text))

    async def close(self) -> None:
        self._worker.stop()

    # ---- the thread --------------------------------------------------------------------------------------------------

    async def _call(self, work: Callable[..., T], *given: Any) -> T:
        """`work(client, *given)` in the thread. Whatever MLflow or its database raise becomes one of our errors."""
        limit = self._timeout if self._client is not None else INITIALISATION
        try:
            async with asyncio.timeout(limit):
                answer: T = await asyncio.wrap_future(self._worker.submit(lambda: self._work(work, given)))
        except TimeoutError:
            self._failed(failure := TrackingUnavailable(f"no answer within {limit:g} s"))
            raise failure from None
        except TrackingUnavailable as error:
            self._failed(error)
            raise
        except TrackingRefused:
            self._down_since, self._error = None, ""
            raise
        self._down_since, self._error = None, ""
        return answer

    def _work(self, work: Callable[..., T], given: tuple[Any, ...]) -> T:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415  (seconds)
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

        try:
            if self._client is None:
                self._client = _connected(self.uri)
            return work(self._client, *given)
        except MlflowException as error:
            raise _translated(error) from None
        except (SQLAlchemyError, OSError) as error:
            raise TrackingUnavailable(str(error)) from None
        except ImportError as error:
            raise TrackingRefused(f"a package that this address needs is not installed here: {error}") from None

    def _failed(self, error: TrackingUnavailable) -> None:
        self._down_since = self._down_since or time.time()
        self._error = str(error)


def _connected(uri: str) -> "MlflowClient":
    """MLflow's client. Making it makes the tables of a database that has none: on SQLite while no other process does."""
    from mlflow import MlflowClient  # noqa: PLC0415  (seconds)
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    # Else it writes two lines to our stdout for every run that ends on a server. Trials inherit it: their links go, too.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    with _alone(uri):
        try:
            client = MlflowClient(tracking_uri=uri)
            if urlsplit(uri).scheme not in ("http", "https"):
                client.search_experiments(max_results=1)  # databases other than SQLite are opened only now
            return client
        except MlflowException as error:
            if "out-of-date database schema" in error.message:  # MLflow has no code of its own for it
                raise TrackingRefused(error.message) from None
            raise


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Hold the lock file beside a SQLite database, making its folder if need be."""
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file is closed, or the process dies
        yield


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite database; None: it is another kind of store."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix).partition("?")[0]) if uri.startswith(prefix) and uri != prefix else None


def _experiment(client: "MlflowClient", name: str) -> str:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:  # someone else was faster; or it cannot be made
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise DeletedExperiment(name)
    return str(found.experiment_id)


def _experiments(client: "MlflowClient") -> dict[str, str]:
    found, page = dict[str, str](), None
    while True:
        page = client.search_experiments(max_results=RUNS_A_PAGE, page_token=page)
        found |= {e.name: str(e.experiment_id) for e in page}
        if not (page := page.token):
            return found


def _search(client: "MlflowClient", experiment: str, tags: Mapping[str, str], size: int, token: str | None) -> Any:
    return client.search_runs(
        [experiment], filter_string(tags), max_results=size, order_by=["attributes.start_time ASC"], page_token=token
    )


def _active(client: "MlflowClient", experiment: str) -> str | None:
    """Id of the experiment of that name, unless it is deleted."""
    found = client.get_experiment_by_name(experiment)
    return None if found is None or found.lifecycle_stage == "deleted" else str(found.experiment_id)


def _newest(client: "MlflowClient", experiment: str, where: str, size: int, token: str | None) -> Any:
    order = ["attributes.start_time DESC", "attributes.run_id ASC"]
    return client.search_runs([experiment], where, max_results=size, order_by=order, page_token=token)


def _log(
    client: "MlflowClient",
    run: str,
    *,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    step: int,
) -> None:
    from mlflow.entities import Metric as Point  # noqa: PLC0415
    from mlflow.entities import Param, RunTag  # noqa: PLC0415

    now = wire.milliseconds(time.time())
    client.log_batch(
        run,
        metrics=[Point(key, value, now, step) for key, value in metrics.items()],
        params=[Param(key, value) for key, value in params.items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
        synchronous=True,
    )


def _artifact(client: "MlflowClient", run: str, path: str, text: str) -> None:
    """By way of MLflow's own drivers, which raise whatever theirs do: a missing package, refused credentials, a full disk."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        client.log_text(run, text, path)
    except MlflowException:
        raise
    except Exception as error:  # noqa: BLE001
        raise TrackingRefused(f"{type(error).__name__}: {answers.shown(str(error))}") from None


def _run(run: Any) -> Run:
    """By way of MLflow's own JSON: its entity hides the steps of metrics, and one reader serves both adapters."""
    from mlflow.utils.proto_json_utils import message_to_json  # noqa: PLC0415

    return wire.run(json.loads(message_to_json(run.to_proto())))


def _translated(error: Any) -> TrackingError:
    """Our error for an MlflowException."""
    message = answers.shown(f"{error.error_code} {error.message}")
    if error.error_code in TRANSIENT_CODES or any(sign in error.message for sign in answers.TRANSIENT_MESSAGES):
        return TrackingUnavailable(message)
    if error.error_code == "RESOURCE_DOES_NOT_EXIST":
        return TrackingNotFound(message)
    return TrackingRefused(message)
