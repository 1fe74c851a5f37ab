"""A store in memory: fast tests of the engine and of the ledger's logic. It passes the stores' conformance suite.

`fail` and `requests` are for tests: every request is counted and may be told to fail, before or after it took effect.
"""

import asyncio
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from hypersweep.core.errors import TrackingNotFound, TrackingRefused
from hypersweep.tracking.base import RUNNING, Metric, Run, Version, check_texts, matches

# Called with (number of the request, verb, "before" or "after" its effect); raises to fail it.
Fail = Callable[[int, str, str], None]

T = TypeVar("T")
_TERM = re.compile(r"tags\.(\w+) = '([^']*)'")


class FakeModels:
    """Implements base.Models on a FakeStore's artifacts."""

    def __init__(self, store: "FakeStore") -> None:
        self._store = store
        self.registered: dict[str, list[tuple[str, Version]]] = {}  # by name: each version's run, and itself
        self.aliases: dict[tuple[str, str], str] = {}  # by name and alias: the version
        self.tags: dict[tuple[str, str], Mapping[str, str]] = {}  # by name and version

    async def files(self, run: Run, folder: str) -> list[str]:
        start = f"{folder}/"
        return await self._store.request(
            "files",
            lambda: [
                path.removeprefix(start)
                for owner, path in self._store.artifacts
                if owner == run.id and path.startswith(start)
            ],
        )

    async def versions(self, run: str) -> list[Version]:
        return await self._store.request(
            "versions", lambda: [v for pairs in self.registered.values() for owner, v in pairs if owner == run]
        )

    async def create(self, name: str, *, run: str, source: str, model: str, tags: Mapping[str, str]) -> Version:
        def made() -> Version:
            assert model in ("", *self._store.runs[run].models)
            pairs = self.registered.setdefault(name, [])
            version = Version(name=name, version=str(len(pairs) + 1), source=source)
            pairs.append((run, version))
            self.tags[name, version.version] = dict(tags)
            return version

        return await self._store.request("create_version", made)

    async def point(self, name: str, *, alias: str, version: str) -> None:
        await self._store.request("point", lambda: self.aliases.__setitem__((name, alias), version))


class FakeStore:
    """Implements base.Store on dictionaries."""

    uri = "memory://"
    down_since: float | None = None
    error = ""

    def __init__(self, *, clock: Callable[[], float] = lambda: 1_000_000.0) -> None:
        self.clock = clock
        self.fail: Fail = lambda _number, _verb, _when: None
        self.requests: list[str] = []
        self.experiments: dict[str, str] = {}
        self.deleted_experiments: set[str] = set()
        self.runs: dict[str, Run] = {}
        self.artifacts: dict[tuple[str, str], str] = {}  # by run and path
        self.points: dict[tuple[str, str], list[Metric]] = {}
        self.models = FakeModels(self)

    async def experiment(self, name: str) -> str:
        return await self.request("experiment", lambda: self._experiment(name))

    async def create_run(self, *, experiment: str, name: str, tags: Mapping[str, str], started: float) -> Run:
        check_texts(tags=tags)
        asked = Run(
            id="",
            experiment=experiment,
            status=RUNNING,
            started=_milliseconds(started),
            tags={**tags, "mlflow.runName": name},
        )
        return await self.request("create_run", lambda: self._create(asked))

    async def run(self, run: str) -> Run:
        return await self.request("run", lambda: self._get(run))

    async def search(self, *, experiment: str, tags: Mapping[str, str], limit: int | None = None) -> list[Run]:
        def found() -> list[Run]:
            runs = [r for r in self.runs.values() if r.experiment == experiment and not r.deleted and matches(r, tags)]
            return sorted(runs, key=lambda run: (run.started, run.id))[:limit]

        return await self.request("search", found)

    async def find(self, *, experiment: str, where: str, limit: int) -> list[Run] | None:
        return await self.request("find", lambda: self._find(experiment, where, limit))

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
        await self.request("log", lambda: self._log(run, params or {}, tags or {}, metrics or {}, step))

    async def finish(self, run: str, *, status: str, ended: float | None = None) -> None:
        def done() -> None:
            found = self._active(run)
            self.runs[run] = replace(found, status=status, ended=found.ended if ended is None else _milliseconds(ended))

        await self.request("finish", done)

    async def curve(self, run: str, metric: str) -> Sequence[Metric]:
        return await self.request("curve", lambda: self._curve(run, metric))

    async def artifact(self, run: Run, path: str, text: str) -> None:
        await self.request("artifact", lambda: self.artifacts.__setitem__((self._active(run.id).id, path), text))

    async def close(self) -> None:
        return

    async def request(self, verb: str, effect: Callable[[], T]) -> T:
        number = len(self.requests)
        self.requests.append(verb)
        await asyncio.sleep(0)
        self.fail(number, verb, "before")
        answer = effect()
        self.fail(number, verb, "after")
        return answer

    # ---- for tests ---------------------------------------------------------------------------------------------------

    def delete(self, run: str) -> None:
        """As a person does in MLflow's pages."""
        self.runs[run] = replace(self.runs[run], deleted=True)

    # ---- within ------------------------------------------------------------------------------------------------------

    def _experiment(self, name: str) -> str:
        found = self.experiments.setdefault(name, str(len(self.experiments) + 1))
        if found in self.deleted_experiments:
            raise TrackingRefused(f'the experiment "{name}" is deleted')
        return found

    def _find(self, name: str, where: str, limit: int) -> list[Run] | None:
        """Of MLflow's language it knows `tags.a = 'b' and …`."""
        experiment = self.experiments.get(name)
        if experiment is None or experiment in self.deleted_experiments:
            return None
        terms = [_TERM.fullmatch(term) for term in where.split(" and ")] if where else []
        if None in terms:
            raise TrackingRefused(f"invalid filter: {where}")
        tags = {term[1]: term[2] for term in terms if term is not None}
        runs = [r for r in self.runs.values() if r.experiment == experiment and not r.deleted and matches(r, tags)]
        return sorted(runs, key=lambda run: (-run.started, run.id))[:limit]

    def _create(self, run: Run) -> Run:
        if run.experiment not in self.experiments.values():
            raise TrackingNotFound(f"no experiment {run.experiment}")
        if run.experiment in self.deleted_experiments:
            raise TrackingRefused(f"experiment {run.experiment} is deleted")
        name = uuid.uuid5(
            uuid.NAMESPACE_OID, f"run {len(self.runs)}"
        ).hex  # in no order, and the same whenever it is repeated
        self.runs[name] = made = replace(run, id=name)
        return made

    def _get(self, run: str) -> Run:
        if run not in self.runs:
            raise TrackingNotFound(f"no run {run}")
        return self.runs[run]

    def _active(self, run: str) -> Run:
        found = self._get(run)
        if found.deleted:
            raise TrackingRefused(f"run {run} is deleted")
        return found

    def _log(
        self, run: str, params: Mapping[str, str], tags: Mapping[str, str], metrics: Mapping[str, float], step: int
    ) -> None:
        found = self._active(run)
        for key, value in params.items():
            if found.params.get(key, value) != value:
                raise TrackingRefused(f"param {key} is {found.params[key]} already")
        points = {key: Metric(value=value, step=step, timestamp=self.clock()) for key, value in metrics.items()}
        for key, point in points.items():
            self.points.setdefault((run, key), []).append(point)
        latest = {key: max(self._curve(run, key), key=lambda p: (p.step, p.timestamp)) for key in points}
        self.runs[run] = replace(
            found, params={**found.params, **params}, tags={**found.tags, **tags}, metrics={**found.metrics, **latest}
        )

    def _curve(self, run: str, metric: str) -> list[Metric]:
        return sorted(self.points.get((run, metric), []), key=lambda point: (point.step, point.timestamp))


def _milliseconds(seconds: float) -> float:
    """Times as MLflow keeps them."""
    return round(seconds * 1000) / 1000
