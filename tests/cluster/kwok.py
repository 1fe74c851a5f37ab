"""A node that runs nothing: kwok takes pods through their phases, as their annotations ask for.

Without annotations a pod becomes Running at once and Succeeded a second later. Annotations of the pod, all optional
and all strings, all starting with `test.hypersweep.dev/`:

| annotation        | values                          | default                                                      |
|-------------------|---------------------------------|--------------------------------------------------------------|
| `outcome`         | `succeed`, `fail`, `hold`, `wait` | `succeed`                                                  |
| `duration`        | a Go duration: `200ms`, `5m`    | `1s`: from Running to its end                                |
| `exit-code`       | of a pod that fails             | `1`                                                          |
| `reason`          | of `fail`: the container's; of `wait`: why it waits | `Error`; `ImagePullBackOff`              |
| `message`         | the termination or waiting message | none                                                      |
| `terminating-for` | a Go duration: how long a deleted pod takes to end | `0s`                                      |

* `fail` with `exit-code: "137"` and `reason: OOMKilled` is a container out of memory.
* `hold` runs until deleted. `wait` stays Pending, its containers waiting for `reason`.
* All may be changed while the pod lives: annotate a held pod with `outcome=fail` and it fails. Any change to a pod
  begins its `duration` anew.
* A deleted pod first becomes Failed with exit code 143, as under a real kubelet, and then goes. Finalizers are kept.
* A pod that cannot be scheduled needs no annotation: let it ask for what no node has (`nvidia.com/gpu`), and the real
  scheduler says so.

There are no logs and no exec. The stages that do this are in `kwok.yaml` beside this file.
"""

from collections.abc import Mapping

from tests.cluster import build, paths
from tests.cluster.control_plane import ControlPlane
from tests.cluster.waiting import eventually

PREFIX = "test.hypersweep.dev/"
NODE = "kwok-0"
LABEL = ("type", "kwok")  # the nodes that kwok manages; a real node beside them is left alone

_CAPACITY = {"cpu": "1000", "memory": "1000Gi", "pods": "10000"}


def scenario(outcome: str = "succeed", **settings: str) -> dict[str, str]:
    """The annotations of a pod that ends as `outcome` says: `scenario("fail", exit_code="137", reason="OOMKilled")`.

    Raises:
        ValueError: no such outcome or setting.
    """
    known = {"duration", "exit_code", "reason", "message", "terminating_for"}
    if outcome not in ("succeed", "fail", "hold", "wait") or not settings.keys() <= known:
        raise ValueError(f"no such scenario: {outcome} {sorted(settings)}; settings are {sorted(known)}")
    return {PREFIX + "outcome": outcome} | {PREFIX + key.replace("_", "-"): value for key, value in settings.items()}


def up(plane: ControlPlane) -> None:
    """Start kwok on a control plane that is up, with one node, and wait until the node is ready."""
    build.ensure(["kwok"])
    plane.daemon("kwok").start(
        [
            paths.binary("kwok"),
            f"--kubeconfig={plane.kubeconfig}",
            f"--config={paths.HERE / 'kwok.yaml'}",
            f"--manage-nodes-with-label-selector={LABEL[0]}={LABEL[1]}",
            "--node-lease-duration-seconds=40",
            "--server-address=127.0.0.1:0",
        ]
    )
    add_node(plane)


def add_node(plane: ControlPlane, name: str = NODE, capacity: Mapping[str, str] | None = None) -> None:
    """Add a simulated node (or change its capacity), and wait until it is ready.

    Args:
        capacity: resources beside or instead of the default, such as `{"nvidia.com/gpu": "4"}`.
    """
    kubectl, total = plane.kubectl, {**_CAPACITY, **(capacity or {})}
    labels = {LABEL[0]: LABEL[1], "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    status = {"capacity": total, "allocatable": total, "phase": "Running"}
    kubectl.apply(node, flags=("--server-side",))
    kubectl.apply({**node, "status": status}, flags=("--server-side", "--subresource=status", "--force-conflicts"))

    def ready() -> bool:
        conditions = kubectl.json("get", "node", name)["status"].get("conditions", [])
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

    eventually(ready, what=f"node {name} to be ready (see {plane.daemon('kwok').log})")
