"""Builders for tests of the chart: `render({...values})` to the objects it makes, by the real `helm template`."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import build, paths

CHART = Path(__file__).resolve().parents[2] / "charts" / "hypersweep"
RELEASE, NAMESPACE = "sweeps", "hypersweep-system"
NAME = f"{RELEASE}-hypersweep"
SERVER = {"name": "default", "uri": "http://mlflow.example.com"}

Object = dict[str, Any]


class Refused(Exception):  # noqa: N818  (not a fault: what some tests want to see)
    """Helm would not render these values; the text is what it said."""


class Rendered(list[Object]):
    """The objects of a release, with the look-ups that tests need."""

    def of_kind(self, kind: str) -> list[Object]:
        """All objects of a kind, in the order of their namespaces and names."""
        found = [item for item in self if item["kind"] == kind]
        return sorted(found, key=lambda item: (item["metadata"].get("namespace", ""), item["metadata"]["name"]))

    def one(self, kind: str, name: str = NAME) -> Object:
        """The object of that kind and name."""
        (found,) = [item for item in self.of_kind(kind) if item["metadata"]["name"] == name]
        return found

    def pod(self, name: str = NAME) -> Object:
        """The spec of a Deployment's pods."""
        spec: Object = self.one("Deployment", name)["spec"]["template"]["spec"]
        return spec


def render(values: Mapping[str, Any], *arguments: str) -> Rendered:
    """The objects that the chart makes of `values`; a tracking server is added where they have none.

    Raises:
        Refused: by the schema, by the chart, or for the version of Kubernetes.
    """
    build.ensure(["helm"])
    command = [paths.binary("helm"), "template", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-"]
    done = subprocess.run(
        [*command, *arguments],
        input=json.dumps({"trackingServers": [SERVER], **values}),
        env={**os.environ, "KUBECONFIG": os.devnull},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    if done.returncode:
        raise Refused(done.stderr)
    return Rendered(item for item in yaml.safe_load_all(done.stdout) if item)
