"""MLflow goes away and comes back: trials go on, nothing fails for it, nothing is lost, and the status says what is up."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.api.conftest import Operate, Stage
from tests.api.operator_process import install
from tests.api.trainers import Play, Told, Trainers, learn, loss
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kwok import scenario
from tests.tracking.server import free_port, mlflow

pytestmark = pytest.mark.api


class Server:
    """An MLflow server on one port and one database that is stopped and started."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._running = ExitStack()

    def start(self) -> None:
        self._running.enter_context(mlflow(f"sqlite:///{self.folder}/mlflow.db", self.folder, port=self.port))

    def stop(self) -> None:
        self._running.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own. Each test leaves it running."""
    it = Server(tmp_path_factory.mktemp("mlflow-own"))
    it.start()
    yield it
    it.stop()


@pytest.fixture
def stage(crd: ControlPlane, namespace: str, server: Server, trainers: Trainers, operate: Operate) -> Stage:
    """A namespace of the test's own, whose operator keeps its ledger in that server."""
    operator = operate(install(crd, namespace, mlflow=server.uri))
    operator.start()
    return Stage(crd.kubectl.within(namespace), namespace, server.uri, operator, trainers)


def log_and_go_on(told: Told) -> Play:
    """The objective is in MLflow already, while the trainer is not done yet."""
    return Play(metrics={"loss": [loss(told.parameters)]}, ends=None)


def test_a_sweep_outlives_an_outage_in_its_middle(stage: Stage, server: Server) -> None:
    """Trials that run go on and end; no result is read, none is given up; back again, every one of them counts."""
    stage.trainers.cast[stage.namespace, "patient"] = log_and_go_on
    sweep = stage.apply("patient", trials={"max": 6, "parallel": 3})
    sweep.wait_for("trials.running", 3)
    server.stop()
    how = [f"{key}={value}" for key, value in scenario("succeed", duration="50ms").items()]
    stage.kubectl("annotate", "pods", sweep.selector, "--overwrite", *how)
    status = sweep.wait("TrackingAvailable", value="False")
    assert sweep.condition("Stalled")["status"] == "False", "it may pass"
    assert (status["phase"], status["trials"]["failed"], status["progress"]) == ("Running", 0, "0/6")
    assert "TrackingUnavailable" in sweep.events()
    sweep.wait_for("trials.running", 0)
    assert len(sweep.jobs()) == 3, "nothing new is planned without the ledger"

    stage.trainers.cast[stage.namespace, "patient"] = learn
    server.start()
    sweep.wait("TrackingAvailable")
    status = sweep.wait("Complete")
    assert status["trials"]["succeeded"] == 6
    told = stage.trainers.of(stage.namespace, "patient")
    assert sorted((one.trial, one.attempt) for one in told) == [(index, 1) for index in range(6)]
    assert status["best"]["objectives"]["loss"] == min(loss(one.parameters) for one in told)
    assert {run.outcome for run in stage.runs(sweep).values()} == {"Succeeded"}


def test_an_operator_that_starts_during_an_outage_keeps_what_the_status_says(stage: Stage, server: Server) -> None:
    """It knows nothing of the trials that ended before: it does not take them back, and does not count them anew."""
    sweep = stage.apply("half-way", trials={"max": 4, "parallel": 2})
    sweep.wait_for("progress", "4/4")
    sweep.edit(suspend=True, trials={"max": 8})
    before = sweep.wait("Suspended")
    stage.operator.stop()
    server.stop()
    stage.operator.start()
    sweep.wait("TrackingAvailable", value="False")
    during = sweep.status
    kept = ("progress", "trials", "best", "top", "startTime", "failures")
    assert {key: during.get(key) for key in kept} == {key: before.get(key) for key in kept}
    server.start()
    sweep.edit(suspend=False)
    status = sweep.wait("Complete")
    assert (status["progress"], status["trials"]["succeeded"], status["trials"]["resumed"]) == ("8/8", 8, 0)


def test_a_sweep_may_be_applied_and_deleted_during_an_outage(stage: Stage, server: Server) -> None:
    """Nothing of the deletion waits for MLflow; a sweep that is new says what it waits for."""
    stage.trainers.cast[stage.namespace, "doomed"] = log_and_go_on
    doomed = stage.apply("doomed")
    doomed.wait_for("trials.running", 2)
    server.stop()
    waiting = stage.apply("waiting", trials={"max": 2})
    doomed.delete()
    doomed.leaves_nothing(seconds=30)
    status = waiting.wait("TrackingAvailable", value="False")
    assert status["phase"] == "Starting"
    assert "trials" not in status, "what the ledger holds of it is not known yet"
    server.start()
    assert waiting.wait("Complete")["trials"]["resumed"] == 0
