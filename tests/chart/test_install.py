"""The chart on a real API server, by the real Helm; the node only pretends to run its pods."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import CHART, NAME, NAMESPACE, RELEASE
from tests.cluster.clients import ToolError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import NewControlPlane
from tests.cluster.waiting import eventually

pytestmark = pytest.mark.api

CRD = "hyperparametersweeps.hypersweep.dev"
SWEEP = """
apiVersion: hypersweep.dev/v1alpha1
kind: HyperparameterSweep
metadata: {name: kept}
spec:
  objectives: [{metric: loss, goal: Minimize}]
  parameters: [{name: lr, type: Float, min: 0.001, max: 0.1}]
  trainer: {}
"""


@pytest.fixture
def plane(new_control_plane: NewControlPlane) -> ControlPlane:
    """A cluster of the test's own (a CRD is cluster-wide), with a namespace that admits restricted pods only."""
    plane = new_control_plane()
    plane.kubectl("create", "namespace", NAMESPACE)
    plane.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    return plane


def install(plane: ControlPlane, *arguments: str, chart: Path = CHART) -> str:
    """Install or upgrade the release, with its MLflow, and wait until all of it is ready; returns Helm's words."""
    flags = ["--set=mlflow.enabled=true,mlflow.persistence.enabled=false", "--wait", "--timeout=60s", *arguments]
    return plane.helm("upgrade", "--install", RELEASE, str(chart), f"--namespace={NAMESPACE}", *flags, seconds=90)


def may(plane: ControlPlane, verb: str, resource: str, namespace: str, *flags: str) -> bool:
    """Whether the operator's account has a right there."""
    account = f"--as=system:serviceaccount:{NAMESPACE}:{NAME}"
    try:
        plane.kubectl("auth", "can-i", verb, resource, f"--namespace={namespace}", account, *flags)
    except ToolError as refusal:
        if refusal.stderr.strip():
            raise
        return False  # "no" is said on standard output, with exit code 1
    return True


def test_a_release_becomes_ready_under_restricted_pod_security(plane: ControlPlane) -> None:
    """Admission takes the pods of operator and MLflow as they are, and the notes say what to do next."""
    notes = install(plane)
    assert f"kubectl apply --namespace {NAMESPACE}" in notes
    pods = plane.kubectl.within(NAMESPACE).json("get", "pods")["items"]
    components = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
    assert (components, len(pods)) == ({"operator", "mlflow"}, 2)


def test_the_operator_may_do_its_work_in_watched_namespaces_only(plane: ControlPlane) -> None:
    """As the API server decides it, for the operator's own account."""
    for name in ("watched", "other"):
        plane.kubectl("create", "namespace", name)
    install(plane, "--set=namespaces={watched}")
    granted = [
        ("watch", "hyperparametersweeps.hypersweep.dev"),
        ("create", "jobs.batch"),
        ("delete", "jobs.batch"),
        ("watch", "pods"),
        ("create", "events.events.k8s.io"),
        ("create", "leases.coordination.k8s.io"),
    ]
    refused = [
        ("get", "secrets"),
        ("list", "secrets"),
        ("update", "hyperparametersweeps.hypersweep.dev"),
        ("patch", "jobs.batch"),
        ("create", "pods"),
        ("get", "configmaps"),
    ]
    for verb, resource in granted:
        assert may(plane, verb, resource, "watched"), (verb, resource)
        for elsewhere in ("other", NAMESPACE):
            assert not may(plane, verb, resource, elsewhere), (verb, resource, elsewhere)
    for verb, resource in refused:
        assert not may(plane, verb, resource, "watched"), (verb, resource)
    assert may(plane, "patch", "hyperparametersweeps.hypersweep.dev", "watched", "--subresource=status")
    assert not may(plane, "get", "pods", "watched", "--subresource=log")


def test_an_upgrade_upgrades_the_crd(plane: ControlPlane, tmp_path: Path) -> None:
    """A release of an older chart, whose CRD lacks a column, gets it with the newer chart."""
    older = tmp_path / "hypersweep"
    shutil.copytree(CHART, older)
    definition = yaml.safe_load((older / "files" / "crd.yaml").read_text())
    dropped = definition["spec"]["versions"][0]["additionalPrinterColumns"].pop()["name"]
    (older / "files" / "crd.yaml").write_text(yaml.safe_dump(definition))

    def columns() -> set[str]:
        version = plane.kubectl.json("get", "crd", CRD)["spec"]["versions"][0]
        return {column["name"] for column in version["additionalPrinterColumns"]}

    install(plane, chart=older)
    assert dropped not in columns()
    install(plane)
    assert dropped in columns()


def test_sweeps_outlive_the_release(plane: ControlPlane) -> None:
    """Uninstalling takes the operator and leaves CRD and sweeps; installing again takes them over."""
    kubectl = plane.kubectl.within(NAMESPACE)
    install(plane)
    kubectl.apply(SWEEP)
    uid = kubectl("get", "hps", "kept", "-o", "jsonpath={.metadata.uid}")
    plane.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--wait")
    eventually(lambda: not kubectl.json("get", "pods")["items"], what="the operator's pod to be gone")
    left = kubectl("get", "deployments,services,configmaps,roles,rolebindings,serviceaccounts", "-o", "name")
    assert set(left.split()) == {"configmap/kube-root-ca.crt", "serviceaccount/default"}
    assert "hypersweep" not in plane.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
    install(plane)
    assert kubectl("get", "hps", "kept", "-o", "jsonpath={.metadata.uid}") == uid


def test_people_who_may_edit_a_namespace_may_edit_sweeps(plane: ControlPlane) -> None:
    """The cluster's own role `edit` gets the rights, `view` only those to read."""
    install(plane)
    for role in ("edit", "view"):
        plane.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}", f"-n={NAMESPACE}")

    def answer(user: str) -> str:
        try:
            return plane.kubectl("auth", "can-i", "create", CRD, f"--as={user}", f"-n={NAMESPACE}").strip()
        except ToolError:
            return "no"

    eventually(lambda: answer("edit") == "yes", what="the role `edit` to be aggregated")
    assert answer("view") == "no"
