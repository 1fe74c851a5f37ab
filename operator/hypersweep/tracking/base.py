"""What HyperSweep asks of MLflow: a narrow protocol with two adapters (rest.py, client.py) and one conformance suite.

Owns the shapes and the contract; knows nothing of sweeps. Errors: TrackingUnavailable (try later), TrackingRefused,
TrackingNotFound; no other exception leaves an adapter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hypersweep.core.errors import TrackingRefused

RUNNING, FINISHED, FAILED, KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"

# MLflow's limits. Beyond them it cuts a text in silence (log-batch), or answers 400 or 500, as its database likes.
TAG_LIMIT = 8000  # characters of a tag's value
PARAM_LIMIT = 6000  # characters of a param's value


class DeletedExperiment(TrackingRefused):
    """The experiment of that name is in MLflow's trash, which keeps its name taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f'the experiment "{name}" is deleted in MLflow: restore it, or name another')


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A point of a metric's curve. `value` may be NaN or ±inf (MLflow's ±1.797e308 is read as ±inf)."""

    value: float
    step: int
    timestamp: float  # seconds since the epoch


@dataclass(frozen=True, kw_only=True)
class Run:
    """One MLflow run. `metrics` holds each metric's point at its highest step. Times are seconds since the epoch."""

    id: str
    experiment: str
    status: str
    started: float
    ended: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    deleted: bool = False
    artifacts: str = ""  # URI of the place where its files are
    models: tuple[str, ...] = ()  # ids of the models that MLflow 3 keeps beside its files, in the order of their steps


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a registered model."""

    name: str
    version: str  # a whole number, as text
    source: str  # URI of the model


class Models(Protocol):
    """The verbs of MLflow's registry of models, and the one that finds a run's files. Each is one request, or a page of them."""

    async def files(self, run: Run, folder: str) -> list[str]:
        """Names of what is in a folder of the run's artifacts; none: there is no such folder.

        As with `artifact`, no failure of it tells of the server.
        """
        ...

    async def versions(self, run: str) -> list[Version]:
        """The versions that were made of this run, of whatever name, oldest first."""
        ...

    async def create(self, name: str, *, run: str, source: str, model: str, tags: Mapping[str, str]) -> Version:
        """A new version of the model of that name, which is made when absent.

        `model`: the id of one of `Run.models`, where that is the source; else empty.
        """
        ...

    async def point(self, name: str, *, alias: str, version: str) -> None:
        """Set the alias to that version, in place of another."""
        ...


class Store(Protocol):
    """The verbs of MLflow that the ledger is built on. Each request ends within its adapter's timeout (10 s)."""

    uri: str

    @property
    def models(self) -> Models:
        """The same server's registry of models."""
        ...

    @property
    def down_since(self) -> float | None:
        """When the server's present failure began, in seconds since the epoch; None while it answers."""
        ...

    @property
    def error(self) -> str:
        """What the last failed request met; empty while the server answers."""
        ...

    async def experiment(self, name: str) -> str:
        """Id of the experiment of that name, made when absent (safe when two make it at once). A deleted one: TrackingRefused."""
        ...

    async def create_run(self, *, experiment: str, name: str, tags: Mapping[str, str], started: float) -> Run:
        """A new RUNNING run with these tags, in one request."""
        ...

    async def run(self, run: str) -> Run:
        """One run, deleted or not. TrackingNotFound when there is none."""
        ...

    async def search(self, *, experiment: str, tags: Mapping[str, str], limit: int | None = None) -> list[Run]:
        """Active runs whose tags equal all of these, oldest first, paged inside (1,000 a page)."""
        ...

    async def find(self, *, experiment: str, where: str, limit: int) -> list[Run] | None:
        """Active runs of the experiment of that *name*, newest first, that a person's filter (MLflow's language) lets through.

        None: there is no such experiment, or it is deleted; none is made. TrackingRefused: the filter says nothing.
        """
        ...

    async def log(
        self,
        run: str,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
    ) -> None:
        """Params, tags and metrics in one request; all tags of it at once or none, and after the params.

        TrackingRefused: a param that has another value already, a text beyond MLflow's limits, a deleted run.
        """
        ...

    async def finish(self, run: str, *, status: str, ended: float | None = None) -> None:
        """Set the run's status (RUNNING reopens it) and end time."""
        ...

    async def curve(self, run: str, metric: str) -> Sequence[Metric]:
        """All points of a metric, by step, then time; none when it was never logged, or there is no such run. Paged inside."""
        ...

    async def artifact(self, run: Run, path: str, text: str) -> None:
        """Write a file among the run's artifacts, in place of one that has the path. No failure of it tells of the server.

        TrackingRefused: they are where this store does not write.
        """
        ...

    async def close(self) -> None:
        """Let connections go."""
        ...


def check_texts(*, params: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None) -> None:
    """Refuse what MLflow would cut or fail on: texts beyond its limits, NUL, lone surrogates."""
    for kind, texts, limit in (("param", params or {}, PARAM_LIMIT), ("tag", tags or {}, TAG_LIMIT)):
        for key, text in texts.items():
            if len(text) > limit:
                raise TrackingRefused(f"{kind} {key} has {len(text)} characters; MLflow takes {limit}")
            if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
                raise TrackingRefused(
                    f"{kind} {key} holds characters that no database stores (NUL or a lone surrogate)"
                )


def filter_string(tags: Mapping[str, str]) -> str:
    """MLflow's filter for these tags, as far as its grammar can say it: the adapter compares again (`matches`)."""
    plain = {k: v for k, v in tags.items() if not set("'\"`\\") & set(k + v)}
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in plain.items())


def matches(run: Run, tags: Mapping[str, str]) -> bool:
    """Whether the run has all of these tags, exactly (some databases compare without regard to case)."""
    return all(run.tags.get(key) == value for key, value in tags.items())
