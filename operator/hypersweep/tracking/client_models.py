"""MLflow's registry of models by its own Python client, beside `client.py`, in whose thread it works."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hypersweep.core.errors import TrackingRefused
from hypersweep.tracking import answers
from hypersweep.tracking.base import Run, Version, check_texts

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")


class Call(Protocol):
    """`work(client, *given)` in the thread, with our errors."""

    def __call__(self, work: Callable[..., T], *given: Any) -> Awaitable[T]: ...


class ClientModels:
    """Implements base.Models."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def files(self, run: Run, folder: str) -> list[str]:
        return await self._call(_files, run.id, folder)

    async def versions(self, run: str) -> list[Version]:
        return await self._call(_versions, run)

    async def create(self, name: str, *, run: str, source: str, model: str, tags: Mapping[str, str]) -> Version:
        check_texts(tags=tags)
        return await self._call(
            lambda client: _create(client, name, run_id=run, source=source, model_id=model or None, tags=dict(tags))
        )

    async def point(self, name: str, *, alias: str, version: str) -> None:
        await self._call(lambda client: client.set_registered_model_alias(name, alias, version))


def _files(client: "MlflowClient", run: str, folder: str) -> list[str]:
    """By way of MLflow's own drivers, which raise whatever theirs do."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        return [file.path.rpartition("/")[2] for file in client.list_artifacts(run, folder)]
    except MlflowException:
        raise
    except Exception as error:  # noqa: BLE001
        raise TrackingRefused(f"{type(error).__name__}: {answers.shown(str(error))}") from None


def _versions(client: "MlflowClient", run: str) -> list[Version]:
    found, page = list[Version](), None
    while True:
        page = client.search_model_versions(f"run_id = '{run}'", page_token=page)
        found += map(_version, page)
        if not (page := page.token):
            return sorted(found, key=lambda version: int(version.version))


def _create(client: "MlflowClient", name: str, **of: Any) -> Version:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return _version(client.create_model_version(name, **of))


def _version(entity: Any) -> Version:
    return Version(name=entity.name, version=str(entity.version), source=entity.source)
