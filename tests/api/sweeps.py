"""Sweeps as a user has them: written, applied, waited for and looked at by kubectl; and their runs, by MLflow's REST API.

Owns the words of the tests. Knows nothing of the operator.
"""

import json
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.api.trainers import PLAYED
from tests.cluster.clients import Kubectl
from tests.cluster.waiting import eventually

Object = dict[str, Any]
SECONDS = 90.0  # of patience with a busy machine


def manifest(
    name: str, *, annotations: Mapping[str, str] = PLAYED, container: Mapping[str, Any] | None = None, **spec: Any
) -> Object:
    """A sweep of four trials, two at a time, whose trainers are played; changes of the spec by field."""
    train = {"name": "train", "image": "example.com/train:1", "command": ["train"], **(container or {})}
    pod = {"metadata": {"annotations": dict(annotations)}, "spec": {"containers": [train]}}
    search: Object = {
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": [
            {"name": "x", "type": "Float", "min": 0, "max": 1},
            {"name": "side", "type": "Categorical", "values": ["a", "b"]},
        ],
        "strategy": {"name": "Random", "seed": 7},
        "trials": {"max": 4, "parallel": 2},
        "job": {"template": {"spec": {"template": pod}}},
    }
    return {
        "apiVersion": "hypersweep.dev/v1alpha1",
        "kind": "HyperparameterSweep",
        "metadata": {"name": name},
        "spec": {**search, **spec},
    }


@dataclass(frozen=True)
class Sweep:
    """One sweep of a namespace, by name."""

    kubectl: Kubectl  # bound to the namespace
    name: str

    @property
    def body(self) -> Object:
        """The object as it is now."""
        found: Object = self.kubectl.json("get", "hps", self.name)
        return found

    @property
    def status(self) -> Object:
        found: Object = self.body["status"]
        return found

    def condition(self, kind: str) -> Object:
        """A condition of its status; empty when it has not got that one."""
        return next((c for c in self.status.get("conditions", ()) if c["type"] == kind), {})

    def edit(self, **spec: Any) -> None:
        """Merge into the spec, as `kubectl patch` does."""
        self.kubectl("patch", "hps", self.name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def delete(self) -> None:
        """Delete it, and return when the object is gone."""
        self.kubectl("delete", "hps", self.name, "--timeout=30s")

    def wait(self, condition: str, *, value: str = "True", seconds: float = SECONDS) -> Object:
        """Wait for a condition; the status then. The error shows the status that stood instead."""
        self._wait(f"--for=condition={condition}={value}", seconds)
        return self.status

    def wait_for(self, path: str, value: object, *, seconds: float = SECONDS) -> Object:
        """Wait until a field of the status, such as `trials.running`, has a value; the status then."""
        self._wait(f"--for=jsonpath={{.status.{path}}}={value}", seconds)
        return self.status

    def _wait(self, what: str, seconds: float) -> None:
        try:
            self.kubectl("wait", what, f"hps/{self.name}", f"--timeout={seconds:.0f}s", seconds=seconds + 20)
        except Exception as error:
            raise TimeoutError(f"{error}\nstatus: {json.dumps(self.status, indent=1)}") from error

    # ---- what belongs to it ------------------------------------------------------------------------------------------

    @property
    def selector(self) -> str:
        return f"-l=hypersweep.dev/sweep={self.name}"

    def jobs(self) -> list[Object]:
        """Its Jobs, in the order of trials and attempts."""
        return sorted(self.kubectl.json("get", "jobs", self.selector)["items"], key=place)

    def pods(self) -> list[Object]:
        """Its pods, in the order of trials and attempts."""
        return sorted(self.kubectl.json("get", "pods", self.selector)["items"], key=place)

    def events(self) -> dict[str, list[str]]:
        """The messages of its Events, by reason."""
        found: dict[str, list[str]] = {}
        for event in self.kubectl.json("get", "events.events.k8s.io")["items"]:
            if (event["regarding"]["kind"], event["regarding"]["name"]) == ("HyperparameterSweep", self.name):
                found.setdefault(event["reason"], []).append(event["note"])
        return found

    def leaves_nothing(self, seconds: float = SECONDS) -> None:
        """Wait until no Job and no pod of it is left."""
        eventually(
            lambda: not self.kubectl("get", "jobs,pods", self.selector, "-o", "name"),
            what=f"Jobs and pods of {self.name} to be gone",
            seconds=seconds,
            every=0.3,
        )


def place(child: Object) -> tuple[int, int]:
    """Trial and attempt of a Job or pod."""
    labels = child["metadata"]["labels"]
    return int(labels["hypersweep.dev/trial"]), int(labels["hypersweep.dev/attempt"])


def apply(kubectl: Kubectl, document: Object, *flags: str) -> Sweep:
    """`kubectl apply` a sweep."""
    kubectl.apply(document, flags=flags)
    return Sweep(kubectl, document["metadata"]["name"])


# ---- the ledger ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A run in MLflow."""

    id: str
    name: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def trial(self) -> int:
        return int(self.tags["hypersweep.trial"])

    @property
    def outcome(self) -> str:
        return self.tags["hypersweep.outcome"]


def trial_runs(uri: str, sweep: str) -> dict[int, Run]:
    """The run of each trial of a sweep (`namespace/name`), by index; see `trials_among`."""
    return trials_among(runs_in(uri, _experiment(uri, sweep)))


def parent_runs(uri: str, sweep: str) -> list[Run]:
    """The sweep's own runs: one, if all is well."""
    return parents_among(runs_in(uri, _experiment(uri, sweep)))


def runs_in(uri: str, experiment: str) -> list[Run]:
    """All runs of an experiment, by its id (empty: none)."""
    if not experiment:
        return []
    return [
        _run(item) for item in ask(uri, "runs/search", experiment_ids=[experiment], max_results=1000).get("runs", [])
    ]


def trials_among(found: Sequence[Run]) -> dict[int, Run]:
    """The run of each trial, by index. AssertionError when a trial has two that are not superseded."""
    mine = _standing(found, "Trial")
    by_index = {run.trial: run for run in mine}
    assert len(by_index) == len(mine), f"two runs for one trial: {sorted(run.trial for run in mine)}"
    return dict(sorted(by_index.items()))


def parents_among(found: Sequence[Run]) -> list[Run]:
    return _standing(found, "Sweep")


def _standing(found: Sequence[Run], kind: str) -> list[Run]:
    return [
        run for run in found if run.tags.get("hypersweep.kind") == kind and run.tags["hypersweep.id"] != "Superseded"
    ]


def _experiment(uri: str, sweep: str) -> str:
    """The id of the experiment that a sweep has by default; empty when there is none."""
    found = ask(uri, "experiments/search", max_results=10, filter=f"name = '{sweep}'").get("experiments", [])
    return str(found[0]["experiment_id"]) if found else ""


def ask(uri: str, path: str, **body: Any) -> Any:
    """The answer of MLflow's REST API to a POST."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{uri}/api/2.0/mlflow/{path}", data=json.dumps(body).encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def artifact(uri: str, run: str, path: str) -> str:
    """A file among a run's artifacts, as MLflow's pages get it."""
    query = urllib.parse.urlencode({"run_id": run, "path": path})
    with urllib.request.urlopen(f"{uri}/get-artifact?{query}", timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def _run(item: Mapping[str, Any]) -> Run:
    info, data = item["info"], item["data"]

    def pairs(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {pair["key"]: pair["value"] for pair in items}

    return Run(
        id=info["run_id"],
        name=info.get("run_name", ""),
        status=info["status"],
        tags=pairs(data.get("tags", [])),
        params=pairs(data.get("params", [])),
        metrics=pairs(data.get("metrics", [])),
    )
