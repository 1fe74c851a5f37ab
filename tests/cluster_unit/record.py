"""Records what the API server says of Jobs and pods that end or wait in every way we tell apart.

`python -m tests.cluster_unit.record [NAME…]` runs each scene on the real node (root, a few minutes), and writes the Job
and its pods to `recorded/NAME.json`, whence `test_attempts.py` reads them. Run it again for a new Kubernetes.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypersweep.cluster.jobs import Owner, manifest
from tests.cluster import images, paths
from tests.cluster.clients import Kubectl
from tests.cluster.node import RealNode
from tests.cluster.waiting import eventually
from tests.core.builders import make_spec, make_trial

RECORDED = Path(__file__).parent / "recorded"
NAMESPACE = "recording"
UID = "00000000-0000-4000-8000-000000000001"  # of no object; without the CRD nobody can find out, and collect the Jobs
OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB."
GPU = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}

Seen = Callable[[dict[str, Any], list[dict[str, Any]]], Any]


@dataclass(frozen=True)
class Target:
    uri: str = "http://mlflow:5000"
    experiment: str = "1"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A trial's program and container, what is done to it once it runs, and when to take the picture."""

    program: str = ""
    container: dict[str, Any] | None = None
    pod: dict[str, Any] | None = None
    timeout: str | None = None
    act: Callable[[Kubectl, str, str], object] | None = None  # gets the Job's and the pod's name
    seen: Seen


def ended(job: dict[str, Any], _: list[dict[str, Any]]) -> bool:
    return any(c["type"] in ("Complete", "Failed") for c in job.get("status", {}).get("conditions", ()))


def running(_: dict[str, Any], pods: list[dict[str, Any]]) -> bool:
    return bool(pods) and pods[0]["status"]["phase"] == "Running"


def waits_for(*reasons: str) -> Seen:
    def seen(_: dict[str, Any], pods: list[dict[str, Any]]) -> bool:
        states = [
            s["state"].get("waiting", {}).get("reason") for p in pods for s in p["status"].get("containerStatuses", ())
        ]
        return any(state in reasons for state in states)

    return seen


def unscheduled(_: dict[str, Any], pods: list[dict[str, Any]]) -> bool:
    return any(
        c["type"] == "PodScheduled" and c["status"] == "False" for p in pods for c in p["status"].get("conditions", ())
    )


def suspend(kubectl: Kubectl, job: str, _: str) -> None:
    kubectl("patch", "job", job, "--type=merge", '-p={"spec":{"suspend":true}}')


def delete_pod(kubectl: Kubectl, _: str, pod: str) -> None:
    kubectl("delete", "pod", pod, "--wait=false")


def evict(kubectl: Kubectl, _: str, pod: str) -> None:
    review = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    kubectl(
        "create", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction", "-f", "-", stdin=json.dumps(review)
    )


WAIT = "import time; time.sleep(600)"
POLITE = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); time.sleep(600)"
FILL = "open('/scratch/a', 'wb').write(bytes(64 * 2**20)); import time; time.sleep(600)"
SCRATCH = {"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}]}
SECRET = {"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "a"}}}]}
MOUNT = {"volumes": [{"name": "s", "secret": {"secretName": "absent"}}]}

SCENES: dict[str, Scene] = {
    "succeeded": Scene(program="print('done')", seen=ended),
    "crashed": Scene(program="import no_such_module", seen=ended),
    "out-of-memory": Scene(program="x = bytearray(512 * 2**20)", seen=ended),
    "cuda-out-of-memory": Scene(program=f"import sys; sys.exit({OOM!r})", seen=ended),
    "bad-settings": Scene(program="import sys; print('lr: found -1', file=sys.stderr); sys.exit(64)", seen=ended),
    "exit-143": Scene(program="import sys; sys.exit(143)", seen=ended),
    "pod-deleted": Scene(program=POLITE, act=delete_pod, seen=ended),
    "evicted": Scene(
        program=POLITE, act=evict, seen=lambda _, pods: any("deletionTimestamp" in p["metadata"] for p in pods)
    ),
    "deadline": Scene(program=POLITE, timeout="5s", seen=ended),
    "deadline-unscheduled": Scene(container=GPU, timeout="5s", seen=ended),
    "scratch-full": Scene(
        program=FILL,
        pod=SCRATCH,
        container={"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]},
        seen=ended,
    ),
    "no-command": Scene(container={"command": ["/no/such/program"]}, seen=ended),
    "running": Scene(program=WAIT, seen=running),
    "suspended": Scene(program=POLITE, act=suspend, seen=lambda job, pods: not pods and job["spec"].get("suspend")),
    "unschedulable": Scene(container=GPU, seen=unscheduled),
    "image-absent": Scene(container={"image": "registry.invalid/absent:1"}, seen=waits_for("ErrImagePull")),
    "image-back-off": Scene(container={"image": "registry.invalid/absent:1"}, seen=waits_for("ImagePullBackOff")),
    "image-invalid": Scene(container={"image": "Registry.invalid/UPPER:1"}, seen=waits_for("InvalidImageName")),
    "image-never": Scene(
        container={"image": "registry.invalid/absent:1", "imagePullPolicy": "Never"},
        seen=waits_for("ErrImageNeverPull"),
    ),
    "secret-absent": Scene(container=SECRET, seen=waits_for("CreateContainerConfigError")),
    "runs-as-root": Scene(
        container={"securityContext": {"runAsUser": None}}, seen=waits_for("CreateContainerConfigError")
    ),
    "volume-absent": Scene(
        pod=MOUNT, container={"volumeMounts": [{"name": "s", "mountPath": "/s"}]}, seen=waits_for("ContainerCreating")
    ),
}


def job_of(number: int, scene: Scene, uid: str) -> dict[str, Any]:
    """The Job of a scene, as the operator makes it."""
    container = {
        "name": "train",
        "image": images.BASE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", scene.program],
        "resources": {"limits": {"memory": "64Mi"}},
        "securityContext": {"runAsUser": 65532},
        **(scene.container or {}),
    }
    pod = {"containers": [container], "terminationGracePeriodSeconds": 5, **(scene.pod or {})}
    spec = make_spec(job={"template": {"spec": {"template": {"spec": pod}}}}, trials={"timeout": scene.timeout})
    owner = Owner(name="digits", namespace=NAMESPACE, uid=uid, identity="ab12")
    trial = replace(make_trial(number), run=f"run-{number}")
    return manifest(owner=owner, spec=spec, trial=trial, tracking=Target(), trainer_image="")


def record(kubectl: Kubectl, name: str, scene: Scene, uid: str) -> None:
    """Run a scene and write what is seen of it."""
    job = job_of(list(SCENES).index(name), scene, uid)
    job_name = job["metadata"]["name"]
    kubectl.apply(job)

    def look() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        return kubectl.json("get", "job", job_name), kubectl.json("get", "pods", "-l", f"job-name={job_name}")["items"]

    if scene.act is not None:
        eventually(lambda: running(*look()), what=f"{name} to run", seconds=60)
        scene.act(kubectl, job_name, look()[1][0]["metadata"]["name"])
    eventually(lambda: scene.seen(*look()), what=f"{name} to be as wanted", seconds=120)
    time.sleep(1.0 if name == "deadline" else 0.0)
    found, pods = look()
    for document in (found, *pods):
        document["metadata"].pop("managedFields", None)
        document["spec"] = {"suspend": document["spec"].get("suspend")} if document["kind"] == "Job" else {}
        document["metadata"].get("annotations", {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
    text = json.dumps({"job": found, "pods": pods}, indent=1, sort_keys=True)
    (RECORDED / f"{name}.json").write_text(text.replace(str(paths.cache()), "/var/lib") + "\n")
    kubectl("delete", "job", job_name, "--wait=false", "--cascade=background")


def main(wanted: list[str]) -> None:
    """Record the scenes that are named, or all."""
    RECORDED.mkdir(exist_ok=True)
    node = RealNode()
    with node.reserved():
        node.up()
        try:
            images.ensure_base()
            node.load(images.BASE)
            node.kubectl("create", "namespace", NAMESPACE)
            kubectl = node.kubectl.within(NAMESPACE)
            eventually(
                lambda: kubectl("get", "serviceaccount", "default", "--ignore-not-found"), what="the service account"
            )
            for name in wanted or SCENES:
                record(kubectl, name, SCENES[name], UID)
                print("recorded", name, flush=True)
        finally:
            node.down()


if __name__ == "__main__":
    main(sys.argv[1:])
