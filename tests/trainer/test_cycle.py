"""A triangular schedule takes its bounds from the range test, unless they are given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hypersweep_trainer import cycle
from hypersweep_trainer.__main__ import main
from hypersweep_trainer.exits import BadInputError, ExitCode
from hypersweep_trainer.lr_builtin import find
from hypersweep_trainer.lr_command import Range
from hypersweep_trainer.settings import Settings
from tests.trainer.runs import learn
from tests.trainer.test_resume import attempt

# MLflow's own, of its use of SQLAlchemy and of its types, which the project's "warnings are errors" would make fail.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),
]

CYCLES: dict[str, Any] = {"schedule": "triangular", "cycle_epochs": 4, "epochs": 8, "width": 32, "baselines": False}


def found(settings: dict[str, Any]) -> tuple[float, float]:
    """What `lr-range` suggests."""
    suggestion = find(Settings(**settings), **Range()._asdict()).suggestion
    assert suggestion is not None
    return suggestion


@pytest.mark.parametrize("more", [{}, {"optimizer": "sgd"}], ids=["adam", "sgd"])
def test_digits_are_learnt_between_the_bounds_that_the_test_finds(more: dict[str, Any]) -> None:
    """With optimizers whose rates differ by orders of magnitude, and none given."""
    epochs = learn(**CYCLES, **more)
    low, high = found({**CYCLES, **more})
    assert epochs[-1]["val_accuracy"] >= 0.95
    assert all(low <= metrics["lr"] <= high for metrics in epochs)
    assert max(metrics["lr"] for metrics in epochs) == pytest.approx(high, rel=0.1)  # after two of four epochs
    assert min(metrics["lr"] for metrics in epochs) == pytest.approx(low, abs=0.1 * high)


def test_nothing_of_the_test_remains_in_the_training() -> None:
    """Given the same bounds, the same weights are trained on the same batches, dropout included."""
    settings = {**CYCLES, "dropout": 0.2, "normalization": "batch", "epochs": 2}
    low, high = found(settings)
    for one, other in zip(learn(**settings), learn(**settings, lr=high, final_lr=low / high), strict=True):
        assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize("more", [{"lr": 0.01}, {"optimizer": "rprop"}, {"schedule": "cosine"}])
def test_bounds_that_are_given_or_not_needed_are_not_looked_for(
    more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate that is given, an optimizer that finds its own, another schedule."""
    monkeypatch.setattr(cycle, "range_test_of", lambda *_, **__: pytest.fail("tested"))
    assert len(learn(**{**CYCLES, **more, "epochs": 1})) == 1


def test_a_given_final_lr_is_the_low_bound() -> None:
    """A part of the high one that was found."""
    settings = {**CYCLES, "final_lr": 0.5, "epochs": 4}
    _, high = found(settings)
    assert min(metrics["lr"] for metrics in learn(**settings)) >= 0.5 * high


def test_a_resumed_training_does_not_test_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds are part of the checkpoint, and the end is the same."""
    whole = attempt(tmp_path / "whole", **CYCLES)
    first = attempt(tmp_path / "parts", stop=60, **CYCLES)
    monkeypatch.setattr(cycle, "range_test_of", lambda *_, **__: pytest.fail("tested anew"))
    assert first + attempt(tmp_path / "parts", **CYCLES) == whole


class Flat:
    """A loss that no step lowers."""

    def __new__(cls) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:  # type: ignore[misc]
        return lambda output, _: output.sum() * 0 + 1


def test_without_an_interval_the_training_is_refused() -> None:
    """With the test's own reasoning, and what to give instead."""
    with pytest.raises(BadInputError, match=r"lr: found none .*\(TooSmall: .*\), allowed: lr and final_lr"):
        learn(**CYCLES, loss=f"{__name__}:Flat")


def test_what_was_found_is_kept_with_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two params, the plot and the curve."""
    mlflow = pytest.importorskip("mlflow", reason="the trainer's extra is not installed")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.create_experiment("cycle", artifact_location=str(tmp_path / "artifacts"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    flags = ["--schedule=triangular", "--epochs=1", "--width=32", "--log_model=false", "--tensorboard=false"]
    assert main(flags) == ExitCode.DONE
    (run,) = client.search_runs([experiment])
    low, high = found({"schedule": "triangular", "width": 32})
    assert float(run.data.params["lr_range_min"]) == pytest.approx(low)
    assert float(run.data.params["lr_range_max"]) == pytest.approx(high)
    names = {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "lr-range")}
    assert names == {"lr-range.json", "lr-range.png"}
