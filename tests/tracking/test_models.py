"""A run's model becomes a version of a registered model: on each adapter and database, with models that MLflow itself made."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import mlflow
import pytest
from mlflow import MlflowClient

from hypersweep.core.errors import TrackingNotFound, TrackingRefused, TrackingUnavailable
from hypersweep.tracking.base import Run, Store
from hypersweep.tracking.registering import NoModel, register
from hypersweep.tracking.rest import RestStore
from tests.fakes.store import FakeStore
from tests.tracking.proxy import answer, proxied
from tests.tracking.stores import QUIET, REAL, delete_run, opened

pytestmark = pytest.mark.filterwarnings("ignore")  # of importing mlflow.pyfunc, and of its loading of models

TAGS = {"hypersweep.sweep": "team/a", "hypersweep.trial": "3"}


def double(numbers: list[float]) -> list[float]:
    """A model that anybody may have written."""
    return [2 * number for number in numbers]


@pytest.fixture(params=[pytest.param(kind, marks=[pytest.mark.tracking, QUIET]) for kind in REAL])
async def real(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Each store of MLflow in turn."""
    async with opened(request.param, request) as store:
        yield store


def unique(word: str) -> str:
    return f"{word}-{uuid.uuid4().hex[:8]}"


async def make_run(store: Store) -> str:
    experiment = await store.experiment(unique("experiment"))
    return (await store.create_run(experiment=experiment, name="r", tags={}, started=1_700_000_000.0)).id


async def put_model(store: Store, run: str, folder: Path) -> None:
    """As the built-in trainer does: a folder `model` among the run's files."""
    if isinstance(store, FakeStore):
        await store.artifact(store.runs[run], "model/MLmodel", "flavors: {}")
        return
    from mlflow import pyfunc

    await asyncio.to_thread(pyfunc.save_model, folder / "model", python_model=double, pip_requirements=["mlflow"])
    await asyncio.to_thread(MlflowClient(store.uri).log_artifacts, run, str(folder / "model"), "model")


def log_model(uri: str, run: str, name: str, step: int) -> str:
    """As a script does that calls MLflow 3's `log_model`; the model's id."""
    from mlflow import pyfunc

    with tracking_to(uri), mlflow.start_run(run_id=run):
        made = pyfunc.log_model(name=name, python_model=double, pip_requirements=["mlflow"], step=step)
        return str(made.model_id)


def loaded(uri: str, model: str) -> list[float]:
    """What the model of that URI answers."""
    from mlflow import pyfunc

    with tracking_to(uri):
        return list(pyfunc.load_model(model).predict([1.5, 2.0]))


@contextmanager
def tracking_to(uri: str) -> Iterator[None]:
    """MLflow's own functions know one server at a time, and a URI that was set beats the environment's in later tests."""
    with mock.patch.dict(os.environ):  # set_tracking_uri changes it
        mlflow.set_tracking_uri(uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]


async def test_a_model_is_registered_once_however_often_it_is_asked_for(store: Store, tmp_path: Path) -> None:
    """The alias goes to it; another run's model is the next version and takes the alias."""
    name, run, other = unique("team.digits"), await make_run(store), await make_run(store)
    await put_model(store, run, tmp_path / "a")
    await put_model(store, other, tmp_path / "b")
    for _ in range(3):
        assert await register(store, run, name=name, alias="champion", tags=TAGS) == "1"
    assert await register(store, other, name=name, alias="champion", tags=TAGS) == "2"
    assert await register(store, run, name=name, alias="", tags=TAGS) == "1"
    assert [(v.name, v.version) for v in await store.models.versions(run)] == [(name, "1")]
    assert await register(store, run, name=f"{name}-2", alias="", tags=TAGS) == "1"


async def test_what_was_registered_is_loaded_by_its_alias(real: Store, tmp_path: Path) -> None:
    """By MLflow itself; the version tells whose it is."""
    name, run = unique("team.digits"), await make_run(real)
    await put_model(real, run, tmp_path)
    await register(real, run, name=name, alias="champion", tags=TAGS)
    version = await asyncio.to_thread(MlflowClient(real.uri).get_model_version_by_alias, name, "champion")
    assert (version.run_id, version.tags, version.aliases) == (run, TAGS, ["champion"])
    assert await asyncio.to_thread(loaded, real.uri, f"models:/{name}@champion") == [3.0, 4.0]


@pytest.mark.tracking
async def test_a_model_that_a_script_logged_is_found_too_the_one_of_the_last_step(
    mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow 3 keeps it beside the run's files."""
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    store = RestStore(mlflow_server)
    name, run = unique("team.digits"), await make_run(store)
    await asyncio.to_thread(log_model, mlflow_server, run, "late", 9)
    last = await asyncio.to_thread(log_model, mlflow_server, run, "later", 10)
    await asyncio.to_thread(log_model, mlflow_server, run, "early", 2)
    for _ in range(2):
        assert await register(store, run, name=name, alias="champion", tags=TAGS) == "1"
    version = await asyncio.to_thread(MlflowClient(mlflow_server).get_model_version_by_alias, name, "champion")
    assert version.source == f"models:/{last}"
    assert await asyncio.to_thread(loaded, mlflow_server, f"models:/{name}@champion") == [3.0, 4.0]
    await store.close()


async def test_a_run_without_a_model_is_refused(store: Store) -> None:
    """And nothing is made for it. A folder of that name with other files in it is no model."""
    run = await make_run(store)
    await store.artifact(await store.run(run), "model/notes.txt", "weights are on my disk")
    with pytest.raises(NoModel, match="found no model/MLmodel among its artifacts"):
        await register(store, run, name=unique("team.digits"), alias="", tags=TAGS)
    assert await store.models.versions(run) == []


async def test_a_deleted_run_is_not_found(store: Store, tmp_path: Path) -> None:
    run = await make_run(store)
    await put_model(store, run, tmp_path)
    await delete_run(store, run)
    with pytest.raises(TrackingNotFound):
        await register(store, run, name=unique("team.digits"), alias="", tags=TAGS)


async def test_a_name_that_mlflow_does_not_take_is_refused(real: Store, tmp_path: Path) -> None:
    """Its own words are told."""
    run = await make_run(real)
    await put_model(real, run, tmp_path)
    with pytest.raises(TrackingRefused, match="cannot contain"):
        await register(real, run, name="team/digits", alias="", tags=TAGS)


async def test_a_bucket_that_cannot_be_listed_does_not_make_the_server_look_down() -> None:
    async with proxied(trouble=answer(500, "{}")) as proxy:
        store = RestStore(proxy.uri)
        run = Run(id="abc", experiment="1", status="FINISHED", started=0.0)
        for _ in range(5):
            with pytest.raises(TrackingUnavailable, match="HTTP 500"):
                await store.models.files(run, "model")
        await store.close()
    assert (store.down_since, store.error) == (None, "")
