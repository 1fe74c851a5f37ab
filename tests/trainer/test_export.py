"""A trained model leaves the trainer in other forms, each compared with the original on real inputs."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hypersweep_trainer import export_command
from hypersweep_trainer.__main__ import main
from hypersweep_trainer.data import load
from hypersweep_trainer.exits import ExitCode
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.tracking import Tracker
from hypersweep_trainer.train import train
from tests.trainer.runs import StopAfter, job

onnxruntime = pytest.importorskip("onnxruntime", reason="the export extra is not installed")
mlflow = pytest.importorskip("mlflow", reason="the trainer's extra is not installed")

pytestmark = [  # torch's exporter and MLflow's store warn of their own code
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]
QUIET = {"baselines": False, "log_every": 0}


def trained(checkpoints: Path, **settings: Any) -> Settings:
    """A model in a directory of checkpoints."""
    work = job(checkpoints=checkpoints, **QUIET, **settings)
    train(work, tracker=Tracker(aloud=False), interruption=StopAfter())
    return work.settings


CNN = {"model": "cnn", "width": 32, "lr": 0.005, "epochs": 4, "ema": 0.9}
TABLE = {"data": "wine", "model": "transformer", "lr": 0.003, "width": 16, "epochs": 20}
VALUES = {"data": "diabetes", "lr": 0.01, "epochs": 20}
UNET = {"data": "shapes", "width": 8, "lr": 0.02, "epochs": 5, "batch_size": 16}


@pytest.mark.parametrize(
    ("settings", "metric", "least", "lost"),
    [
        pytest.param(CNN, "accuracy", 0.95, 0.02, id="images"),
        pytest.param(TABLE, "accuracy", 0.9, 0.06, id="rows"),
        pytest.param(VALUES, "r2", 0.3, 0.05, id="values"),
        pytest.param(UNET, "dice", 0.7, 0.05, id="masks"),
    ],
)
def test_each_form_answers_as_the_original_does(
    tmp_path: Path, settings: dict[str, Any], metric: str, least: float, lost: float
) -> None:
    """The report's numbers are those of the files: read again here, by the libraries that users would read them with."""
    chosen = trained(tmp_path / "checkpoints", **settings)
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "checkpoints"), "--out", str(out)]) == ExitCode.DONE
    forms = {form["name"]: form for form in json.loads((out / "export.json").read_text())["forms"]}
    assert list(forms) == ["original", "torch.export", "onnx", "onnx int8"]
    assert forms["original"]["scores"][metric] > least
    assert forms["onnx int8"]["scores"][metric] > forms["original"]["scores"][metric] - lost
    if "cnn" in settings.values():  # one that is mostly weights
        assert forms["onnx int8"]["kilobytes"] < 0.5 * forms["onnx"]["kilobytes"]
    assert all(form["milliseconds_1"] > 0 < form["milliseconds_64"] for form in forms.values())

    data = load(chosen, torch.device("cpu"))
    x = data.batch(data.val[:7])[0]  # another number of samples than it was exported with
    session = onnxruntime.InferenceSession(out / forms["onnx"]["file"])
    program = torch.export.load(out / forms["torch.export"]["file"]).module()
    with torch.no_grad():
        np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], program(x).numpy(), rtol=1e-3, atol=1e-3)
    for name in ("torch.export", "onnx"):
        assert forms[name]["deviation"] < 1e-3
        assert forms[name]["scores"][metric] == pytest.approx(forms["original"]["scores"][metric], abs=0.005)


def test_a_run_s_model_is_exported_and_kept_with_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the run's id alone; a detector, whose answers are boxes."""
    os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    run = client.create_run(client.create_experiment("e", artifact_location=str(tmp_path / "artifacts"))).info.run_id
    os.environ["MLFLOW_RUN_ID"] = run
    assert main(["--data=boxes", "--width=8", "--epochs=1", "--baselines=false"]) == ExitCode.DONE
    assert main(["export", f"runs:/{run}/model", "--out", str(tmp_path / "out")]) == ExitCode.DONE
    assert {file.path for file in client.list_artifacts(run, "export")} == {
        f"export/{name}" for name in ("export.json", "model.onnx", "model.int8.onnx", "model.pt2")
    }
    assert "onnx int8" in capsys.readouterr().out


def test_a_form_that_deviates_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The files stay, to be looked at; the exit code says that they are not to be used."""
    from hypersweep_trainer import export

    trained(tmp_path / "checkpoints", width=8, epochs=1)
    monkeypatch.setattr(export, "_session", lambda path, finished: lambda x: finished.model(x) * 1.5)
    assert main(["export", str(tmp_path / "checkpoints"), "--out", str(tmp_path / "out")]) == ExitCode.INTERNAL
    assert "model.onnx deviates by" in caplog.text
    assert (tmp_path / "out" / "model.onnx").exists()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param("nowhere", "found no folder nowhere", id="no-folder"),
        pytest.param(".", "found neither model.pt nor a checkpoint", id="empty-folder"),
        pytest.param("runs:/0123/model", "needs MLFLOW_TRACKING_URI", id="no-server"),
    ],
)
def test_what_is_not_there_is_said(
    model: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", model]) == ExitCode.BAD_INPUT
    assert said in caplog.text


def test_missing_packages_are_named_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(export_command, "find_spec", lambda _: None)
    assert main(["export", "runs:/0123/model"]) == ExitCode.BAD_INPUT
    assert "onnx, onnxscript, onnxruntime not installed" in caplog.text


def test_a_directory_of_checkpoints_is_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its training may be at work in it, or nobody may write there; what is damaged is passed over, and left to its owner."""
    folder = tmp_path / "checkpoints"
    trained(folder, width=8, epochs=2)
    newest, older = sorted(folder.glob("epoch-*.pt"), reverse=True)
    newest.write_bytes(older.read_bytes())
    (folder / "epoch-0000003-batch-0000000-0123456789abcdef.99.tmp").write_text("half of it")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    def refuse(*_place: object, **_options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert main(["export", str(folder), "--out", str(tmp_path / "out")]) == ExitCode.DONE
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
