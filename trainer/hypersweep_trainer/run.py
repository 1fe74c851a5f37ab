"""One MLflow run, as the trainer writes to it: found or made, filled, ended.

Owns which requests an entry of the journal becomes. Every one may be repeated: a run that was made though its answer
was lost is found by its token. Refuses to overwrite params, to end a run that somebody else prepared, and to hold up
metrics for files: an artifact store that takes none, while the server answers, costs the artifacts. Imports mlflow
(2 to 4 s), which its caller does in a thread of its own.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypersweep_trainer.journal import METRICS, Entry
from hypersweep_trainer.settings import spelled

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

TRIES = 3  # for the first file that the artifact store refuses; after it none is tried
TOKEN = "trainer.token"  # noqa: S105  # a tag of runs that the trainer makes for itself; no secret
REPORT = "reproduce.json"  # what the results rest on: data, model, environment


class Run:
    """The run of this training."""

    def __init__(self, *, run_id: str | None, owned: bool, token: str, params: Mapping[str, object]) -> None:
        """`run_id` is None until one is made; an `owned` run is one that nobody else ends. `token`: unique to the training."""
        self.run_id, self.owned = run_id, owned
        self._token = token
        self._params: Mapping[str, object] | None = params  # None once sent
        self._connection: MlflowClient | None = None
        self._refusals = 0  # of the artifact store

    def open(self) -> str:
        """The run's id; it is made if there is none, and has the params that it lacked."""
        client = self.client()
        if self.run_id is None:
            self.run_id = self._found(client) or self._made(client)
        if self._params is not None:
            self._set_params(self._params)
            self._params = None
        return self.run_id

    def write(self, entries: Sequence[Entry]) -> None:
        """Send these entries. Raises whatever mlflow raises; then all may be sent again."""
        from mlflow.entities import Metric

        run_id, client = self.open(), self.client()
        points = [
            Metric(name, value, entry.when, entry.step)
            for entry in entries
            if entry.kind in METRICS
            for name, value in entry.content.items()
        ]
        if points:
            client.log_batch(run_id, metrics=points)
        for entry in entries:
            if entry.kind == "details":
                self._describe(entry.content)
            elif entry.kind == "tags":
                self._tag(entry.content)
            elif entry.kind == "params":
                self._set_params(entry.content)
            elif entry.kind == "file" and Path(entry.content["path"]).exists():  # an attempt elsewhere took it along
                self._upload(Path(entry.content["path"]), entry.content["folder"])
            elif entry.kind == "end" and self.owned:
                client.set_terminated(run_id, status=entry.content["status"])

    def client(self) -> MlflowClient:
        """MLflow's own client."""
        if self._connection is None:
            from mlflow import MlflowClient

            self._connection = MlflowClient()
        return self._connection

    def _describe(self, details: Mapping[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        client, run_id = self.client(), self.open()
        self._tag(details["tags"])
        data = details["report"]["data"]
        dataset = Dataset(
            name=data["name"],
            digest=data["digest"],
            source_type="local",
            source=json.dumps({"uri": data["name"]}),
            profile=json.dumps({name: data[name] for name in ("samples", "classes") if name in data}),
        )
        client.log_inputs(run_id, datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / REPORT
            file.write_text(json.dumps(details["report"], indent=2))
            self._upload(file, "")

    def _set_params(self, params: Mapping[str, object]) -> None:
        """Those that the run lacks: one can't be written twice with another spelling."""
        from mlflow.entities import Param

        client, run_id = self.client(), self.run_id
        if run_id is None:
            raise RuntimeError("params need a run")
        present = client.get_run(run_id).data.params
        missing = [Param(name, spelled(value)) for name, value in params.items() if name not in present]
        client.log_batch(run_id, params=missing)

    def _tag(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self.client().log_batch(self.open(), tags=[RunTag(name, value) for name, value in tags.items()])

    def _upload(self, path: Path, folder: str) -> None:
        if self._refusals >= TRIES:
            return
        client, run_id = self.client(), self.open()
        try:
            (client.log_artifacts if path.is_dir() else client.log_artifact)(run_id, str(path), folder or None)
        except Exception as error:
            client.get_run(run_id)  # raises, if it is the server that is away: then all waits for it
            self._refusals += 1
            if self._refusals < TRIES:
                raise
            text = f"{type(error).__name__}: {error}"[:500]
            log.warning("MLflow's artifact store refuses %s (%s): no files are kept with the results", path.name, text)
        else:
            self._refusals = 0

    def _made(self, client: MlflowClient) -> str:
        made = client.create_run(_experiment(client), run_name="hypersweep_trainer", tags={TOKEN: self._token})
        return str(made.info.run_id)

    def _found(self, client: MlflowClient) -> str | None:
        """A run that was made although the answer was lost."""
        found = client.search_runs([_experiment(client)], f"tags.`{TOKEN}` = '{self._token}'", max_results=1)
        return str(found[0].info.run_id) if found else None


def _experiment(client: MlflowClient) -> str:
    """The experiment that the environment names, by MLflow's own variables; else MLflow's default one."""
    if given := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return given
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default")
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))
