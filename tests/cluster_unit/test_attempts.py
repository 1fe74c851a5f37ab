"""What Jobs and pods say of an attempt, row by row.

The documents in `recorded/` are a real API server's and kubelet's (see `record.py`); rows that need what one machine
cannot be made to do change a recorded document, and say what.
"""

import copy
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hypersweep.cluster.attempts import attempt, leftover
from hypersweep.cluster.records import job_record, pod_record
from hypersweep.core.exits import LONGEST_MESSAGE
from hypersweep.core.trial import Attempt, Phase

RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> dict[str, Any]:
    return json.loads((RECORDED / f"{name}.json").read_text())


def seen(scene: str | dict[str, Any]) -> Attempt:
    document = recorded(scene) if isinstance(scene, str) else scene
    job, pods = job_record(document["job"]), [pod_record(pod) for pod in document["pods"]]
    assert job is not None
    return attempt(job, [pod for pod in pods if pod is not None])


def at(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def status_of(pod: dict[str, Any]) -> dict[str, Any]:
    return pod["status"]["containerStatuses"][0]


def changed(name: str, **status: Any) -> dict[str, Any]:
    """A recorded scene whose pod's status says otherwise."""
    document = recorded(name)
    document["pods"][0]["status"].update(status)
    return document


def turned_away(reason: str, message: str) -> dict[str, Any]:
    """A pod that the kubelet did not admit: it failed before any container had a state."""
    return changed("crashed", phase="Failed", reason=reason, message=message, containerStatuses=[])


@pytest.mark.parametrize(
    ("scene", "phase", "reason", "code", "message"),
    [
        ("succeeded", "Succeeded", "", 0, ""),
        ("crashed", "Failed", "Crashed", 1, "ModuleNotFoundError: No module named 'no_such_module'"),
        (
            "out-of-memory",
            "Failed",
            "OutOfMemory",
            137,
            "container train used more memory than its limit, and was killed",
        ),
        ("cuda-out-of-memory", "Failed", "OutOfMemory", 1, "CUDA out of memory. Tried to allocate 20.00 GiB."),
        ("bad-settings", "Failed", "BadSettings", 64, "lr: found -1"),
        ("exit-143", "Failed", "Interrupted", 143, "exited with code 143"),
        ("pod-deleted", "Failed", "Interrupted", 143, ""),
        ("deadline", "Failed", "DeadlineExceeded", None, "active longer than specified deadline"),
        ("scratch-full", "Failed", "Crashed", None, 'EmptyDir volume "scratch" exceeds the limit'),
        ("no-command", "Failed", "ContainerNotCreated", 128, 'exec: "/no/such/program"'),
        ("running", "Running", "", None, ""),
        ("suspended", "Queued", "Queued", None, "Job suspended"),
        ("unschedulable", "Pending", "Unschedulable", None, "Insufficient nvidia.com/gpu"),
        ("image-absent", "Pending", "ImageNotPulled", None, "no such host"),
        ("image-back-off", "Pending", "ImageNotPulled", None, "no such host"),
        ("image-invalid", "Pending", "ImageNotPulled", None, "must be lowercase"),
        ("image-never", "Pending", "ImageNotPulled", None, "pull policy of Never"),
        ("secret-absent", "Pending", "ContainerNotCreated", None, 'secret "absent" not found'),
        ("runs-as-root", "Pending", "ContainerNotCreated", None, "say `runAsNonRoot: false`"),
        ("volume-absent", "Pending", "Starting", None, ""),
        ("evicted", "Pending", "Starting", None, "EvictionByEvictionAPI"),
    ],
)
def test_each_way_to_stand_wait_or_end_is_told_apart(scene, phase, reason, code, message):
    """One recorded Job and its pods a row: phase, reason, exit code, and words that a person can act on."""
    found = seen(scene)
    assert (found.phase, found.reason, found.exit_code) == (phase, reason, code)
    assert message in found.message


@pytest.mark.parametrize(
    ("scene", "reason", "message"),
    [
        pytest.param(
            turned_away("UnexpectedAdmissionError", "Allocate failed due to no healthy devices present"),
            "Interrupted",
            "UnexpectedAdmissionError: Allocate failed",
            id="the node's GPU plugin is restarting",
        ),
        pytest.param(
            turned_away("OutOfcpu", "Node didn't have enough resource: cpu"),
            "Interrupted",
            "OutOfcpu",
            id="the node was full",
        ),
        pytest.param(
            {**recorded("crashed"), "pods": []}, "Interrupted", "its pod is gone", id="nobody saw the pod end"
        ),
        pytest.param(
            changed("crashed", containerStatuses=[]),
            "Interrupted",
            "its pod was deleted",
            id="the pod was seen, but not its end",
        ),
    ],
)
def test_what_is_not_the_trials_fault_costs_nothing(scene, reason, message):
    """Ends that the training had no part in are interruptions."""
    found = seen(scene)
    assert (found.phase, found.reason) == (Phase.FAILED, reason)
    assert message in found.message


def test_a_pod_killed_while_being_deleted_was_interrupted():
    """It did not end within its grace period: exit code 137 is then the kubelet's, not the kernel's."""
    scene = recorded("pod-deleted")
    status_of(scene["pods"][0])["state"]["terminated"].update(exitCode=137, reason="Error")
    assert seen(scene).reason == "Interrupted"


def test_a_side_containers_end_does_not_hide_the_trainings():
    """The container that trains says why; another one only if training did not fail."""
    scene = recorded("crashed")
    statuses = scene["pods"][0]["status"]["containerStatuses"]
    other = copy.deepcopy(statuses[0])
    other["name"] = "a-sidecar"
    other["state"]["terminated"].update(exitCode=143, message="terminated by its neighbour's end")
    statuses.insert(0, other)
    assert (seen(scene).reason, seen(scene).exit_code) == ("Crashed", 1)
    statuses[1]["state"]["terminated"].update(exitCode=0, message="")
    assert (seen(scene).reason, seen(scene).exit_code) == ("Interrupted", 143)


def test_an_initializing_container_that_cannot_start_is_told():
    """Its reasons count like those of the container that trains."""
    scene = recorded("volume-absent")
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    scene["pods"][0]["status"]["initContainerStatuses"] = [{"name": "fetch", "state": waiting}]
    assert (seen(scene).reason, seen(scene).message) == ("ImageNotPulled", "no such image")


def test_the_newest_pod_counts():
    """A replacement runs: what became of the pod before it does not matter any more."""
    scene = recorded("evicted")
    replacement = copy.deepcopy(recorded("running")["pods"][0])
    replacement["metadata"]["creationTimestamp"] = "2026-11-23T23:00:00Z"
    scene["pods"] = [replacement, *scene["pods"]]
    assert (seen(scene).phase, seen(scene).where) == (Phase.RUNNING, replacement["metadata"]["name"])


def test_a_job_that_has_not_ended_is_running_until_it_says_so():
    """Its pod has failed, but the Job's word is the last: a retry before it could meet the pod's remains."""
    scene = recorded("crashed")
    scene["job"]["status"]["conditions"] = []
    assert seen(scene).phase is Phase.RUNNING


def test_a_new_job_is_starting():
    """No status, no pods: nothing to complain about yet."""
    scene = recorded("running")
    del scene["job"]["status"]
    found = seen({"job": scene["job"], "pods": []})
    assert (found.phase, found.reason, found.waiting_since) == (Phase.PENDING, "Starting", found.created)


def test_a_queued_job_names_its_queue():
    """Kueue holds a Job by suspending it, also before it ever had a condition."""
    scene = recorded("suspended")
    scene["job"]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "gpu"
    scene["job"]["status"] = {}
    found = seen(scene)
    assert (found.phase, found.message, found.waiting_since) == (Phase.QUEUED, "waits in queue gpu", found.created)


def test_a_gated_pod_is_queued():
    """A queue may hold the pod instead of the Job."""
    scene = recorded("unschedulable")
    for condition in scene["pods"][0]["status"]["conditions"]:
        condition.update(reason="SchedulingGated", message="Scheduling is blocked due to non-empty scheduling gates")
    assert seen(scene).phase is Phase.QUEUED


def test_a_deadline_spent_on_waiting_says_what_for():
    """Nobody should look for a slow training where no GPU was free."""
    scene = recorded("deadline-unscheduled")
    scene["pods"] = recorded("unschedulable")["pods"]
    message = seen(scene).message
    assert message.startswith("Job was active longer than specified deadline; it never ran: Unschedulable: 0/1 nodes")


def test_times_are_the_trainings_own():
    """Start and end of the container that trains; waiting counts from when the pod had its node."""
    found = seen("crashed")
    assert (found.created, found.started, found.ended) == (
        at("2026-11-23T00:58:15Z"),
        at("2026-11-23T00:58:15Z"),
        at("2026-11-23T00:58:16Z"),
    )
    assert seen("deadline").ended == at("2026-11-23T00:58:50Z"), "no pod is left: the Job's own time"
    assert seen("image-back-off").waiting_since == at("2026-11-23T00:59:29Z")


def test_an_attempt_says_which_run_it_logs_to_and_where_to_look():
    """The run it was given, and the pod's name for `kubectl logs`."""
    found = seen("crashed")
    assert (found.trial, found.number, found.run) == (1, 1, "run-1")
    assert found.where == recorded("crashed")["pods"][0]["metadata"]["name"]


def test_every_try_to_pull_an_image_is_told_in_the_same_words():
    """Failures that differ in nothing but the moment they are seen in are one group."""
    scene = recorded("image-back-off")
    backing_off = seen(scene)
    state = status_of(scene["pods"][0])["state"]["waiting"]
    state.update(reason="ErrImagePull", message=state["message"].split("ErrImagePull: ")[1])
    assert seen(scene) == backing_off


def test_last_words_are_bounded():
    """Kubernetes keeps 4 KiB of them, the record 1 KiB: the end."""
    scene = recorded("crashed")
    status_of(scene["pods"][0])["state"]["terminated"]["message"] = "noise\n" * 800 + "ValueError: the end"
    assert len(seen(scene).message) <= LONGEST_MESSAGE
    assert seen(scene).message.endswith("ValueError: the end")


def test_a_pod_whose_job_was_deleted_still_runs():
    """Its trial must not start again beside it."""
    pod = pod_record(recorded("running")["pods"][0])
    assert pod is not None
    found = leftover(pod)
    assert (found.trial, found.number, found.phase) == (12, 1, Phase.RUNNING)


@pytest.mark.parametrize("kind", ["job", "pod"])
def test_what_is_not_a_trials_has_no_record(kind):
    """Labels of ours on other people's objects mislead nobody."""
    scene = recorded("running")
    document = scene["job"] if kind == "job" else scene["pods"][0]
    make = job_record if kind == "job" else pod_record
    assert make(document) is not None
    document["metadata"]["labels"]["hypersweep.dev/trial"] = "x"
    assert make(document) is None


def test_a_job_without_a_sweep_that_owns_it_has_no_record():
    """Labels can be copied; the owner reference decides."""
    document = recorded("running")["job"]
    document["metadata"]["ownerReferences"][0]["controller"] = False
    assert job_record(document) is None


def test_a_heartbeat_of_the_status_changes_no_record():
    """What does not matter must not wake a sweep: the record is equal."""
    before, after = recorded("running")["pods"][0], recorded("running")["pods"][0]
    after["metadata"]["resourceVersion"] = "999"
    status_of(after)["ready"] = False
    assert pod_record(before) == pod_record(after)
