"""The stores that the conformance suite runs on: each adapter, on each database, and the fake."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient

from hypersweep.tracking.base import Store
from hypersweep.tracking.client import ClientStore
from hypersweep.tracking.rest import RestStore
from tests.fakes.store import FakeStore

REAL = ("rest-sqlite", "rest-postgres", "client-sqlite", "client-postgres", "client-file")
# MLflow 3.17 with SQLAlchemy 2.1, in our own process; nothing of ours.
QUIET = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
KINDS = (*(pytest.param(kind, marks=[pytest.mark.tracking, QUIET]) for kind in REAL), "fake")


@asynccontextmanager
async def opened(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A store of that kind; servers are started when first asked for."""
    store = await _store(kind, request)
    try:
        yield store
    finally:
        await store.close()


async def delete_run(store: Store, run: str) -> None:
    """As a person does in MLflow's pages."""
    if isinstance(store, FakeStore):
        store.delete(run)
    else:
        await asyncio.to_thread(MlflowClient(tracking_uri=store.uri).delete_run, run)


async def read_artifact(store: Store, run: str, path: str) -> str:
    """As MLflow's pages show it."""
    if isinstance(store, FakeStore):
        return store.artifacts[run, path]
    return await asyncio.to_thread(_downloaded, MlflowClient(tracking_uri=store.uri), run, path)


def _downloaded(client: MlflowClient, run: str, path: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return Path(client.download_artifacts(run, path, folder)).read_text(encoding="utf-8")


async def delete_experiment(store: Store, experiment: str) -> None:
    """As a person does in MLflow's pages."""
    if isinstance(store, FakeStore):
        store.deleted_experiments.add(experiment)
    else:
        await asyncio.to_thread(MlflowClient(tracking_uri=store.uri).delete_experiment, experiment)


async def _store(kind: str, request: pytest.FixtureRequest) -> Store:
    if kind == "fake":
        return FakeStore()
    if kind == "client-file":
        return await _migrated(request.getfixturevalue("local_database"))
    adapter, _, database_kind = kind.partition("-")
    uri = request.getfixturevalue({"sqlite": "mlflow_server", "postgres": "mlflow_postgres"}[database_kind])
    return RestStore(uri) if adapter == "rest" else ClientStore(uri)


async def _migrated(uri: str) -> ClientStore:
    store = ClientStore(uri)
    await store.migrate()
    return store
