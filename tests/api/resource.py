"""Makes the resource known to an API server, for tests that need no operator."""

from pathlib import Path

from tests.cluster.clients import Kubectl
from tests.cluster.waiting import eventually

CRD = Path(__file__).parents[2] / "crds" / "hypersweep.dev_hyperparametersweeps.yaml"
NAME = "hyperparametersweeps.hypersweep.dev"


def install(kubectl: Kubectl) -> None:
    """Apply the definition in `crds/`, and wait until the resource is served and discovered. Again is no harm."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    eventually(lambda: NAME in kubectl("api-resources", "-o", "name"), what="the resource in discovery")
