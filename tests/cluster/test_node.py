"""The real node itself: containers run, fail and talk as in any cluster. What the e2e tests take for granted."""

import os
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import firewall, images, remnants
from tests.cluster.clients import Kubectl
from tests.cluster.node import DAEMONS, RealNode
from tests.cluster.waiting import eventually


def pod(name: str, *command: str, image: str = images.BASE, labels: dict[str, str] | None = None) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"limits": {"memory": "64Mi"}},
    }
    spec = {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def python(name: str, program: str, **settings: Any) -> dict[str, Any]:
    return pod(name, "python3", "-c", program, **settings)


def service(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": 8000}]
    spec = {"selector": {"app": name}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def in_phase(kubectl: Kubectl, name: str, phase: str) -> dict[str, Any]:
    """The state of a pod's container once the pod is in `phase`."""
    kubectl("wait", f"--for=jsonpath={{.status.phase}}={phase}", f"pod/{name}", "--timeout=60s", seconds=90)
    state: dict[str, Any] = kubectl.json("get", "pod", name)["status"]["containerStatuses"][0]["state"]
    return state


@pytest.fixture
def here(real_node: RealNode, node_namespace: str) -> Kubectl:
    """`kubectl` in the test's own namespace on the real node, which has the base image."""
    images.ensure_base()
    real_node.load(images.BASE)
    return real_node.kubectl.within(node_namespace)


@pytest.mark.e2e
def test_a_container_runs_and_its_log_is_read(here: Kubectl) -> None:
    """From the kubelet to `kubectl logs`."""
    here.apply(python("hello", "import sys; print('hello from', sys.version_info[:2])"))
    in_phase(here, "hello", "Succeeded")
    assert here("logs", "hello") == "hello from (3, 11)\n"


@pytest.mark.e2e
def test_a_container_out_of_memory_is_reported_as_such(here: Kubectl) -> None:
    """The memory limit is real."""
    here.apply(python("greedy", "x = bytearray(512 * 2**20)"))
    ended = in_phase(here, "greedy", "Failed")["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


@pytest.mark.e2e
def test_the_last_lines_of_a_failed_container_reach_the_status(here: Kubectl) -> None:
    """So that they can be read with no right to logs."""
    here.apply(python("crash", "import no_such_module"))
    ended = in_phase(here, "crash", "Failed")["terminated"]
    assert ended["exitCode"] == 1
    assert "ModuleNotFoundError: No module named 'no_such_module'" in ended["message"]


@pytest.mark.e2e
def test_an_image_that_is_nowhere_leaves_the_pod_waiting(here: Kubectl) -> None:
    """A pull is tried, and fails with its reason in the status."""
    here.apply(pod("bad", "true", image="localhost/absent:v1"))

    def reason() -> str:
        statuses = here.json("get", "pod", "bad")["status"].get("containerStatuses") or [{"state": {}}]
        return str(statuses[0]["state"].get("waiting", {}).get("reason"))

    eventually(lambda: reason() in ("ErrImagePull", "ImagePullBackOff"), what="the pull to fail", seconds=60)


@pytest.mark.e2e
def test_a_service_is_reached_by_name_without_being_told_of(here: Kubectl, real_node: RealNode) -> None:
    """DNS follows Services, cluster IPs lead to pods, also from outside, and a headless Service names its pods."""
    assert here.namespace is not None
    server = python("server", "import http.server as s; s.test(s.SimpleHTTPRequestHandler)", labels={"app": "web"})
    server["spec"] |= {"hostname": "rank-0", "subdomain": "ranks"}
    ranks = service("ranks", clusterIP="None", selector={"app": "web"})
    client = f"""
import socket, time, urllib.request
for url in ("http://web/", "http://rank-0.ranks.{here.namespace}:8000/"):
    for attempt in range(100):
        try:
            print(urllib.request.urlopen(url, timeout=5).status)
            break
        except OSError as error:
            print(url, error)
            time.sleep(0.2)
try:
    socket.gethostbyname("name.example")
except socket.gaierror as error:
    print("outside:", error)
"""
    here.apply(service("web"), ranks, server, python("client", client))
    in_phase(here, "client", "Succeeded")
    *answers, outside = here("logs", "client").splitlines()
    assert answers.count("200") == 2
    assert outside.startswith("outside:")
    with urllib.request.urlopen(real_node.service_url(here.namespace, "web"), timeout=10) as answer:
        assert answer.status == 200


@pytest.mark.e2e
def test_an_image_built_from_a_dockerfile_runs(here: Kubectl, real_node: RealNode, tmp_path: Path) -> None:
    """Stages and build arguments are those of the Dockerfile; a rebuilt image replaces the one the node holds."""
    (tmp_path / "Dockerfile").write_text(
        "FROM python:3.11-slim-bookworm AS first\nARG WORD\nRUN echo $WORD > /word\n"
        "FROM first AS second\nRUN echo two > /word\n"
    )
    for name, word, target in (("one", "uno", "first"), ("again", "due", "first"), ("other", "tre", "second")):
        images.build("stages:test", tmp_path, target=target, arguments={"WORD": word})
        real_node.load("stages:test")
        here.apply(pod(name, "cat", "/word", image="localhost/stages:test"))
        in_phase(here, name, "Succeeded")
    assert [here("logs", name).strip() for name in ("one", "again", "other")] == ["uno", "due", "two"]
    images.remove("stages:test")


@pytest.mark.e2e
def test_a_killed_node_is_cleared_up_and_comes_back(real_node: RealNode, node_was_up: bool) -> None:
    """`down` needs no daemon alive: mounts, cgroups, links, rules and containers go, and `up` starts afresh."""
    if node_was_up:
        pytest.skip("the node was up before this session, and its cluster is not ours to destroy")
    images.ensure_base()
    real_node.load(images.BASE)
    kubectl = real_node.kubectl.within("default")
    kubectl.apply(python("orphan", "import time; time.sleep(3600)"))
    in_phase(kubectl, "orphan", "Running")
    for name in DAEMONS:
        os.kill(real_node.daemon(name).pid() or 0, signal.SIGKILL)
    found = remnants.list_all(real_node.state)
    assert {line.split()[0] for line in found} >= {"process", "mount", "link", "rule", "cgroup"}
    real_node.down()
    assert remnants.list_all(real_node.state) == []
    assert not real_node.is_up()
    real_node.up()
    assert not kubectl("get", "pods")


def test_only_rules_of_the_node_are_removed() -> None:
    """Chains of Kubernetes and of our network go, with the jumps to them; those of another network stay."""
    dump = """\
*nat
:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:CNI-ours - [0:0]
:CNI-other - [0:0]
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-SERVICES
-A POSTROUTING -s 10.244.0.10/32 -m comment --comment "name: \\"hypersweep\\" id: \\"1\\"" -j CNI-ours
-A POSTROUTING -s 10.88.0.10/32 -m comment --comment "name: \\"podman\\" id: \\"2\\"" -j CNI-other
-A CNI-ours -d 10.244.0.0/24 -m comment --comment "name: \\"hypersweep\\" id: \\"1\\"" -j ACCEPT
COMMIT
*filter
:INPUT ACCEPT [0:0]
COMMIT
"""
    assert firewall.removal(dump, "hypersweep").splitlines() == [
        "*nat",
        '-D POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-SERVICES',
        '-D POSTROUTING -s 10.244.0.10/32 -m comment --comment "name: \\"hypersweep\\" id: \\"1\\"" -j CNI-ours',
        "-F CNI-ours",
        "-F KUBE-SERVICES",
        "-X CNI-ours",
        "-X KUBE-SERVICES",
        "COMMIT",
    ]
