"""How a process ends: exit codes, and the termination message."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from hypersweep_trainer import train as training
from hypersweep_trainer.__main__ import main
from hypersweep_trainer.exits import MEANING, MESSAGE_LIMIT, BadInputError, ExitCode, exit_code, termination_message
from hypersweep_trainer.startup import Interruption


@pytest.fixture
def message(tmp_path: Path) -> Path:
    """The file that stands for /dev/termination-log."""
    path = tmp_path / "termination-log"
    os.environ["HYPERSWEEP_TERMINATION_LOG"] = str(path)
    return path


def test_done(message: Path) -> None:
    """0, and the last epoch's metrics."""
    assert main(["--epochs=2", "--width=8"]) == ExitCode.DONE
    left = json.loads(message.read_text())
    assert (left["exit"], left["done"], left["step"], left["error"]) == ("DONE", True, 2, None)
    assert 0 < left["metrics"]["val_accuracy"] < 1


def test_bad_settings(message: Path, caplog: pytest.LogCaptureFixture) -> None:
    """64, and one clear line."""
    assert main(["--lr=-1"]) == ExitCode.BAD_INPUT
    said = "command line: argument --lr: found '-1', allowed: a number, 0 < lr ≤ 100"
    assert json.loads(message.read_text())["error"] == said
    assert caplog.messages == [f"bad_input: {said}"]


def test_divergence_is_infeasible(message: Path) -> None:
    """65 as soon as the loss is not finite, in whatever epoch; no traceback, since nothing is defective."""
    assert main(["--optimizer=sgd", "--lr=100", "--layers=4"]) == ExitCode.INFEASIBLE
    left = json.loads(message.read_text())
    assert re.match(r"the loss is (nan|inf) in epoch ", left["error"])
    assert "detail" not in left


def test_memory_that_runs_out(message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """66 for the words of every library that has its own."""
    import torch

    for error in (
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
        ),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    ):
        assert exit_code(error) is ExitCode.OUT_OF_MEMORY
    assert exit_code(RuntimeError("shape mismatch")) is ExitCode.INTERNAL
    assert exit_code(ValueError("out of memory of the event")) is ExitCode.INTERNAL


def test_a_defect_shows_its_traceback(message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """70, the error in one line, and where it happened."""

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("weights")

    monkeypatch.setattr(training, "make_model", broken)
    assert main([]) == ExitCode.INTERNAL
    left = json.loads(message.read_text())
    assert left["error"] == "KeyError: 'weights'"
    assert 'raise KeyError("weights")' in left["detail"]


def test_a_signal_before_training_ends_the_process_at_once() -> None:
    """Imports take seconds; nobody should wait for them to be told to stop."""
    Interruption()
    with pytest.raises(SystemExit) as left:
        signal.raise_signal(signal.SIGTERM)
    assert left.value.code == 143


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_while_training_are_a_request(number: signal.Signals) -> None:
    """Ctrl-C and the supervisor's SIGTERM often come together: the second one changes nothing."""
    interruption = Interruption()
    interruption.graceful = True
    signal.raise_signal(number)
    signal.raise_signal(number)
    assert interruption.requested


def test_interrupted_without_a_place_for_checkpoints_says_so(
    message: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """143 all the same."""
    original = training.Training.evaluate

    def evaluate(self: training.Training, *part: Any) -> dict[str, float]:
        signal.raise_signal(signal.SIGTERM)
        return original(self, *part)

    monkeypatch.setattr(training.Training, "evaluate", evaluate)
    assert main(["--width=8"]) == ExitCode.INTERRUPTED
    left = json.loads(message.read_text())
    assert (left["exit"], left["step"], left["error"]) == ("INTERRUPTED", 1, "asked to stop in epoch 2, after batch 0")
    assert "no checkpoint directory: what was learnt is lost" in caplog.text


@pytest.mark.parametrize("size", [0, 1_000, 100_000])
def test_the_message_is_never_cut_by_kubernetes(size: int) -> None:
    """At most 4 KiB of JSON, the end of the detail and the start of the error kept, non-finite metrics readable."""
    text = termination_message(
        code=ExitCode.INTERNAL,
        step=3,
        metrics={"val_loss": float("nan"), "lr": 0.1},
        error="what " + "é" * size,
        detail="\n" * size + "the line that matters",
    )
    assert len(text.encode()) <= MESSAGE_LIMIT
    left = json.loads(text)
    assert left["error"].startswith("what ")
    assert left["metrics"] == {"val_loss": "nan", "lr": 0.1}
    if size < 100_000:
        assert left["detail"].endswith("the line that matters")


def test_exit_codes_are_all_explained_and_distinct() -> None:
    """Each code has its meaning, and none is taken by Python, the shell or a signal."""
    assert set(MEANING) == set(ExitCode)
    assert len(set(ExitCode)) == len(ExitCode.__members__)
    assert not {1, 2, 126, 127, 130, 137} & set(ExitCode)
    assert exit_code(BadInputError("x")) == 64
