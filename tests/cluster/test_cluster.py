"""The harness itself, on a real control plane with a simulated node: what every other API test takes for granted."""

from typing import Any

import pytest

from tests.cluster import kwok
from tests.cluster.clients import Kubectl, ToolError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import NewControlPlane, ServiceAccountKubeconfig
from tests.cluster.waiting import eventually

pytestmark = pytest.mark.api


def pod(name: str, annotations: dict[str, str], **resources: str) -> dict[str, Any]:
    container = {"name": "main", "image": "trial", "resources": {"limits": resources}}
    metadata = {"name": name, "annotations": annotations}
    spec = {"containers": [container], "restartPolicy": "Never"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def job(name: str, annotations: dict[str, str], **spec: Any) -> dict[str, Any]:
    template = pod(name, annotations)
    template = {"metadata": {"annotations": annotations}, "spec": template["spec"]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}


def status_in_phase(kubectl: Kubectl, name: str, phase: str, seconds: float = 30) -> dict[str, Any]:
    """The status of a pod once it is in `phase`."""

    def look() -> dict[str, Any] | None:
        status: dict[str, Any] = kubectl.json("get", "pod", name)["status"]
        return status if status["phase"] == phase else None

    found = eventually(look, what=f"pod {name} to be {phase}", seconds=seconds)
    assert found is not None
    return found


def container_state(status: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = status["containerStatuses"][0]["state"]
    return state


@pytest.fixture
def here(kubectl: Kubectl, namespace: str) -> Kubectl:
    """`kubectl` in the test's own namespace."""
    return kubectl.within(namespace)


def test_a_job_completes(here: Kubectl) -> None:
    """The whole chain works: job controller, scheduler, simulated node."""
    here.apply(job("plain", {}))
    here("wait", "--for=condition=Complete", "job/plain", "--timeout=30s")


def test_a_pod_succeeds_after_its_duration(here: Kubectl) -> None:
    """`duration` is how long a pod runs."""
    here.apply(pod("quick", kwok.scenario(duration="100ms")), pod("slow", kwok.scenario(duration="1h")))
    status = status_in_phase(here, "quick", "Succeeded")
    assert container_state(status)["terminated"]["exitCode"] == 0
    assert status_in_phase(here, "slow", "Running")["podIP"]


def test_a_pod_fails_with_the_code_reason_and_message_asked_for(here: Kubectl) -> None:
    """Out of memory and a Python traceback look as a kubelet reports them."""
    oom = kwok.scenario("fail", exit_code="137", reason="OOMKilled", duration="10ms")
    crash = kwok.scenario("fail", message='Traceback: "x"\nImportError: no module', duration="10ms")
    here.apply(pod("oom", oom), pod("crash", crash))
    ended = container_state(status_in_phase(here, "oom", "Failed"))["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
    ended = container_state(status_in_phase(here, "crash", "Failed"))["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (1, "Error")
    assert ended["message"] == 'Traceback: "x"\nImportError: no module'


def test_a_failed_pod_fails_its_job(here: Kubectl) -> None:
    """The job controller counts the failure, with its pod failure policy reading the exit code."""
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    failing = kwok.scenario("fail", exit_code="42", duration="10ms")
    here.apply(job("doomed", failing, backoffLimit=6, podFailurePolicy={"rules": [rule]}))
    here("wait", "--for=condition=Failed", "job/doomed", "--timeout=30s")
    assert here.json("get", "job", "doomed")["status"]["failed"] == 1


def test_a_waiting_pod_stays_pending_with_its_reason(here: Kubectl) -> None:
    """An image that cannot be pulled: Pending, the container waiting."""
    here.apply(pod("stuck", kwok.scenario("wait", message="not found: trial:v9")))

    def waiting() -> Any:
        statuses = here.json("get", "pod", "stuck")["status"].get("containerStatuses")
        return statuses and statuses[0]["state"]["waiting"]

    found = eventually(waiting, what="the container to wait")
    assert found == {"reason": "ImagePullBackOff", "message": "not found: trial:v9"}
    assert here.json("get", "pod", "stuck")["status"]["phase"] == "Pending"


def test_a_waiting_pod_starts_once_told_to(here: Kubectl) -> None:
    """Annotations may change while the pod lives."""
    here.apply(pod("late", kwok.scenario("wait")))
    here("annotate", "pod", "late", "--overwrite", f"{kwok.PREFIX}outcome=succeed")
    status_in_phase(here, "late", "Succeeded")


def test_a_held_pod_runs_until_told_otherwise(here: Kubectl) -> None:
    """Also one that was to end on its own: holding takes that back."""
    here.apply(pod("held", kwok.scenario(duration="1h")))
    status_in_phase(here, "held", "Running")
    here("annotate", "pod", "held", f"{kwok.PREFIX}duration=3s", "--overwrite")
    here("annotate", "pod", "held", f"{kwok.PREFIX}outcome=hold", "--overwrite")
    here.apply(pod("clock", kwok.scenario(duration="4s")))
    status_in_phase(here, "clock", "Succeeded")
    status_in_phase(here, "held", "Running", seconds=0)
    here("annotate", "pod", "held", f"{kwok.PREFIX}outcome=fail", "--overwrite")
    status_in_phase(here, "held", "Failed")


def test_a_deleted_pod_fails_with_143_before_it_goes(here: Kubectl) -> None:
    """As under a real kubelet; its finalizers are respected."""
    held = pod("held", kwok.scenario("hold"))
    held["metadata"]["finalizers"] = ["test.hypersweep.dev/look"]
    here.apply(held)
    status_in_phase(here, "held", "Running")
    here("delete", "pod", "held", "--wait=false")
    ended = container_state(status_in_phase(here, "held", "Failed"))["terminated"]
    assert ended["exitCode"] == 143
    here("patch", "pod", "held", "--type=merge", '-p={"metadata":{"finalizers":null}}')
    here("wait", "--for=delete", "pod/held", "--timeout=30s")


def test_a_pod_may_take_its_time_to_end(here: Kubectl) -> None:
    """`terminating-for` keeps a deleted pod running, so that an overlap with its successor would show."""
    here.apply(pod("slow", kwok.scenario("hold", terminating_for="1h")))
    status_in_phase(here, "slow", "Running")
    here("delete", "pod", "slow", "--wait=false")
    here.apply(pod("clock", kwok.scenario(duration="1s")))
    status_in_phase(here, "clock", "Succeeded")
    status_in_phase(here, "slow", "Running", seconds=0)
    here("annotate", "pod", "slow", "--overwrite", f"{kwok.PREFIX}terminating-for=0s")
    here("wait", "--for=delete", "pod/slow", "--timeout=30s")


def test_an_evicted_pod_says_that_it_was_disrupted(here: Kubectl) -> None:
    """The eviction API marks the pod, and the mark outlives the pod's end."""
    evicted = pod("evicted", kwok.scenario("hold"))
    evicted["metadata"]["finalizers"] = ["test.hypersweep.dev/look"]
    here.apply(evicted)
    status_in_phase(here, "evicted", "Running")
    eviction = '{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "evicted"}}'
    here("create", "--raw", f"/api/v1/namespaces/{here.namespace}/pods/evicted/eviction", "-f", "-", stdin=eviction)
    status = status_in_phase(here, "evicted", "Failed")
    reasons = {item["type"]: item.get("reason") for item in status["conditions"]}
    assert reasons["DisruptionTarget"] == "EvictionByEvictionAPI"
    here("patch", "pod", "evicted", "--type=merge", '-p={"metadata":{"finalizers":null}}')


def test_a_pod_that_fits_no_node_is_unschedulable(control_plane: ControlPlane, here: Kubectl) -> None:
    """The real scheduler says so, and takes it back when a node has what the pod asks for."""
    here.apply(pod("large", {}, **{"example.com/accelerator": "1"}))

    def refused() -> bool:
        conditions = here.json("get", "pod", "large")["status"].get("conditions", [])
        return any(item["reason"] == "Unschedulable" for item in conditions if item["type"] == "PodScheduled")

    eventually(refused, what="the scheduler to refuse the pod")
    kwok.add_node(control_plane, "kwok-accelerated", {"example.com/accelerator": "8"})
    status_in_phase(here, "large", "Succeeded")


def test_an_unknown_scenario_is_refused() -> None:
    """A typo must not make a pod that silently succeeds."""
    with pytest.raises(ValueError, match="exit_codes"):
        kwok.scenario("fail", exit_codes="1")
    with pytest.raises(ValueError, match="oom"):
        kwok.scenario("oom")


def test_a_service_account_has_its_own_rights_only(
    here: Kubectl, namespace: str, service_account_kubeconfig: ServiceAccountKubeconfig
) -> None:
    """RBAC is real: what was not granted is forbidden."""
    here("create", "serviceaccount", "reader")
    here("create", "role", "reader", "--verb=list", "--resource=pods")
    here("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:reader")
    reader = Kubectl(service_account_kubeconfig(namespace, "reader"))
    assert f"{namespace}:reader" in reader("auth", "whoami")

    def may_list_pods() -> bool:
        try:
            reader("get", "pods")
        except ToolError:
            return False
        return True

    eventually(may_list_pods, what="the role binding to be seen")
    with pytest.raises(ToolError, match="forbidden"):
        reader("get", "secrets")


def test_two_control_planes_are_independent(
    kubectl: Kubectl, namespace: str, new_control_plane: NewControlPlane
) -> None:
    """What one holds, the other has never heard of; flags are per control plane."""
    other = new_control_plane(nodes=False, apiserver_flags=["--anonymous-auth=false"]).kubectl
    assert namespace in kubectl("get", "namespaces")
    assert namespace not in other("get", "namespaces")
    assert not other("get", "nodes")


def test_a_restarted_apiserver_keeps_address_and_objects(new_control_plane: NewControlPlane) -> None:
    """Clients come back to the same server with the same data; while it is away they are refused."""
    plane = new_control_plane()
    plane.kubectl("create", "configmap", "kept")
    before = plane.status()["kube-apiserver"]
    plane.stop_apiserver()
    with pytest.raises(ToolError, match="refused"):
        plane.kubectl("get", "configmap", "kept")
    plane.start_apiserver()
    plane.kubectl("get", "configmap", "kept")
    assert plane.status()["kube-apiserver"] not in (None, before)
    plane.kubectl.apply(job("after", {}))
    plane.kubectl("wait", "--for=condition=Complete", "job/after", "--timeout=60s")


def test_up_twice_changes_nothing_and_down_ends_every_process(new_control_plane: NewControlPlane) -> None:
    """Both may be repeated; after `down`, a new `up` is a fresh cluster."""
    plane = new_control_plane()
    plane.kubectl("create", "configmap", "old")
    before = plane.status()
    plane.up()
    kwok.up(plane)
    assert plane.status() == before
    assert all(before.values())
    plane.down()
    plane.down()
    assert not any(plane.status().values())
    plane.up()
    assert not plane.kubectl("get", "configmap", "old", "--ignore-not-found")
