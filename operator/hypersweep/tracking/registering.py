"""A run's model becomes a version of a registered model, once, however often it is asked for.

Owns where a run's model is: in the folder `model` of its files, where the built-in trainer puts it, or, as scripts that call
`mlflow.….log_model` leave it, among the models that MLflow 3 keeps beside them.
"""

from collections.abc import Mapping

from hypersweep.core.errors import TrackingNotFound, TrackingRefused
from hypersweep.tracking.base import Run, Store

FOLDER = "model"  # among the run's artifacts
MARK = "MLmodel"  # the file that makes a folder a model


class NoModel(TrackingRefused):
    """The run has logged none."""


async def register(store: Store, run: str, *, name: str, alias: str, tags: Mapping[str, str]) -> str:
    """The version of `name` that is this run's model, made when absent; `alias`, unless empty, is set to it.

    NoModel; TrackingNotFound: the run is gone; TrackingRefused; TrackingUnavailable: try again.
    """
    found = await store.run(run)
    if found.deleted:
        raise TrackingNotFound(f"run {run} was deleted")
    source, model = await _source(store, found)
    versions = [v for v in await store.models.versions(run) if (v.name, v.source) == (name, source)]
    version = versions[0] if versions else None
    if version is None:
        version = await store.models.create(name, run=run, source=source, model=model, tags=tags)
    if alias:
        await store.models.point(name, alias=alias, version=version.version)
    return version.version


async def _source(store: Store, run: Run) -> tuple[str, str]:
    """URI of the run's model, and its id if it has one. Of several that MLflow keeps, the one of the last step."""
    if MARK in await store.models.files(run, FOLDER):
        return f"{run.artifacts.rstrip('/')}/{FOLDER}", ""
    if run.models:
        return f"models:/{run.models[-1]}", run.models[-1]
    raise NoModel(
        f"run {run.id} has no model: found no {FOLDER}/{MARK} among its artifacts, nor a model logged by mlflow"
    )
