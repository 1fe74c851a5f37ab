"""Fixtures of the tests that run the whole operator.

| fixture     | scope   | is                                                                                      |
|-------------|---------|-----------------------------------------------------------------------------------------|
| `mlflow_server` | session | URI of an MLflow server                                                             |
| `trainers`  | session | who plays the trainers in the session's control plane                                    |
| `operate`   | test    | a function (installation) to an `Operator` that is ended with the test, its log shown on failure |
| `crd`       | session | the resource, known to the session's control plane                                       |
| `shared`    | module  | a namespace with an operator at work, for tests that leave it alone                      |
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.api import resource, sweeps
from tests.api.operator_process import Installation, Operator, install
from tests.api.trainers import Trainers
from tests.cluster.clients import Kubectl
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import fresh_namespace
from tests.tracking.server import mlflow_server

__all__ = ["mlflow_server"]

Operate = Callable[[Installation], Operator]
LINES = 200  # of a log that are shown on failure


@pytest.fixture(scope="session")
def crd(control_plane: ControlPlane) -> ControlPlane:
    """The session's control plane, which knows the resource."""
    resource.install(control_plane.kubectl)
    return control_plane


@pytest.fixture(scope="session")
def trainers(control_plane: ControlPlane) -> Iterator[Trainers]:
    """Who plays the trainers in the session's control plane."""
    with Trainers(control_plane.kubeconfig) as playing:
        yield playing


@dataclass(frozen=True)
class Stage:
    """A namespace with an operator, MLflow and trainers: all that a sweep needs."""

    kubectl: Kubectl  # bound to the namespace
    namespace: str
    mlflow: str
    operator: Operator
    trainers: Trainers

    def apply(self, name: str, **spec: Any) -> sweeps.Sweep:
        """Apply `sweeps.manifest(name, …)`."""
        return sweeps.apply(self.kubectl, sweeps.manifest(name, **spec))

    def runs(self, sweep: sweeps.Sweep) -> dict[int, sweeps.Run]:
        """The runs of a sweep's trials."""
        return sweeps.trial_runs(self.mlflow, f"{self.namespace}/{sweep.name}")


@pytest.fixture
def operate(tmp_path: Path) -> Iterator[Operate]:
    """A function from an installation to an operator that has not been started yet."""
    with ExitStack() as stack:
        yield lambda installation: stack.enter_context(_shown(Operator(installation, tmp_path)))


@pytest.fixture
def stage(crd: ControlPlane, namespace: str, mlflow_server: str, trainers: Trainers, operate: Operate) -> Stage:
    """A namespace of the test's own, with an operator that was just started."""
    operator = operate(install(crd, namespace, mlflow=mlflow_server))
    operator.start()
    return Stage(crd.kubectl.within(namespace), namespace, mlflow_server, operator, trainers)


@pytest.fixture(scope="module")
def shared(
    crd: ControlPlane, mlflow_server: str, trainers: Trainers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """A namespace with an operator for all tests of a module: each has sweeps of other names, none ends the operator."""
    with fresh_namespace(crd.kubectl, "shared") as namespace:
        operator = Operator(install(crd, namespace, mlflow=mlflow_server), tmp_path_factory.mktemp("operator"))
        with operator:
            yield Stage(crd.kubectl.within(namespace), namespace, mlflow_server, operator, trainers)


@pytest.fixture(autouse=True)
def _log_of_the_shared_operator(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the shared operator said during the test is shown if that fails."""
    if "shared" not in request.fixturenames:
        yield
        return
    stage: Stage = request.getfixturevalue("shared")
    already = len(stage.operator.log)
    yield
    print(_end(stage.operator.log[already:]))


@contextmanager
def _shown(operator: Operator) -> Iterator[Operator]:
    """Ended with the test; its log is printed, which pytest shows if that fails."""
    try:
        yield operator
    finally:
        operator.kill()
        print(_end(operator.log))


def _end(log: str) -> str:
    return "\n".join(["---- the operator's log ends with:", *log.splitlines()[-LINES:]])
