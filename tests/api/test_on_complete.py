"""The best model is registered when a sweep is complete, on the real control plane, with a real MLflow and kill -9."""

import asyncio
import urllib.request
from dataclasses import replace
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.api import sweeps
from tests.api.conftest import Operate, Stage
from tests.api.gate import Fault, Request, gate
from tests.api.operator_process import Operator, install
from tests.api.trainers import Play, Role, Told, Trainers, learn
from tests.cluster.clients import Kubectl
from tests.cluster.control_plane import ControlPlane
from tests.cluster.waiting import eventually

pytestmark = pytest.mark.api


def with_model(told: Told) -> Play:
    """It learns, and leaves a model among its run's files, as MLflow's server takes them."""
    place = MlflowClient(told.uri).get_run(told.run).info.artifact_uri.removeprefix("mlflow-artifacts:/")
    address = f"{told.uri}/api/2.0/mlflow-artifacts/artifacts/{place}/model/MLmodel"
    request = urllib.request.Request(address, data=b"flavors: {}\n", method="PUT")
    urllib.request.urlopen(request, timeout=60).read()
    return learn(told)


def asked(namespace: str, name: str) -> dict[str, Any]:
    return {"registerModel": f"{namespace}.{name}", "alias": "champion"}


def test_the_best_trials_model_is_registered_under_a_name_of_the_namespace(stage: Stage) -> None:
    """Said in status, condition and Event; another name is refused before any Job is made."""
    stage.trainers.cast[stage.namespace, "mine"] = with_model
    sweep = stage.apply("mine", onComplete=asked(stage.namespace, "digits"))
    status = sweep.wait("ModelRegistered")
    said = status["registeredModel"]
    assert (said["state"], said["version"], said["alias"]) == ("Registered", "1", "champion")
    assert said["trial"] == status["best"]["trial"]
    version = MlflowClient(stage.mlflow).get_model_version_by_alias(f"{stage.namespace}.digits", "champion")
    assert (version.version, version.run_id) == ("1", status["best"]["run"]["id"])
    assert version.tags == {"hypersweep.sweep": f"{stage.namespace}/mine", "hypersweep.trial": str(said["trial"])}
    message = f"version 1 of {stage.namespace}.digits, alias champion: the model of trial {said['trial']}"
    eventually(lambda: sweep.events().get("ModelRegistered") == [message], what="the Event")

    theirs = stage.apply("theirs", onComplete=asked("payroll", "digits"))
    theirs.wait("Accepted", value="False")
    told = theirs.condition("Accepted")["message"]
    assert f'spec.onComplete.registerModel: found "payroll.digits"; allowed for namespace {stage.namespace}' in told
    assert theirs.jobs() == []


def test_a_complete_sweep_whose_trials_left_no_model_says_so_and_is_told_later_on(stage: Stage) -> None:
    """It is Complete, not Stalled; an edit has it tried again."""
    sweep = stage.apply("bare", onComplete=asked(stage.namespace, "bare"))
    sweep.wait("Complete")
    sweep.wait_for("registeredModel.state", "NotRegistered")
    assert sweep.condition("ModelRegistered")["reason"] == "NoModel"
    assert sweep.condition("Stalled")["status"] == "False"
    eventually(lambda: "ModelNotRegistered" in sweep.events(), what="the Event")
    best = sweep.status["best"]["run"]["id"]
    with_model(told_of(stage, best))
    sweep.edit(retry="there is one now")
    sweep.wait("ModelRegistered")
    assert MlflowClient(stage.mlflow).get_model_version_by_alias(f"{stage.namespace}.bare", "champion").run_id == best


def told_of(stage: Stage, run: str) -> Told:
    """What the trainer of that run was told."""
    return next(told for told in stage.trainers.played if told.run == run)


async def test_a_lost_answer_and_a_kill_between_the_end_and_the_registration_leave_one_version(
    crd: ControlPlane, namespace: str, mlflow_server: str, trainers: Trainers, operate: Operate
) -> None:
    """The version was made, though nobody heard of it; the process died before the alias: the next one goes on with that."""
    trainers.cast[namespace, "killed"] = _role(mlflow_server)
    faults: dict[str, Fault] = {"model-versions/create": "answer lost", "registered-models/alias": "killed before"}
    struck: list[str] = []

    def on_write(request: Request) -> Fault | None:
        fault = faults.pop(request.kind, None)
        if fault is not None:
            struck.append(request.kind)
        return fault

    async with gate(mlflow_server) as door:
        installed = install(crd, namespace, mlflow=mlflow_server)
        server = {"name": "default", "uri": door.uri, "trialUri": mlflow_server}
        operator = operate(replace(installed, config={**installed.config, "trackingServers": [server]}))
        door.on_write, door.kill = on_write, operator.kill
        await asyncio.to_thread(_live, operator, crd.kubectl.within(namespace), namespace, mlflow_server)
    assert struck == ["model-versions/create", "registered-models/alias"]


def _role(uri: str) -> Role:
    return lambda told: with_model(replace(told, uri=uri))


def _live(operator: Operator, kubectl: Kubectl, namespace: str, uri: str) -> None:
    operator.start()
    sweep = sweeps.apply(kubectl, sweeps.manifest("killed", onComplete=asked(namespace, "digits")))
    ended = sweep.wait("Complete")
    assert ended["registeredModel"]["state"] == "Pending"
    eventually(lambda: not operator.runs, what="the operator to be killed", seconds=60)
    assert sweep.condition("ModelRegistered")["status"] == "False"
    operator.start()
    after = sweep.wait("ModelRegistered")
    assert after["completionTime"] == ended["completionTime"]
    client, name = MlflowClient(uri), f"{namespace}.digits"
    versions = client.search_model_versions(f"name = '{name}'")
    assert [(v.version, v.run_id) for v in versions] == [("1", after["best"]["run"]["id"])]
    assert client.get_model_version_by_alias(name, "champion").version == "1"
