"""Baselines: what a training can do without, but for what would end it anyway."""

from __future__ import annotations

import pytest
import torch

from hypersweep_trainer import baselines
from hypersweep_trainer.data import load
from hypersweep_trainer.exits import BadInputError, Interrupted
from hypersweep_trainer.settings import Settings
from tests.trainer.runs import learn


def fail(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    """Have a part of the baselines raise `error`."""

    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr(baselines, name, raising)


@pytest.mark.parametrize(
    "error",
    [torch.linalg.LinAlgError("singular:\nno solution"), MemoryError(), RuntimeError("CUDA out of memory")],
    ids=["algebra", "host", "device"],
)
def test_one_that_fails_is_left_out(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The other one is there, the training goes on, and one line says what is missing, and why."""
    fail(monkeypatch, "ridge", error)
    found = baselines.baselines(load(Settings(data="diabetes"), torch.device("cpu")))
    assert {name.split("_")[1] for name in found} == {"constant"}
    caplog.clear()
    fail(monkeypatch, "constant", error)
    assert len(learn(data="diabetes", width=8, epochs=2)) == 2
    why = f"{type(error).__name__}: {str(error).replace(chr(10), ' ')}"
    assert [record.message for record in caplog.records if "baseline" in record.message] == [
        f"the constant baseline is left out: {why}",
        f"the linear baseline is left out: {why}",
    ]


@pytest.mark.parametrize("error", [BadInputError("a torn image"), Interrupted("stop"), KeyboardInterrupt()])
def test_what_no_training_gets_past_is_not_hidden(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples that can't be read, and whoever asks to stop."""
    fail(monkeypatch, "linear", error)
    with pytest.raises(type(error)):
        learn(data="wine", width=8, epochs=1)
