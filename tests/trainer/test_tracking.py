"""Results reach MLflow: in the prepared run or an own one, across outages, and never at the training's expense."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypersweep_trainer.__main__ import main
from hypersweep_trainer.exits import ExitCode, Interrupted, UndeliveredError
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.tracking import MlflowTracker, open_tracker
from hypersweep_trainer.train import train
from tests.tracking.server import free_port, mlflow
from tests.trainer.runs import StopAfter, job

mlflow_client = pytest.importorskip("mlflow", reason="the trainer's extra is not installed").MlflowClient

# MLflow's own use of SQLAlchemy, which the project's "warnings are errors" would make fail.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

SMALL = ["--width=8", "--epochs=3"]
NAMES = {"train_loss", "val_loss", "val_accuracy", "val_f1", "val_auc", "lr", "samples_per_second"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated SQLite store, shared: each test uses runs of its own."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def client(database: str) -> mlflow_client:
    """MLflow as a user sees it, the trainer's environment pointing to the same store."""
    os.environ["MLFLOW_TRACKING_URI"] = database
    return mlflow_client(database)


def test_without_a_server_results_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """No tracking, no error; one line per epoch."""
    assert main(SMALL) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["baselines", "epoch 1", "epoch 2", "epoch 3"]
    assert all(f"{name}=" in line for name in NAMES for line in lines[1:])


def test_it_joins_the_prepared_run(client: mlflow_client) -> None:
    """Curves with step = epoch, params beside those already there, and the run left open for whoever prepared it."""
    run = client.create_run("0")
    client.log_param(run.info.run_id, "lr", "1e-03")  # another spelling than the trainer's
    os.environ["MLFLOW_RUN_ID"] = run.info.run_id

    assert main([*SMALL, "--lr=0.001"]) == ExitCode.DONE

    found = client.get_run(run.info.run_id)
    assert found.info.status == "RUNNING"
    assert set(found.data.metrics) > NAMES
    for name in NAMES:
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [1, 2, 3]
    expected = {name: str(value) for name, value in Settings(width=8, epochs=3).model_dump().items()}
    for name in ("nesterov", "baselines", "channels_last", "compile"):
        expected[name] = expected[name].lower()
    assert found.data.params == {**expected, "lr": "1e-03"}


def test_it_starts_and_ends_its_own_run(client: mlflow_client) -> None:
    """In the experiment that MLflow's own variables name."""
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "alone"
    assert main(SMALL) == ExitCode.DONE
    (found,) = client.search_runs([client.get_experiment_by_name("alone").experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.metrics["val_accuracy"] > 0.1
    assert found.data.params["epochs"] == "3"


def test_a_failure_is_not_logged_as_success(client: mlflow_client) -> None:
    """An own run that diverged is FAILED."""
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "failing"
    assert main(["--optimizer=sgd", "--lr=100", "--layers=4"]) == ExitCode.INFEASIBLE
    (found,) = client.search_runs([client.get_experiment_by_name("failing").experiment_id])
    assert found.info.status == "FAILED"


def test_an_interrupted_own_run_is_continued(client: mlflow_client, tmp_path: Path) -> None:
    """The next attempt with the same checkpoints writes to the same run, each epoch once."""
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "continued"
    work = job(width=8, epochs=4, checkpoints=tmp_path)
    first = open_tracker(work.settings, os.environ)
    with pytest.raises(Interrupted):
        train(work, tracker=first, interruption=StopAfter(50))  # in the third of four epochs of 23 batches
    first.close(ExitCode.INTERRUPTED)
    second = open_tracker(work.settings, os.environ)
    train(work, tracker=second, interruption=StopAfter())
    second.close(ExitCode.DONE)

    (found,) = client.search_runs([client.get_experiment_by_name("continued").experiment_id])
    assert found.info.status == "FINISHED"
    assert [point.step for point in client.get_metric_history(found.info.run_id, "val_loss")] == [1, 2, 3, 4]


def test_a_run_that_does_not_exist_is_not_waited_for(client: mlflow_client, caplog: pytest.LogCaptureFixture) -> None:
    """An answer that no waiting will change ends the patience; the training was done, and says so by its own code."""
    os.environ["MLFLOW_RUN_ID"] = "0" * 32
    started = time.monotonic()
    assert main([*SMALL, "--tracking_patience=600"]) == ExitCode.UNDELIVERED
    assert time.monotonic() - started < 60
    assert "MLflow did not take the results" in caplog.text
    assert "epoch 3" not in caplog.text


def test_results_outlive_an_interruption_during_an_outage(client: mlflow_client, tmp_path: Path) -> None:
    """What the server had not taken is in the checkpoint, and sent by the next attempt."""
    run = client.create_run("0").info.run_id
    work = job(width=8, epochs=4, checkpoints=tmp_path)
    reachable, os.environ["MLFLOW_TRACKING_URI"] = os.environ["MLFLOW_TRACKING_URI"], f"http://127.0.0.1:{free_port()}"
    os.environ |= {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_RUN_ID": run}
    with pytest.raises(Interrupted):
        train(work, tracker=open_tracker(work.settings, os.environ), interruption=StopAfter(50))

    os.environ["MLFLOW_TRACKING_URI"] = reachable
    train(work, tracker=open_tracker(work.settings, os.environ), interruption=StopAfter())
    assert [point.step for point in client.get_metric_history(run, "val_loss")] == [1, 2, 3, 4]


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and never answers: the worst kind of outage."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_silent_server_costs_little(silent_server: str, caplog: pytest.LogCaptureFixture) -> None:
    """50 epochs against a server that hangs: one bounded wait, then the rest at full speed, and an honest end."""
    os.environ |= {"MLFLOW_TRACKING_URI": silent_server, "MLFLOW_RUN_ID": "1" * 32}
    os.environ |= {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    work = job(width=8, epochs=50, tracking_patience=0)
    tracker = open_tracker(work.settings, os.environ)
    started = time.monotonic()
    with pytest.raises(UndeliveredError):
        train(work, tracker=tracker, interruption=StopAfter())
    assert tracker.step == 50
    assert time.monotonic() - started < 60
    assert caplog.text.count("results are kept and sent later") == 1


def test_stopping_ends_the_wait_for_a_server(silent_server: str) -> None:
    """SIGTERM while results wait to be delivered is answered at once."""
    os.environ |= {"MLFLOW_TRACKING_URI": silent_server, "MLFLOW_HTTP_REQUEST_TIMEOUT": "1"}
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    tracker = MlflowTracker(run_id="1" * 32, params={})
    started = time.monotonic()
    with pytest.raises(Interrupted):
        tracker.deliver(patience=600, interrupted=lambda: True)
    assert time.monotonic() - started < 60


def test_a_server_that_comes_late_gets_everything(tmp_path: Path) -> None:
    """A real server that starts when training is over: every epoch is there, at its step."""
    port = free_port()
    os.environ |= {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
    work = job(width=8, epochs=5)
    tracker = open_tracker(work.settings, os.environ)
    failures: list[BaseException] = []

    def attempt() -> None:
        try:
            train(work, tracker=tracker, interruption=StopAfter())
        except BaseException as error:  # noqa: BLE001  # carried over to the test's own thread
            failures.append(error)

    training = threading.Thread(target=attempt)
    training.start()
    with mlflow(f"sqlite:///{tmp_path}/mlflow.db", tmp_path, port=port) as uri:
        training.join(120)
        assert not training.is_alive()
        assert failures == []
        (run,) = mlflow_client(uri).search_runs(["0"])
        assert [point.step for point in mlflow_client(uri).get_metric_history(run.info.run_id, "lr")] == [1, 2, 3, 4, 5]
