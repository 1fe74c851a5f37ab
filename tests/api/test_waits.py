"""What keeps a trial waiting, as its attempt tells it, on a real Job controller and scheduler, with simulated nodes."""

from collections.abc import AsyncIterator

import pytest

from hypersweep.cluster import waits
from hypersweep.core.trial import Phase
from tests.api.worlds import Stage, becomes, hold_to, launched, pod_template, staged
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kwok import scenario
from tests.cluster_unit.waiting import until

pytestmark = pytest.mark.api
GPU = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}


@pytest.fixture
async def stage(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Stage]:
    async with staged(control_plane, namespace) as it:
        yield it


async def test_an_unschedulable_trial_says_what_is_missing(stage: Stage) -> None:
    """The scheduler's own words."""
    _, world = stage.sweep(job=pod_template(**GPU))
    await launched(world)
    waiting = await becomes(world, Phase.PENDING, "Unschedulable")
    assert "Insufficient nvidia.com/gpu" in waiting.message
    assert waiting.waiting_since is not None


async def test_an_image_that_cannot_be_pulled_is_told(stage: Stage) -> None:
    """The kubelet's own words."""
    how = scenario("wait", reason="ImagePullBackOff", message='Back-off pulling image "none"')
    _, world = stage.sweep(job=pod_template(annotations=how))
    await launched(world)
    assert (await becomes(world, Phase.PENDING, "ImageNotPulled")).message == 'Back-off pulling image "none"'


async def test_a_queue_holds_a_trial_and_lets_it_go(stage: Stage) -> None:
    """As Kueue does it: suspended Jobs are queued, not failed, and run later."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world)
    await becomes(world, Phase.RUNNING)
    name = stage.jobs()[0]["metadata"]["name"]
    stage.kubectl("patch", "job", name, "--type=merge", '-p={"spec":{"suspend":true}}')
    await becomes(world, Phase.QUEUED, "Queued")
    stage.kubectl("patch", "job", name, "--type=merge", '-p={"spec":{"suspend":false}}')
    await becomes(world, Phase.RUNNING)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are asked for at once and often."""
    monkeypatch.setattr(waits, "PATIENCE", 0.0)
    monkeypatch.setattr(waits, "EVERY", 0.2)


@pytest.mark.usefixtures("impatient")
async def test_a_quota_that_holds_a_pod_back_is_told(stage: Stage) -> None:
    """Neither the Job nor any pod says so: only an Event of the Job does."""
    hold_to(stage, pods="0")
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world)
    waiting = await becomes(world, Phase.PENDING, "QuotaExceeded")
    assert "exceeded quota: none" in waiting.message


@pytest.mark.usefixtures("impatient")
async def test_a_pod_that_may_not_exist_is_told(stage: Stage) -> None:
    """A service account that is not there: nothing will start, and the message names it."""
    template = pod_template()
    template["template"]["spec"]["template"]["spec"]["serviceAccountName"] = "absent"
    _, world = stage.sweep(job=template)
    await launched(world)
    waiting = await becomes(world, Phase.PENDING, "ContainerNotCreated")
    assert 'serviceaccount "absent" not found' in waiting.message


@pytest.mark.usefixtures("impatient")
async def test_a_volume_that_is_missing_is_told(stage: Stage) -> None:
    """The kubelet says so in an Event of the pod, here posted for it."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("wait", reason="ContainerCreating")))
    await launched(world)
    waiting = await becomes(world, Phase.PENDING, "Starting")
    await until(lambda: world.attempts()[0].where != stage.jobs()[0]["metadata"]["name"], what="the pod")
    pod = stage.kubectl.json("get", "pod", world.attempts()[0].where)["metadata"]
    message = 'MountVolume.SetUp failed for volume "s" : secret "absent" not found'
    stage.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "a.1", "namespace": stage.namespace},
            "involvedObject": {"kind": "Pod", "name": pod["name"], "namespace": stage.namespace, "uid": pod["uid"]},
            "reason": "FailedMount",
            "message": message,
            "type": "Warning",
        }
    )
    waiting = await becomes(world, Phase.PENDING, "ContainerNotCreated")
    assert waiting.message == message
