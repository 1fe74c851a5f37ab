"""The release under test: images built and loaded, the chart installed with its MLflow on a volume."""

import json
import os
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import images
from tests.cluster.clients import Kubectl
from tests.cluster.fixtures import fresh_namespace
from tests.cluster.node import RealNode
from tests.cluster.waiting import eventually

REPOSITORY = Path(__file__).resolve().parents[2]
CHART = REPOSITORY / "charts" / "hypersweep"
USER = 65532  # of our images

NAME = "e2e"
FULL_NAME = f"{NAME}-hypersweep"
MLFLOW = f"{FULL_NAME}-mlflow"


def image(target: str) -> str:
    """The name of an image of ours on the node."""
    return f"localhost/hypersweep-{target}:e2e"


@dataclass(frozen=True)
class Release:
    """The installed chart: operator, MLflow and sweeps, all in one namespace."""

    node: RealNode
    namespace: str

    @property
    def kubectl(self) -> Kubectl:
        """`kubectl` in its namespace."""
        return self.node.kubectl.within(self.namespace)

    def helm(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Helm in its namespace; `values` are passed on standard input."""
        stdin = json.dumps(values) if values is not None else None
        return self.node.helm(*arguments, f"--namespace={self.namespace}", stdin=stdin, seconds=600)

    def values(self) -> dict[str, Any]:
        """What is installed: the images of this working tree, and an MLflow that keeps its results."""
        return {
            "image": _image("operator"),
            "trainer": {"image": _image("trainer")},
            "crds": {"keep": False},
            "mlflow": {"enabled": True, "image": _image("mlflow"), "persistence": {"keep": False, "size": "1Gi"}},
        }

    def mlflow(self, path: str, **body: Any) -> Any:
        """The answer of MLflow's REST API, asked through its Service under the name that trials use."""
        url = f"{self.node.service_url(self.namespace, MLFLOW)}api/2.0/mlflow/{path}"
        headers = {"Host": f"{MLFLOW}.{self.namespace}.svc:5000", "Content-Type": "application/json"}
        request = urllib.request.Request(url, data=json.dumps(body).encode() if body else None, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def finished(self, sweep: str, *, seconds: float) -> dict[str, Any]:
        """The sweep once it has ended, in whatever way."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.kubectl.json("get", "hyperparametersweep", sweep)
            conditions = found.get("status", {}).get("conditions", [])
            over = any(c["type"] == "Finished" and c["status"] == "True" for c in conditions)
            return found if over else None

        found = eventually(look, what=f"sweep {sweep} to end", seconds=seconds, every=1)
        assert found is not None
        return found


def load_images(node: RealNode) -> None:
    """Build the images of this working tree, and give them to the node."""
    for target in ("operator", "mlflow", "trainer"):
        images.build(image(target), REPOSITORY, target=target)
        node.load(image(target))


@contextmanager
def installed(node: RealNode, folder: Path) -> Iterator[Release]:
    """The chart in a namespace of its own, ready; MLflow's data lie in `folder`. The images must be loaded."""
    with fresh_namespace(node.kubectl, "hypersweep-e2e") as namespace:
        found = Release(node, namespace)
        node.kubectl.apply(_volume(namespace, folder))
        try:
            found.helm("install", NAME, str(CHART), "--values=-", "--wait", "--timeout=8m", values=found.values())
            yield found
        finally:
            found.helm("uninstall", NAME, "--ignore-not-found", "--wait")
            node.kubectl("delete", "persistentvolume", namespace, "--wait=false")


def _image(target: str) -> dict[str, str]:
    repository, _, tag = image(target).rpartition(":")
    return {"repository": repository, "tag": tag}


def _volume(namespace: str, directory: Path) -> dict[str, Any]:
    """A volume of the node that waits for MLflow's claim; a provisioner would make it."""
    for part in (directory, *directory.parents[:2]):
        part.chmod(0o755)
    os.chown(directory, USER, USER)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": str(directory)},
            "claimRef": {"namespace": namespace, "name": MLFLOW},
        },
    }
