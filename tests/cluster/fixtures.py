"""Fixtures that give a test a real Kubernetes. `tests/conftest.py` makes them known to every test.

| fixture                      | scope   | is                                                                        |
|------------------------------|---------|---------------------------------------------------------------------------|
| `control_plane`              | session | a `ControlPlane` that is up, with the simulated node `kwok-0`              |
| `kubectl`                    | session | `Kubectl` as its administrator                                            |
| `namespace`                  | test    | the name of a fresh namespace in it, deleted afterwards                    |
| `service_account_kubeconfig` | test    | a function (namespace, name) to the path of a service account's kubeconfig |
| `new_control_plane`          | test    | a function to further control planes, for tests that break theirs          |
| `real_node`                  | session | a `RealNode` that is up, with a cluster of its own                         |
| `node_namespace`             | test    | like `namespace`, in the real node's cluster                               |

Nothing is skipped: binaries that are missing are built (minutes, once). Each pytest process has its own control planes
in the cache, `clusters/pytest-PID-…`; those of processes that were killed are taken down by the next. The machine has
one real node: sessions take turns, and one that finds it up (`python -m tests.cluster node up`) uses it and leaves it
up.
"""

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster import kwok, paths
from tests.cluster.clients import Kubectl
from tests.cluster.control_plane import ControlPlane
from tests.cluster.node import RealNode
from tests.cluster.waiting import eventually

NewControlPlane = Callable[..., ControlPlane]
ServiceAccountKubeconfig = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A control plane with a simulated node, shared by the session. Don't break it: ask for one of your own."""
    _take_down_orphans()
    plane = _fresh_plane()
    try:
        plane.up()
        kwok.up(plane)
        yield plane
    finally:
        _take_down(plane)


@pytest.fixture
def new_control_plane() -> Iterator[NewControlPlane]:
    """A function that brings up another control plane; its arguments are those of `ControlPlane.up`, and `nodes`."""
    planes: list[ControlPlane] = []

    def bring_up(*, nodes: bool = True, **settings: object) -> ControlPlane:
        planes.append(_fresh_plane())
        planes[-1].up(**settings)  # type: ignore[arg-type]
        if nodes:
            kwok.up(planes[-1])
        return planes[-1]

    yield bring_up
    for plane in planes:
        _take_down(plane)


@pytest.fixture(scope="session")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """`kubectl` as administrator of the session's control plane."""
    return control_plane.kubectl


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace, named after the test, with its default service account in place."""
    with fresh_namespace(control_plane.kubectl, request.node.name) as name:
        yield name


@pytest.fixture
def service_account_kubeconfig(control_plane: ControlPlane) -> ServiceAccountKubeconfig:
    """A function from a service account (which must exist) to a kubeconfig that has its rights and no more."""
    return lambda namespace, name: write_service_account_kubeconfig(control_plane, namespace, name)


@pytest.fixture(scope="session")
def node_was_up() -> Iterator[bool]:
    """Whether the machine was a node before this session, which from now on has it to itself."""
    node = RealNode()
    with node.reserved():
        yield node.is_up()


@pytest.fixture(scope="session")
def real_node(node_was_up: bool) -> Iterator[RealNode]:
    """The machine as a node, in a cluster of its own; taken down afterwards unless it was up before."""
    node = RealNode()
    try:
        node.up()
        yield node
    finally:
        if not node_was_up:
            node.down()


@pytest.fixture
def node_namespace(real_node: RealNode, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace in the real node's cluster."""
    with fresh_namespace(real_node.kubectl, request.node.name) as name:
        yield name


@contextmanager
def fresh_namespace(kubectl: Kubectl, hint: str) -> Iterator[str]:
    """A namespace named after `hint` in which pods can be created; deleted, without waiting, at the end."""
    words = re.sub(r"[^a-z0-9]+", "-", hint.lower())[:40].strip("-")
    name = f"{words}-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    eventually(
        lambda: kubectl("get", "serviceaccount", "default", "-n", name, "--ignore-not-found"),
        what=f"the default service account of namespace {name}",
    )
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def write_service_account_kubeconfig(plane: ControlPlane, namespace: str, name: str) -> Path:
    """Write a kubeconfig with a token, good for two hours, of a service account that exists; return its path.

    Raises:
        ToolError: there is no such service account.
    """
    token = plane.kubectl("create", "token", name, "-n", namespace, "--duration=2h").strip()
    path = plane.state / f"{namespace}.{name}.kubeconfig"
    return plane.write_kubeconfig(path, {"token": token}, namespace=namespace)


def _fresh_plane() -> ControlPlane:
    return ControlPlane(paths.clusters() / f"pytest-{os.getpid()}-{uuid.uuid4().hex[:6]}")


def _take_down(plane: ControlPlane) -> None:
    plane.down()
    shutil.rmtree(plane.state, ignore_errors=True)  # it may never have come to exist


def _take_down_orphans() -> None:
    for state in paths.clusters().glob("pytest-*"):
        owner = state.name.split("-")[1]
        if not Path("/proc", owner).exists():
            _take_down(ControlPlane(state))
