"""A training that hangs ends itself, says where, and delivers what it had; one that is slow does not."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from hypersweep_trainer.exits import ExitCode, StalledError
from hypersweep_trainer.stall import Watchdog, within
from tests.trainer.runs import PROCESS_SECONDS, command, run


def test_a_data_function_that_hangs(tmp_path: Path) -> None:
    """71, where each thread stood in the log, where the main one did in the termination message."""
    message = tmp_path / "message"
    done = run(
        "--data=tests.trainer.hangs:data",
        "--stall_seconds=2",
        environment={"HYPERSWEEP_TERMINATION_LOG": str(message)},
    )
    assert done.returncode == ExitCode.STALLED == 71
    assert "stalled: nothing was completed for 2 s (stall_seconds)" in done.stderr
    assert 'hangs.py", line 18 in data' in done.stderr  # faulthandler's words
    assert "Thread 0x" in done.stderr  # the watchdog's own
    left = json.loads(message.read_text())
    assert (left["exit"], left["done"], left["step"]) == ("STALLED", False, 0)
    assert "in data" in left["detail"]


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore:.*Any type hint:UserWarning")
def test_what_was_reported_before_is_delivered(tmp_path: Path) -> None:
    """Two epochs are in MLflow, and the run has failed; nothing waits for the thread that hangs."""
    mlflow = pytest.importorskip("mlflow", reason="the trainer's extra is not installed")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    client.search_experiments()  # migrates, which takes a busy machine longer than last words may take
    done = run(
        "--model=tests.trainer.hangs:Model",
        "--stall_seconds=15",  # a busy machine needs most of it to import mlflow
        "--tensorboard=false",
        environment={"MLFLOW_TRACKING_URI": uri},
    )
    assert done.returncode == ExitCode.STALLED, done.stderr
    (found,) = client.search_runs(["0"])
    assert found.info.status == "FAILED"
    assert [point.step for point in client.get_metric_history(found.info.run_id, "val_loss")] == [1, 2]


def test_a_slow_training_is_none(tmp_path: Path) -> None:
    """Seven seconds an epoch, less than one between two batches; validation and checkpoints count as progress."""
    done = run(
        "--model=tests.trainer.hangs:Slow",
        "--epochs=1",
        "--stall_seconds=6",
        "--baselines=false",
        environment={"HYPERSWEEP_CHECKPOINT_DIR": str(tmp_path)},
    )
    assert done.returncode == ExitCode.DONE, done.stderr


def test_a_process_that_was_paused_has_not_hung() -> None:
    """Neither by its supervisor nor by the machine's sleep: what counts is the time in which it could have worked."""
    flags = ["--epochs=100000", "--width=8", "--stall_seconds=5", "--baselines=false"]
    with subprocess.Popen(command(*flags), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            next(line for line in process.stdout if line.startswith("epoch 2:"))
            process.send_signal(signal.SIGSTOP)
            time.sleep(8)
            process.send_signal(signal.SIGCONT)
            reader = threading.Timer(2, process.send_signal, [signal.SIGTERM])
            reader.start()
            process.stdout.read()
            assert process.wait(PROCESS_SECONDS) == ExitCode.INTERRUPTED
        finally:
            process.kill()


def test_beats_put_the_deadline_off_and_without_them_it_comes_once() -> None:
    """The thread ends with it, or when it is closed."""
    errors: list[StalledError] = []
    ended = threading.Event()

    def note(error: StalledError) -> None:
        errors.append(error)
        ended.set()

    watchdog = Watchdog(0.4, ended=note)
    for _ in range(10):
        watchdog.beat()
        time.sleep(0.1)
    assert not errors
    assert ended.wait(5)
    assert "test_beats_put_the_deadline_off" in errors[0].detail
    closed = Watchdog(0.1, ended=note)
    closed.close()
    assert not Watchdog(0.0, ended=note)._closed.is_set()  # and this one never began
    time.sleep(0.4)
    assert len(errors) == 1


def test_last_words_that_hang_are_left_alone() -> None:
    """Whatever hung the training may hang them, too."""
    assert within(5, lambda: None)
    assert not within(0.1, threading.Event().wait)
