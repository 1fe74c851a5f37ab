"""The operator as a process: its start, its rights, its end, and what happens to sweeps while it is away."""

import asyncio
import re
import time
from dataclasses import replace
from typing import Any

import pytest
import yaml

from tests.api import resource, sweeps
from tests.api.conftest import Operate, Stage
from tests.api.gate import gate, through
from tests.api.operator_process import STOP_SECONDS, install
from tests.api.sweeps import Sweep
from tests.api.trainers import Trainers, hold, learn
from tests.chart.rendering import NAME as ACCOUNT
from tests.cluster.clients import ToolError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import NewControlPlane, fresh_namespace
from tests.cluster.kwok import scenario
from tests.cluster.waiting import eventually

pytestmark = pytest.mark.api

READY_SECONDS = 5.0
DISCOVERY = re.compile(r"/api(/v1)?|/apis(/[^/]+){0,2}")  # what kinds there are, which everybody may ask
TRIES = 3  # of which the best counts: other processes share this machine


def holding(stage: Stage, name: str, **spec: Any) -> Sweep:
    """A sweep whose trials run until `let_end`."""
    stage.trainers.cast[stage.namespace, name] = hold
    return stage.apply(name, **spec)


def let_end(stage: Stage, sweep: Sweep) -> None:
    """Its trials succeed, those that run now and those to come."""
    stage.trainers.cast[stage.namespace, sweep.name] = learn
    how = [f"{key}={value}" for key, value in scenario("succeed", duration="50ms").items()]
    stage.kubectl("annotate", "pods", sweep.selector, "--overwrite", *how)


# ---- start -----------------------------------------------------------------------------------------------------------


def test_it_is_ready_within_seconds_with_rights_in_its_namespace_alone(stage: Stage) -> None:
    """From the start of the process to a sweep taken in; nothing that it may not do holds it up. The time in which other
    processes had the processors is not its own.
    """
    stage.operator.kill()
    took = []
    for number in range(TRIES):
        sweep = stage.apply(f"waiting-{number}", suspend=True)
        began = time.monotonic()
        stage.operator.start()
        sweep.wait_for("observedGeneration", 1)
        took.append(time.monotonic() - began - stage.operator.kept_waiting())
        stage.operator.stop()
        if took[-1] < READY_SECONDS:
            break
    assert min(took) < READY_SECONDS, took


async def test_it_does_what_it_may_and_nothing_else(
    crd: ControlPlane, namespace: str, mlflow_server: str, trainers: Trainers, operate: Operate
) -> None:
    """Through much that a sweep can meet: no request is forbidden, none is about Secrets, none outside its namespace."""
    kubectl = crd.kubectl.within(namespace)
    async with gate(crd.server, ca=crd.state / "pki" / "ca.crt") as door:
        installed = install(crd, namespace, mlflow=mlflow_server)
        operator = operate(replace(installed, kubeconfig=through(installed.kubeconfig, door.uri)))
        await asyncio.to_thread(_live, operator, kubectl)
    asked = {(request.kind, request.path, status) for request, status in door.answered}
    assert not [one for one in asked if one[2] in (401, 403)]
    assert not [one for one in asked if "secrets" in one[1]]
    assert not [one for one in asked if f"/namespaces/{namespace}/" not in one[1] and not DISCOVERY.fullmatch(one[1])]
    assert {kind for kind, _, _ in asked} >= {"create jobs", "delete jobs", "watch pods", "create events"}
    said = [
        line[len("2026-01-01 00:00:00,000") :] for line in operator.log.splitlines()
    ]  # milliseconds may be 403, too
    assert not [line for line in said if "403" in line or "orbidden" in line]


def _live(operator: Any, kubectl: Any) -> None:
    operator.start()
    sweep = sweeps.apply(kubectl, sweeps.manifest("whole", cleanup={"succeeded": "0s"}))
    sweep.wait("Complete")
    sweeps.apply(kubectl, sweeps.manifest("refused", container={"imag": "x"})).wait("Stalled")
    other = sweeps.apply(kubectl, sweeps.manifest("paused"))
    other.wait_for("trials.created", 2)
    other.edit(suspend=True)
    other.wait("Suspended")
    sweep.delete()
    operator.stop()


# ---- end -------------------------------------------------------------------------------------------------------------


def test_sigterm_ends_it_within_seconds_and_another_leads_at_once(stage: Stage, operate: Operate) -> None:
    """It lets the lease and the sweep go; the second instance waited, and goes on with the same trials."""
    sweep = holding(stage, "handed-over")
    sweep.wait_for("trials.running", 2)
    second = operate(stage.operator.installation)
    second.start()
    eventually(lambda: "waiting for lease" in second.log, what="the second instance to wait", seconds=60)
    assert second.metrics()["hypersweep_leader"] == 0
    assert stage.operator.stop() < STOP_SECONDS
    second.wait_until_leading(seconds=5)
    let_end(stage, sweep)
    sweep.wait("Complete")
    told = stage.trainers.of(stage.namespace, sweep.name)
    assert sorted((one.trial, one.attempt) for one in told) == [(index, 1) for index in range(4)]
    assert second.stop() < STOP_SECONDS
    lease = stage.kubectl.json("get", "lease", "hypersweep")
    assert lease["spec"].get("holderIdentity", "") == ""


def test_a_killed_one_is_followed_by_its_restarted_container_at_once(stage: Stage) -> None:
    """The lease in its own name needs no waiting for; what ended meanwhile is counted."""
    sweep = holding(stage, "orphaned")
    sweep.wait_for("trials.running", 2)
    stage.operator.kill()
    let_end(stage, sweep)
    eventually(
        lambda: [p["status"]["phase"] for p in sweep.pods()] == ["Succeeded"] * 2, what="both trials to end unseen"
    )
    stage.operator.start()
    assert sweep.wait("Complete")["trials"]["succeeded"] == 4
    told = stage.trainers.of(stage.namespace, sweep.name)
    assert sorted((one.trial, one.attempt) for one in told) == [(index, 1) for index in range(4)]


# ---- while it is away ------------------------------------------------------------------------------------------------


def test_a_sweep_that_is_deleted_while_it_is_away_leaves_nothing(stage: Stage) -> None:
    """No finalizer holds the object; its Jobs go with it; and back again, the operator makes none anew."""
    sweep = holding(stage, "forsaken")
    sweep.wait_for("trials.running", 2)
    stage.operator.kill()
    sweep.delete()
    sweep.leaves_nothing()
    stage.operator.start()
    stage.apply("after", trials={"max": 1}).wait("Complete")
    sweep.leaves_nothing()


def test_it_is_removed_and_installed_again_with_sweeps_in_every_phase(stage: Stage) -> None:
    """Running, suspended, finished, failed, refused, and one that comes to its end meanwhile: each is what it was, or goes on."""
    running, ending = holding(stage, "running"), holding(stage, "ending", stopWhen={"targets": [_ANY]})
    finished = stage.apply("finished", trials={"max": 2})
    refused = stage.apply("refused", container={"imag": "typo"})
    suspended = stage.apply("suspended", suspend=True)
    failed = stage.apply(
        "failed",
        annotations=scenario("fail", duration="50ms", message="ImportError"),
        trials={"max": 1, "attempts": 1},
    )
    finished.wait("Complete")
    failed.wait("Failed")
    refused.wait("Stalled")
    suspended.wait("Suspended")
    for sweep in (running, ending):
        sweep.wait_for("trials.running", 2)
    before = {name: _verdict(Sweep(stage.kubectl, name)) for name in ("finished", "refused", "suspended", "failed")}

    stage.operator.stop()
    _uninstall(stage)
    trial = stage.kubectl.json("get", "pods", ending.selector, "-l=hypersweep.dev/trial=0")["items"][0]
    how = [f"{key}={value}" for key, value in scenario("succeed", duration="50ms").items()]
    stage.kubectl("annotate", "pod", trial["metadata"]["name"], "--overwrite", *how)
    stage.kubectl("wait", "--for=condition=Complete", "job", "-l=hypersweep.dev/sweep=ending,hypersweep.dev/trial=0")
    install(stage.operator.installation.plane, stage.namespace, mlflow=stage.mlflow)
    token = stage.kubectl("create", "token", ACCOUNT, "--duration=2h").strip()
    _renew(stage, token)
    stage.operator.start()

    assert true(ending.wait("Complete"))["Complete"] == "TargetReached"
    counts = ending.status["trials"]
    assert (counts["succeeded"], counts["stopped"]) == (1, counts["created"] - 1)
    let_end(stage, running)
    assert running.wait("Complete")["trials"]["succeeded"] == 4
    assert {name: _verdict(Sweep(stage.kubectl, name)) for name in before} == before
    suspended.edit(suspend=False)
    suspended.wait("Complete")
    finished.edit(trials={"max": 3})
    finished.wait_for("progress", "3/3")
    for name in ("running", "finished", "suspended"):
        told = stage.trainers.of(stage.namespace, name)
        assert len({one.trial for one in told}) == len(told), f"a trial of {name} ran twice"


_ANY = {"metric": "loss", "value": 1000}


def true(status: dict[str, Any]) -> dict[str, str]:
    """The conditions that hold, and their reasons."""
    return {c["type"]: c["reason"] for c in status["conditions"] if c["status"] == "True"}


def _verdict(sweep: Sweep) -> dict[str, Any]:
    return {key: sweep.status.get(key) for key in ("phase", "trials", "best", "completionTime", "summary")}


def _uninstall(stage: Stage) -> None:
    """As `helm uninstall`: the rights go, the sweeps and the Lease stay."""
    stage.kubectl("delete", "serviceaccount,role,rolebinding", "-l=app.kubernetes.io/part-of=hypersweep")
    with pytest.raises(ToolError):
        stage.kubectl("create", "token", ACCOUNT)


def _renew(stage: Stage, token: str) -> None:
    path = stage.operator.installation.kubeconfig
    content = yaml.safe_load(path.read_text())
    content["users"][0]["user"] = {"token": token}
    path.write_text(yaml.safe_dump(content))


def test_it_outlives_a_restart_of_the_api_server(
    new_control_plane: NewControlPlane, mlflow_server: str, operate: Operate
) -> None:
    """Watches are cut, trials end meanwhile: the sweep goes on, nothing is run twice. A lease that could not be renewed ends
    the process with a code of its own, and its container is started again.
    """
    plane = new_control_plane()
    resource.install(plane.kubectl)
    with fresh_namespace(plane.kubectl, "restarted") as namespace, Trainers(plane.kubeconfig) as trainers:
        operator = operate(install(plane, namespace, mlflow=mlflow_server))
        operator.start()
        stage = Stage(plane.kubectl.within(namespace), namespace, mlflow_server, operator, trainers)
        sweep = holding(stage, "steady", trials={"max": 6, "parallel": 3})
        sweep.wait_for("trials.running", 3)
        plane.restart_apiserver()
        let_end(stage, sweep)

        def over() -> bool:
            if not operator.runs:
                assert operator.ended() == 3, "only a lost lease is a reason to end"
                operator.start()
            return any(c["type"] == "Complete" and c["status"] == "True" for c in sweep.status["conditions"])

        eventually(over, what="the sweep to be complete", seconds=120, every=0.5)
        told = trainers.of(namespace, "steady")
        assert sorted((one.trial, one.attempt) for one in told) == [(index, 1) for index in range(6)]
