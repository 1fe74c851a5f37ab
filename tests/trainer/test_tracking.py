"""Results reach MLflow: in the prepared run or an own one, across outages, and never at the training's expense."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypersweep_trainer import final_model
from hypersweep_trainer.__main__ import main
from hypersweep_trainer.exits import BadInputError, ExitCode, Interrupted, UndeliveredError
from hypersweep_trainer.final_model import save_model
from hypersweep_trainer.settings import Settings, spelled
from hypersweep_trainer.tracking import Metrics, MlflowTracker, open_tracker
from hypersweep_trainer.train import Training, train
from tests.cluster.waiting import eventually
from tests.tracking.server import free_port, mlflow
from tests.trainer.runs import StopAfter, command, job

mlflow_package = pytest.importorskip("mlflow", reason="the trainer's extra is not installed")
mlflow_client = mlflow_package.MlflowClient

# MLflow's own, of its use of SQLAlchemy and of its types, which the project's "warnings are errors" would make fail.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),
]

SMALL = ["--width=8", "--epochs=3", "--log_model=false"]
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
    expected = {name: str(value) for name, value in Settings(width=8, epochs=3, log_model=False).model_dump().items()}
    for name in ("nesterov", "baselines", "channels_last", "compile", "log_model", "mistakes", "tensorboard"):
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
    assert "tensorboard" in {
        file.path for file in client.list_artifacts(found.info.run_id)
    }  # where to look for the reason


def test_an_interrupted_own_run_is_continued(client: mlflow_client, tmp_path: Path) -> None:
    """The next attempt with the same checkpoints writes to the same run, each epoch once."""
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "continued"
    work = job(width=8, epochs=4, log_model=False, checkpoints=tmp_path)
    first = open_tracker(work, os.environ)
    with pytest.raises(Interrupted):
        train(work, tracker=first, interruption=StopAfter(50))  # in the third of four epochs of 23 batches
    first.close(ExitCode.INTERRUPTED)
    second = open_tracker(work, os.environ)
    train(work, tracker=second, interruption=StopAfter())
    second.close(ExitCode.DONE)

    (found,) = client.search_runs([client.get_experiment_by_name("continued").experiment_id])
    assert found.info.status == "FINISHED"
    assert [point.step for point in client.get_metric_history(found.info.run_id, "val_loss")] == [1, 2, 3, 4]


def test_nothing_stays_on_disk_once_all_is_sent(client: mlflow_client, tmp_path: Path) -> None:
    """The journal and the final model are temporary where there are no checkpoints."""
    assert main([*SMALL, "--log_model=true", "--epochs=1"]) == ExitCode.DONE
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_container_costs_the_journal_only(
    client: mlflow_client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no temporary directory can be made, results go to MLflow from memory, and one line says what is missing."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "read-only"
    assert main([*SMALL, "--log_model=true"]) == ExitCode.DONE
    (found,) = client.search_runs([client.get_experiment_by_name("read-only").experiment_id])
    assert curve(client, found.info.run_id, "val_loss") == [1, 2, 3]
    assert caplog.text.count("nowhere to write") == 1


def test_an_artifact_store_that_refuses_costs_the_artifacts_only(
    client: mlflow_client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as a bucket for which a trial has no rights: metrics are delivered, and one line says what is missing."""
    (tmp_path / "file").write_text("")
    experiment = client.create_experiment("refusing", artifact_location=f"file://{tmp_path}/file/artifacts")
    os.environ["MLFLOW_EXPERIMENT_ID"] = experiment
    started = time.monotonic()
    assert main([*SMALL, "--log_model=true"]) == ExitCode.DONE
    assert time.monotonic() - started < 60
    (found,) = client.search_runs([experiment])
    assert (found.info.status, curve(client, found.info.run_id, "val_loss")) == ("FINISHED", [1, 2, 3])
    assert caplog.text.count("no files are kept with the results") == 1


def test_a_run_that_does_not_exist_is_not_waited_for(client: mlflow_client, caplog: pytest.LogCaptureFixture) -> None:
    """An answer that no waiting will change ends the patience; the training was done, and says so by its own code."""
    os.environ["MLFLOW_RUN_ID"] = "0" * 32
    started = time.monotonic()
    assert main([*SMALL, "--tracking_patience=600"]) == ExitCode.UNDELIVERED
    assert time.monotonic() - started < 60
    assert "MLflow did not take the results" in caplog.text
    assert "epoch 3" not in caplog.text


def test_results_outlive_an_interruption_during_an_outage(client: mlflow_client, tmp_path: Path) -> None:
    """What the server had not taken is in the journal, and sent by the next attempt."""
    run = client.create_run("0").info.run_id
    work = job(width=8, epochs=4, log_model=False, checkpoints=tmp_path)
    reachable, os.environ["MLFLOW_TRACKING_URI"] = os.environ["MLFLOW_TRACKING_URI"], f"http://127.0.0.1:{free_port()}"
    os.environ |= {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_RUN_ID": run}
    first = open_tracker(work, os.environ)
    with pytest.raises(Interrupted):
        train(work, tracker=first, interruption=StopAfter(50))
    first.close(ExitCode.INTERRUPTED)

    os.environ["MLFLOW_TRACKING_URI"] = reachable
    second = open_tracker(work, os.environ)
    train(work, tracker=second, interruption=StopAfter())
    second.close(ExitCode.DONE)
    assert [point.step for point in client.get_metric_history(run, "val_loss")] == [1, 2, 3, 4]


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and never answers: the worst kind of outage."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


class Stopwatch(MlflowTracker):
    """Measures how long the training waits for its reports."""

    waited = 0.0

    def log(self, metrics: Metrics, *, step: int) -> None:
        started = time.monotonic()
        super().log(metrics, step=step)
        self.waited = max(self.waited, time.monotonic() - started)

    def log_step(self, metrics: Metrics, *, step: int) -> None:
        started = time.monotonic()
        super().log_step(metrics, step=step)
        self.waited = max(self.waited, time.monotonic() - started)


def test_a_silent_server_costs_no_time(silent_server: str, caplog: pytest.LogCaptureFixture) -> None:
    """50 epochs against a server that hangs for a second a request: no report waits for it, and the end is honest."""
    os.environ |= {"MLFLOW_TRACKING_URI": silent_server, "MLFLOW_RUN_ID": "1" * 32}
    os.environ |= {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    work = job(width=8, epochs=50, tracking_patience=0, log_model=False)
    tracker = Stopwatch(run_id="1" * 32, params=work.settings.model_dump())
    started = time.monotonic()
    with pytest.raises(UndeliveredError):
        train(work, tracker=tracker, interruption=StopAfter())
    assert tracker.step == 50
    assert tracker.waited < 0.8
    tracker.close(ExitCode.UNDELIVERED)
    assert time.monotonic() - started < 60
    assert caplog.text.count("results are kept and sent later") == 1


def test_stopping_ends_the_wait_for_a_server(silent_server: str) -> None:
    """SIGTERM while results wait to be delivered is answered at once."""
    os.environ |= {"MLFLOW_TRACKING_URI": silent_server, "MLFLOW_HTTP_REQUEST_TIMEOUT": "1"}
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    tracker = MlflowTracker(run_id="1" * 32, params={})
    tracker.begin(None)
    tracker.log_step({"step_loss": 1.0}, step=1)
    started = time.monotonic()
    with pytest.raises(Interrupted):
        tracker.deliver(patience=600, interrupted=lambda: True)
    tracker.close(ExitCode.UNDELIVERED)
    assert time.monotonic() - started < 60


class Gate(StopAfter):
    """Holds the training after so many batches, until it is opened."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.closed_after = batches
        self.reached, self.opened = threading.Event(), threading.Event()

    @property
    def requested(self) -> bool:
        self.closed_after -= 1
        if self.closed_after == 0:
            self.reached.set()
            assert self.opened.wait(120)
        return False


def curve(client: mlflow_client, run: str, name: str) -> list[int]:
    """The steps of a metric's points, as the server has them."""
    return [point.step for point in client.get_metric_history(run, name)]


def test_a_server_that_dies_and_comes_back_has_every_step(tmp_path: Path) -> None:
    """A real server goes away in the middle: training ends while it is away, and it has each point once when it is back."""
    port = free_port()
    os.environ |= {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    work = job(width=8, epochs=10, log_every=1)  # 23 steps each
    tracker, gate = open_tracker(work, os.environ), Gate(80)
    failures: list[BaseException] = []

    def attempt() -> None:
        try:
            train(work, tracker=tracker, interruption=gate)
            tracker.close(ExitCode.DONE)
        except BaseException as error:  # noqa: BLE001  # carried over to the test's own thread
            failures.append(error)

    training = threading.Thread(target=attempt)
    with mlflow(f"sqlite:///{tmp_path}/mlflow.db", tmp_path, port=port) as uri:
        client = mlflow_client(uri)
        training.start()
        assert gate.reached.wait(60)
        eventually(lambda: client.search_runs(["0"]), what="the run", seconds=60)
        run = client.search_runs(["0"])[0].info.run_id
        eventually(lambda: len(curve(client, run, "val_loss")) == 3, what="three epochs", seconds=60)
    gate.opened.set()
    eventually(lambda: tracker.step == 10, what="the end of the training, without a server", seconds=60)
    assert training.is_alive(), failures  # waits for the server
    with mlflow(f"sqlite:///{tmp_path}/mlflow.db", tmp_path, port=port) as uri:
        training.join(120)
        assert failures == []
        assert curve(client, run, "val_loss") == list(range(1, 11))
        assert sorted(curve(client, run, "step_loss")) == list(range(1, 231))
        assert client.get_run(run).info.status == "FINISHED"
        assert {file.path for file in client.list_artifacts(run)} == {
            "mistakes",
            "model",
            "reproduce.json",
            "tensorboard",
        }


def test_a_killed_process_loses_no_result(client: mlflow_client, tmp_path: Path) -> None:
    """kill -9 during an outage and before any checkpoint: the next attempt sends what the first one measured, once."""
    run = client.create_run("0").info.run_id
    settings = {"width": 8, "schedule": "constant", "checkpoint_every": 0, "log_model": False}
    away = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}", "MLFLOW_RUN_ID": run}
    flags = [f"--{name}={spelled(value)}" for name, value in settings.items()]
    with subprocess.Popen(
        command(*flags, "--epochs=100000"),
        env={**os.environ, **away, "HYPERSWEEP_CHECKPOINT_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        next(line for line in process.stdout if line.startswith("epoch 4:"))  # then three are in the journal
        process.kill()
    (journal,) = tmp_path.glob("journal-*.jsonl")
    lines = [json.loads(line) for line in journal.read_text().splitlines(keepends=True) if line.endswith("\n")]
    measured = {step: when for kind, step, when, _ in lines if kind == "epoch"}
    assert max(measured) >= 3

    os.environ["MLFLOW_RUN_ID"] = run
    work = job(budget=max(measured) + 1, checkpoints=tmp_path, **settings)
    tracker = open_tracker(work, os.environ)
    train(work, tracker=tracker, interruption=StopAfter())
    tracker.close(ExitCode.DONE)
    points = client.get_metric_history(run, "val_loss")
    assert [point.step for point in points] == list(range(1, max(measured) + 2))
    assert {point.step: point.timestamp for point in points[:-1]} == measured


def test_what_results_rest_on_is_kept(client: mlflow_client, tmp_path: Path) -> None:
    """Data and model have fingerprints that change with them alone; sizes, classes, packages, seed and place are there."""
    os.environ["MLFLOW_EXPERIMENT_NAME"], os.environ["HYPERSWEEP_IMAGE"] = "rests", "registry/trainer:1"
    os.environ["HYPERSWEEP_CHECKPOINT_DIR"] = str(tmp_path)
    assert main([*SMALL, "--epochs=1"]) == ExitCode.DONE
    os.environ["HYPERSWEEP_CHECKPOINT_DIR"] = str(tmp_path / "other")
    assert main([*SMALL, "--epochs=1", "--split_seed=1", "--lr=0.1"]) == ExitCode.DONE
    other, run = client.search_runs(
        [client.get_experiment_by_name("rests").experiment_id], order_by=["start_time DESC"]
    )
    report = client.download_artifacts(run.info.run_id, "reproduce.json", str(tmp_path))
    found = json.loads(Path(report).read_text())
    assert found["data"]["samples"] == {"train": 1438, "val": 359, "test": 0}
    assert sum(found["data"]["classes"]["train"].values()) == 1438
    assert found["model"]["parameters"] == 64 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10
    assert any(package.startswith("torch==") for package in found["environment"]["packages"])
    assert (found["environment"]["seed"], run.data.tags["image"]) == (0, "registry/trainer:1")
    assert run.data.tags["checkpoints"] == str(tmp_path)
    assert run.inputs.dataset_inputs[0].dataset.digest == run.data.tags["data_digest"]
    assert other.data.tags["model_digest"] == run.data.tags["model_digest"]  # the same seed
    assert other.data.tags["data_digest"] != run.data.tags["data_digest"]  # another split


@pytest.mark.parametrize(
    ("data", "shape"),
    [("digits", (3, 10)), ("diabetes", (3,)), ("shapes", (3, 32, 32)), ("boxes", (3, 50, 6))],
)
def test_the_final_model_is_loaded_by_mlflow(data: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """It has a signature and an example, and answers as the training's validation did, averaged weights included."""
    training = Training(job(data=data, width=8, layers=1, ema=0.9).settings, horizon=1)
    metrics = training.train_epoch(StopAfter())
    folder = save_model(training, tmp_path / "model")
    loaded = mlflow_package.pyfunc.load_model(str(folder))
    assert loaded.predict(loaded.input_example).shape == shape
    assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, *training.data.shape)
    x, y = training.data.batch(training.data.val)
    answer = loaded.predict(x.numpy())
    if data == "digits":
        assert (answer.argmax(1) == y.numpy()).mean() == pytest.approx(metrics["val_accuracy"])
    elif data == "diabetes":
        truth = y.numpy() * training.data.std + training.data.mean
        assert ((answer - truth) ** 2).mean() ** 0.5 == pytest.approx(metrics["val_rmse"], rel=1e-4)
    elif data == "shapes":
        assert (answer == y.numpy()).mean() == pytest.approx(metrics["val_pixel_accuracy"])


def test_a_model_that_can_not_be_written_costs_the_model_only(
    client: mlflow_client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as one of the user's own that is another one whenever it is made: it has trained, and that counts."""
    (tmp_path / "growing.py").write_text(
        "import itertools, torch\nwidths = itertools.count(8)\n"
        "def model(inputs, outputs):\n"
        "    width = next(widths)\n"
        "    return torch.nn.Sequential(torch.nn.Linear(13, width), torch.nn.Linear(width, outputs))\n"
    )
    monkeypatch.chdir(tmp_path)
    run = client.create_run("0").info.run_id
    os.environ["MLFLOW_RUN_ID"] = run
    assert main(["--data=wine", "--model=growing:model", "--epochs=2"]) == ExitCode.DONE
    [said] = [record.message for record in caplog.records if "final model" in record.message]
    assert said.startswith("the final model is not written: RuntimeError: Error(s) in loading state_dict")
    assert "\n" not in said
    assert "val_loss" in client.get_run(run).data.metrics
    assert "model" not in {file.path for file in client.list_artifacts(run)}


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (MemoryError(), False),
        (RuntimeError("CUDA out of memory"), False),
        (BadInputError("a sample is gone"), False),
        (Interrupted("asked to stop"), True),
        (KeyboardInterrupt(), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_wish_to_stop_is_no_fault_of_the_model(
    error: BaseException, passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails when all is trained is a warning, and leaves no half of a model; a signal is obeyed."""

    def write(_: Training, folder: Path) -> None:
        folder.mkdir()
        raise error

    monkeypatch.setattr(final_model, "_write", write)
    training = Training(job(data="wine", width=8).settings, horizon=1)
    if passes:
        with pytest.raises(type(error)):
            save_model(training, tmp_path / "model")
    else:
        assert save_model(training, tmp_path / "model") is None
        assert not (tmp_path / "model").exists()
