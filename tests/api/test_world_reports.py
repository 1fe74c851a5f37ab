"""What the world of a cluster reports to a real API server: the status, once, and Events."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from hypersweep.cluster.client import ApiError, connect
from hypersweep.cluster.world import ClusterWorld
from hypersweep.core.errors import LaunchDelayed
from hypersweep.core.events import Event
from tests.api.worlds import Host, Stage, launched, pod_template, staged
from tests.cluster.clients import Kubectl, ToolError
from tests.cluster.control_plane import ControlPlane

pytestmark = pytest.mark.api


@pytest.fixture
async def stage(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Stage]:
    async with staged(control_plane, namespace) as it:
        yield it


def status(**fields: Any) -> dict[str, Any]:
    return {"observedGeneration": 1, "phase": "Running", "progress": "0/4", "summary": "s", **fields}


def seen(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.kubectl.json("get", "hps", "digits")
    return found


async def test_a_status_is_written_once_and_fields_no_longer_said_go(stage: Stage) -> None:
    """Nothing is written that is there already; server-side apply removes what is left out."""
    _, world = stage.sweep(job=pod_template())
    await world.report(status(eta="2026-11-23T01:00:00Z"), [])
    await world.report(status(eta="2026-11-23T01:00:00Z"), [])
    assert seen(stage)["status"]["eta"] == "2026-11-23T01:00:00Z"
    await world.report(status(), [])
    assert "eta" not in seen(stage)["status"]
    writes = sum(count for what, count in stage.asked.items() if what.startswith("patch hyperparametersweeps"))
    assert writes == 2


async def test_a_status_from_before_is_not_written_again(stage: Stage) -> None:
    """A new process compares with what the object says."""
    host, world = stage.sweep(job=pod_template())
    await world.report(status(), [])
    again = stage.world(Host(seen(stage)))
    await again.report(dict(host.body["status"]), [])
    assert stage.asked["patch hyperparametersweeps/status 200"] == 1


async def test_an_edit_between_two_reports_is_noticed_and_kept(stage: Stage) -> None:
    """The write on a stale version conflicts, the newest copy is read, the sweep is woken, and the status written."""
    host, world = stage.sweep(job=pod_template())
    stage.kubectl("patch", "hps", "digits", "--type=merge", '-p={"spec":{"trials":{"max":9}}}')
    await world.report(status(), [])
    assert (seen(stage)["spec"]["trials"]["max"], seen(stage)["status"]["phase"]) == (9, "Running")
    assert host.spec.trials.max == 9
    assert stage.woken[host.body["metadata"]["uid"]] == 1


async def test_a_namesakes_status_is_left_alone(stage: Stage) -> None:
    """Deleted and made again: the object of that name is not the one that the status tells of."""
    _, world = stage.sweep(job=pod_template())
    stage.kubectl("delete", "hps", "digits")
    stage.sweep(job=pod_template())
    with pytest.raises(ApiError) as caught:
        await world.report(status(), [Event(reason="Started", message="m")])
    assert caught.value.not_found
    assert seen(stage)["status"] == {"observedGeneration": -1}
    assert "Started" not in [event["reason"] for event in stage.events()]


async def test_events_are_what_describe_shows(stage: Stage) -> None:
    """At 3 in the morning: the reason and the message, under the sweep."""
    _, world = stage.sweep(job=pod_template())
    message = "trial 3: Crashed: ModuleNotFoundError: No module named 'x'"
    await world.report(status(), [Event(reason="TrialFailed", message=message, type="Warning")])
    told = stage.kubectl("describe", "hps", "digits").split("Events:")[1]
    assert "Warning" in told
    assert "TrialFailed" in told
    assert message in told
    assert "hypersweep.dev/operator" in told


async def test_the_same_event_is_counted_not_repeated(stage: Stage) -> None:
    """Also by a process that has just started and does not know that it was told."""
    host, world = stage.sweep(job=pod_template())
    event = Event(reason="TrackingUnavailable", message="down", type="Warning")
    await world.report(status(), [event, event])
    await stage.world(host).report(status(), [event])
    await world.report(status(), [replace(event, message="m" * 5000)])
    told = [e for e in stage.events() if e["reason"] == "TrackingUnavailable"]
    assert sorted(e.get("series", {}).get("count", 1) for e in told) == [1, 2]


async def test_too_many_events_are_dropped_not_queued(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A sweep gone mad floods nobody."""
    _, world = stage.sweep(job=pod_template())
    await world.report(status(), [Event(reason="Again", message=str(number)) for number in range(40)])
    assert 30 <= len([e for e in stage.events() if e["reason"] == "Again"]) <= 32
    assert "an Event too many" in caplog.text


async def test_events_that_cannot_be_told_do_not_stop_a_sweep(
    stage: Stage, control_plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    """The status says the same; here the operator lacks the right to post Events, and to make Jobs."""
    host, _ = stage.sweep(job=pod_template())
    stage.kubectl("create", "serviceaccount", "weak")
    rules = [{"apiGroups": ["hypersweep.dev"], "resources": ["hyperparametersweeps/status"], "verbs": ["patch"]}]
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "weak"}}
    subjects = [{"kind": "ServiceAccount", "name": "weak", "namespace": stage.namespace}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "weak"}
    stage.kubectl.apply({**rbac, "kind": "Role", "rules": rules})
    stage.kubectl.apply({**rbac, "kind": "RoleBinding", "subjects": subjects, "roleRef": reference})
    token = stage.kubectl("create", "token", "weak").strip()
    path = control_plane.state / f"{stage.namespace}.weak.kubeconfig"
    api = await connect(str(control_plane.write_kubeconfig(path, {"token": token}, namespace=stage.namespace)))
    try:
        weak = ClusterWorld(api, cache=stage.cache, host=host, trainer_image="")
        await weak.report(status(), [Event(reason="Started", message="m")])
        assert "an Event could not be told" in caplog.text
        with pytest.raises(LaunchDelayed, match='cannot create resource "jobs"'):
            await launched(weak)
    finally:
        await api.close()
    assert seen(stage)["status"]["phase"] == "Running"


def test_the_schema_knows_the_status_that_these_tests_write(kubectl: Kubectl) -> None:
    """Guards the tests above: an unknown field would be pruned, and they would prove nothing."""
    try:
        kubectl("explain", "hps.status.eta")
        kubectl("explain", "hps.status.progress")
    except ToolError as error:
        pytest.fail(str(error))
