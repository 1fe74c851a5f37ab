"""The operator's rights, as rendered: exactly what it needs, in the watched namespaces and nowhere else."""

import pytest
import yaml

from tests.chart.rendering import NAME, NAMESPACE, Object, Rendered, render

pytestmark = pytest.mark.api

RIGHTS = {
    "hypersweep.dev/hyperparametersweeps": {"get", "list", "watch"},
    "hypersweep.dev/hyperparametersweeps/status": {"get", "patch", "update"},
    "batch/jobs": {"get", "list", "watch", "create", "delete"},
    "/pods": {"get", "list", "watch"},
    "/events": {"list", "create", "patch"},
    "events.k8s.io/events": {"list", "create", "patch"},
    "coordination.k8s.io/leases": {"get", "create", "update", "patch"},
}


def rights(role: Object) -> dict[str, set[str]]:
    """The verbs of a role by group and resource."""
    found: dict[str, set[str]] = {}
    for rule in role["rules"]:
        assert rule.keys() == {"apiGroups", "resources", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault(f"{group}/{resource}", set()).update(rule["verbs"])
    return found


def operators_bindings(rendered: Rendered) -> list[Object]:
    """All bindings to the operator's account; there are no others."""
    bindings = rendered.of_kind("RoleBinding") + rendered.of_kind("ClusterRoleBinding")
    assert [b["subjects"] for b in bindings] == [
        [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}] for _ in bindings
    ]
    return bindings


@pytest.mark.parametrize(
    ("namespaces", "watched"),
    [([], [NAMESPACE]), (["vision"], ["vision"]), (["vision", "speech"], ["speech", "vision"])],
)
def test_each_watched_namespace_has_a_role_of_its_own(namespaces: list[str], watched: list[str]) -> None:
    """Without a namespace named, the operator watches the release's; no binding is cluster-wide."""
    rendered = render({"namespaces": namespaces})
    roles, bindings = rendered.of_kind("Role"), operators_bindings(rendered)
    assert [role["metadata"]["namespace"] for role in roles] == watched
    assert [rights(role) for role in roles] == [RIGHTS] * len(watched)
    assert [(b["kind"], b["metadata"]["namespace"]) for b in bindings] == [("RoleBinding", name) for name in watched]
    assert {(b["roleRef"]["kind"], b["roleRef"]["name"]) for b in bindings} == {("Role", roles[0]["metadata"]["name"])}
    config = yaml.safe_load(rendered.one("ConfigMap")["data"]["config.yaml"])
    assert sorted(config["namespaces"]) == watched


def test_only_the_wildcard_makes_rights_cluster_wide() -> None:
    """`["*"]` is the one way to a ClusterRole, which grants the same and no more."""
    rendered = render({"namespaces": ["*"], "rbac": {"aggregate": False}})
    (role,), (binding,) = rendered.of_kind("ClusterRole"), operators_bindings(rendered)
    assert rights(role) == RIGHTS
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert not rendered.of_kind("Role")


def test_people_get_rights_on_sweeps_by_the_clusters_own_roles() -> None:
    """`view` reads sweeps, `edit` writes them; neither touches the status, and no one is bound to them here."""
    roles = {role["metadata"]["name"].rsplit("-", 1)[1]: role for role in render({}).of_kind("ClusterRole")}
    assert rights(roles["view"]) == {"hypersweep.dev/hyperparametersweeps": {"get", "list", "watch"}}
    assert rights(roles["edit"]) == {
        "hypersweep.dev/hyperparametersweeps": {"create", "update", "patch", "delete", "deletecollection"}
    }
    label = "rbac.authorization.k8s.io/aggregate-to-"
    assert {key for key in roles["view"]["metadata"]["labels"] if key.startswith(label)} == {
        f"{label}{name}" for name in ("view", "edit", "admin")
    }
    assert {key for key in roles["edit"]["metadata"]["labels"] if key.startswith(label)} == {
        f"{label}{name}" for name in ("edit", "admin")
    }
