"""What the chart renders for the optional MLflow server."""

import fnmatch
from typing import Any

import pytest
import yaml

from tests.chart.rendering import NAME, NAMESPACE, Rendered, render

pytestmark = pytest.mark.api

MLFLOW = f"{NAME}-mlflow"


def with_mlflow(**values: Any) -> Rendered:
    """A release whose only tracking server is the chart's own."""
    return render({"trackingServers": [], "mlflow": {"enabled": True, **values}})


def environment(container: dict[str, Any]) -> dict[str, Any]:
    """The variables of a container: their values, or where those come from."""
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


def test_it_is_the_default_tracking_server_of_all_watched_namespaces() -> None:
    """A sweep that names no server finds it, by its Service's name and port."""
    rendered = with_mlflow(service={"port": 80}, uiUrl="https://mlflow.example.com")
    assert yaml.safe_load(rendered.one("ConfigMap")["data"]["config.yaml"])["trackingServers"] == [
        {
            "name": "default",
            "uri": f"http://{MLFLOW}.{NAMESPACE}.svc:80",
            "uiUrl": "https://mlflow.example.com",
            "namespaces": ["*"],
        }
    ]
    assert rendered.one("Service", MLFLOW)["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]


@pytest.mark.parametrize(
    "host", [MLFLOW, f"{MLFLOW}.{NAMESPACE}.svc:5000", f"{MLFLOW}.{NAMESPACE}.svc.cluster.local:5000", "localhost:8080"]
)
def test_it_answers_to_the_names_that_the_cluster_has_for_it(host: str) -> None:
    """MLflow refuses a Host header that it was not told of (it compares by fnmatch)."""
    (allowed,) = [a for a in with_mlflow().pod(MLFLOW)["containers"][0]["args"] if a.startswith("--allowed-hosts=")]
    assert any(fnmatch.fnmatch(host, pattern) for pattern in allowed.partition("=")[2].split(","))
    assert not any(fnmatch.fnmatch("evil.example.com", pattern) for pattern in allowed.partition("=")[2].split(","))


def test_sqlite_lies_on_a_claim_that_outlives_the_release() -> None:
    """Results are what the sweeps were run for: uninstalling does not take them along."""
    rendered = with_mlflow()
    claim, pod = rendered.one("PersistentVolumeClaim", MLFLOW), rendered.pod(MLFLOW)
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    (volume,) = [v["name"] for v in pod["volumes"] if v.get("persistentVolumeClaim") == {"claimName": MLFLOW}]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert {"name": volume, "mountPath": "/mlflow"} in container["volumeMounts"]
        assert environment(container)["MLFLOW_BACKEND_STORE_URI"] == "sqlite:////mlflow/mlflow.db"
    assert not with_mlflow(persistence={"existingClaim": "mine"}).of_kind("PersistentVolumeClaim")
    lost = with_mlflow(persistence={"keep": False}).one("PersistentVolumeClaim", MLFLOW)
    assert "annotations" not in lost["metadata"]


def test_a_databases_url_comes_from_a_secret_only() -> None:
    """It holds a password: it stands in no object of the release."""
    pod = with_mlflow(database={"urlSecret": "postgres", "urlKey": "uri"}, persistence={"enabled": False}).pod(MLFLOW)
    source = {"secretKeyRef": {"name": "postgres", "key": "uri"}}
    for container in (*pod["initContainers"], *pod["containers"]):
        assert environment(container)["MLFLOW_BACKEND_STORE_URI"] == source
    assert {"name": "mlflow", "emptyDir": {}} in pod["volumes"]


def test_a_schema_is_migrated_before_the_server_starts() -> None:
    """A newer MLflow refuses an older schema; who migrates by hand switches this off."""
    (migration,) = with_mlflow().pod(MLFLOW)["initContainers"]
    assert (migration["command"], migration["args"]) == (["mlflow"], ["db", "upgrade", "$(MLFLOW_BACKEND_STORE_URI)"])
    assert "initContainers" not in with_mlflow(migrate=False).pod(MLFLOW)


def test_it_has_no_rights_in_the_cluster() -> None:
    """MLflow needs no API; its pod holds no token."""
    pod = with_mlflow().pod(MLFLOW)
    assert pod["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod
