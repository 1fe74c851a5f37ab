"""What the chart renders for the operator: its configuration, its pod, and nothing that values do not ask for."""

from pathlib import Path
from typing import Any

import pytest

from hypersweep.controller import config as operator_config
from tests.chart.rendering import NAME, NAMESPACE, SERVER, Refused, Rendered, render
from tests.core.builders import make_spec

pytestmark = pytest.mark.api


def read_config(rendered: Rendered, directory: Path) -> operator_config.Config:
    """The rendered configuration, as the operator reads it."""
    file = directory / "config.yaml"
    file.write_text(rendered.one("ConfigMap")["data"]["config.yaml"])
    return operator_config.load(file)


def test_the_operator_reads_the_rendered_configuration(tmp_path: Path) -> None:
    """Chart and operator agree on the file: its own reader takes it, and finds what the values say."""
    speech = {
        "name": "speech",
        "uri": "https://speech.example.com",
        "trialUri": "http://speech.mlops.svc:5000",
        "uiUrl": "https://speech.example.com/ui",
        "namespaces": ["speech"],
    }
    config = read_config(
        render({"namespaces": ["speech", "vision"], "trackingServers": [SERVER, speech], "logFormat": "text"}), tmp_path
    )
    assert config.namespaces == ("speech", "vision")
    assert config.log_format == "text"
    assert config.trainer_image == "hypersweep-trainer:0.1.0"
    assert config.server("speech", "speech").trial_uri == "http://speech.mlops.svc:5000"
    assert config.server("speech", "speech").ui_uri == "https://speech.example.com/ui"
    assert not config.server("default", "vision").credentials
    assert [server.name for server in config.tracking_servers if server.allows("vision")] == ["default"]


def test_what_sweeps_may_learn_from_is_the_administrators(tmp_path: Path) -> None:
    """By default the namespace's own experiments; patterns per server, also for the one that the chart brings."""

    def allowed(config: operator_config.Config, server: str, experiment: str) -> bool:
        spec = make_spec(warmStart=[{"experiment": experiment}])
        return not config.server(server, "vision").forbidden(spec, "vision")

    shared = {"name": "shared", "uri": "http://b", "readableExperiments": ["{namespace}/*", "papers-*"]}
    none = {"name": "none", "uri": "http://c", "readableExperiments": []}
    config = read_config(
        render({"mlflow": {"enabled": True, "readableExperiments": ["*"]}, "trackingServers": [shared, none]}), tmp_path
    )
    assert allowed(config, "default", "anything")
    rows = {"vision/a": True, "papers-2025": True, "speech/a": False, "papers": False, "xvision/a": False}
    assert {name: allowed(config, "shared", name) for name in rows} == rows
    assert not allowed(config, "none", "vision/a")
    plain = read_config(render({}), tmp_path)
    assert allowed(plain, "default", "vision/a")
    assert not allowed(plain, "default", "vision.+/a")


def test_what_sweeps_may_register_is_the_administrators(tmp_path: Path) -> None:
    """By default what begins with the namespace and a dot, so that none can move another's alias; patterns per server."""

    def allowed(config: operator_config.Config, server: str, model: str, namespace: str = "team") -> bool:
        spec = make_spec(onComplete={"registerModel": model})
        return not config.server(server, namespace).forbidden(spec, namespace)

    shared = {"name": "shared", "uri": "http://b", "registrableModels": ["{namespace}.*", "asr"]}
    none = {"name": "none", "uri": "http://c", "registrableModels": []}
    config = read_config(
        render({"mlflow": {"enabled": True, "registrableModels": ["*"]}, "trackingServers": [shared, none]}), tmp_path
    )
    assert allowed(config, "default", "anything")
    assert [allowed(config, "shared", name) for name in ("team.a", "asr", "asr2", "other.a")] == [
        True,
        True,
        False,
        False,
    ]
    assert not allowed(config, "none", "team.a")
    plain = read_config(render({}), tmp_path)
    rows = {"team.digits": True, "team.a.b": True, "team-a.digits": False, "team": False, "teamXdigits": False}
    assert {name: allowed(plain, "default", name) for name in rows} == rows
    [problem] = plain.server("default", "team").forbidden(make_spec(onComplete={"registerModel": "team-a.d"}), "team")
    assert str(problem) == ('spec.onComplete.registerModel: found "team-a.d"; allowed for namespace team: team.*')


def test_credentials_are_mounted_where_the_configuration_says(tmp_path: Path) -> None:
    """A server's Secret reaches the operator as files, at the path it is told, readable for its group only."""
    rendered = render({"trackingServers": [{**SERVER, "credentialsSecret": "mlflow-login"}]})
    directory = str(read_config(rendered, tmp_path).server("default", NAMESPACE).credentials)
    pod = rendered.pod()
    (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["mountPath"] == directory]
    (volume,) = [v for v in pod["volumes"] if v["name"] == mount["name"]]
    assert volume["secret"] == {"secretName": "mlflow-login", "defaultMode": 0o440}
    assert mount["readOnly"] is True


def test_a_changed_configuration_restarts_the_operator() -> None:
    """It reads its configuration once, at start."""

    def annotations(values: dict[str, Any]) -> dict[str, str]:
        template = render(values).one("Deployment")["spec"]["template"]
        return dict(template["metadata"]["annotations"])

    assert annotations({}) == annotations({})
    assert annotations({}) != annotations({"logFormat": "text"})


def test_the_operator_knows_its_own_pod() -> None:
    """Its namespace is what it watches by default; its UID holds the Lease across restarts of the container."""
    environment = {item["name"]: item["valueFrom"]["fieldRef"] for item in render({}).pod()["containers"][0]["env"]}
    assert environment == {
        "POD_NAME": {"fieldPath": "metadata.name"},
        "POD_NAMESPACE": {"fieldPath": "metadata.namespace"},
        "POD_UID": {"fieldPath": "metadata.uid"},
    }


def test_one_operator_at_a_time() -> None:
    """An old pod is gone before the new one starts: two would only wait for each other's Lease."""
    deployment = render({}).one("Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({}, "hypersweep-operator:0.1.0"),
        ({"repository": "registry.example.com/sweeps", "tag": "1.2"}, "registry.example.com/sweeps:1.2"),
        ({"tag": "1.2", "digest": f"sha256:{'a' * 64}"}, f"hypersweep-operator@sha256:{'a' * 64}"),
    ],
)
def test_an_image_is_named_by_tag_or_digest(image: dict[str, str], reference: str) -> None:
    """The tag is the chart's version unless told; a digest says more than a tag."""
    assert render({"image": image}).pod()["containers"][0]["image"] == reference


def test_objects_of_a_release_are_all_its_own() -> None:
    """By default there is no MLflow, no ServiceMonitor, and no cluster-wide right."""
    names = {(item["kind"], item["metadata"]["name"]) for item in render({})}
    assert names == {
        ("ClusterRole", f"{NAMESPACE}-{NAME}-edit"),
        ("ClusterRole", f"{NAMESPACE}-{NAME}-view"),
        ("ConfigMap", NAME),
        ("CustomResourceDefinition", "hyperparametersweeps.hypersweep.dev"),
        ("Deployment", NAME),
        ("Role", f"{NAMESPACE}-{NAME}"),
        ("RoleBinding", f"{NAMESPACE}-{NAME}"),
        ("Service", f"{NAME}-metrics"),
        ("ServiceAccount", NAME),
    }


def test_switched_off_parts_are_not_rendered() -> None:
    """Where others manage CRD, rights and account, the release leaves them alone."""
    off: dict[str, Any] = {"crds": {"install": False}, "rbac": {"create": False, "aggregate": False}}
    off |= {"serviceAccount": {"create": False, "name": "theirs"}, "metrics": {"service": False}}
    rendered = render(off)
    assert {item["kind"] for item in rendered} == {"ConfigMap", "Deployment"}
    assert rendered.pod()["serviceAccountName"] == "theirs"


def test_metrics_are_scraped_from_the_operators_port() -> None:
    """ServiceMonitor, Service and container name the same port, and the labels select."""
    rendered = render({"metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}})
    monitor, service = rendered.one("ServiceMonitor"), rendered.one("Service", f"{NAME}-metrics")
    (port,) = service["spec"]["ports"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"][0]["port"] == port["name"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert port["targetPort"] in {p["name"] for p in rendered.pod()["containers"][0]["ports"]}
    labels = rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def test_extra_objects_are_installed_with_templates_rendered() -> None:
    """A release can hold a sweep; what stands in it may name the release."""
    sweep = {"apiVersion": "hypersweep.dev/v1alpha1", "kind": "HyperparameterSweep"}
    sweep["metadata"] = {"name": "{{ .Release.Name }}-digits"}  # type: ignore[assignment]
    assert render({"extraObjects": [sweep]}).of_kind("HyperparameterSweep")[0]["metadata"]["name"] == "sweeps-digits"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"trackingServers": []}, "list a server"),
        ({"trackingServers": [SERVER, SERVER]}, 'two servers are named "default"'),
        ({"mlflow": {"enabled": True}}, 'two servers are named "default"'),
        ({"trackingServers": [{"name": "default"}]}, "missing property 'uri'"),
        ({"trackingServers": [{**SERVER, "uri": "mlflow:5000"}]}, "/trackingServers/0/uri"),
        ({"trackingServers": [{**SERVER, "token": "secret"}]}, "additional properties 'token' not allowed"),
        ({"trackingServers": [{**SERVER, "readableExperiments": "*"}]}, "/trackingServers/0/readableExperiments"),
        ({"namespaces": ["*", "vision"]}, "/namespaces"),
        ({"namespaces": ["Vision"]}, "/namespaces/0"),
        ({"namespaces": "vision"}, "/namespaces"),
        ({"replicas": 2}, "additional properties 'replicas' not allowed"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"logFormat": "xml"}, "/logFormat"),
        ({"mlflow": {"persistence": {"size": 10}}}, "/mlflow/persistence/size"),
    ],
)
def test_a_mistake_in_values_is_refused_with_its_place(values: dict[str, Any], said: str) -> None:
    """A misspelled or impossible value never installs something half right."""
    with pytest.raises(Refused, match=said.replace("*", r"\*")):
        render(values)


def test_an_old_kubernetes_is_refused() -> None:
    """The operator uses what is stable in 1.33."""
    with pytest.raises(Refused, match="incompatible with Kubernetes"):
        render({}, "--kube-version=1.32.9")
    assert render({}, "--kube-version=1.33.0-gke.100")


def test_a_platform_may_choose_the_user_itself() -> None:
    """`null` takes a default away, as OpenShift needs for its own choice of users."""
    security = render({"podSecurityContext": {"runAsUser": None, "fsGroup": None}}).pod()["securityContext"]
    assert "runAsUser" not in security
    assert security["runAsNonRoot"] is True
