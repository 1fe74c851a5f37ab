"""What the model gets wrong is found, ranked and drawn: of real trainings of each task."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hypersweep_trainer import mistakes, pictures
from hypersweep_trainer.data import load
from hypersweep_trainer.mistakes import class_errors, suspects
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.train import Training
from tests.trainer.runs import StopAfter

# MLflow's own, of its use of SQLAlchemy and of its types, which the project's "warnings are errors" would make fail.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),
]

FLIPPED = 60  # labels of digits, spread over all parts


def flipped() -> dict[int, int]:
    """Number of a sample → the label that it has instead of its own."""
    from sklearn.datasets import load_digits

    _, y = load_digits(return_X_y=True)
    dice = np.random.default_rng(0)
    samples = dice.choice(len(y), FLIPPED, replace=False)
    return {int(i): int((y[i] + dice.integers(1, 10)) % 10) for i in samples}


def mislabelled() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Digits, some with a wrong label."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    y = y.copy()
    for sample, label in flipped().items():
        y[sample] = label
    return x.reshape(-1, 8, 8), y


def learnt(**settings: Any) -> Training:
    """A training after its last epoch."""
    training = Training(Settings(**settings), horizon=settings["epochs"])
    for _ in range(settings["epochs"]):
        training.train_epoch(StopAfter())  # type: ignore[arg-type]
    return training


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_wrong_labels_are_at_the_top_of_what_is_surely_wrong(tmp_path: Path) -> None:
    """Of the labels that were flipped, those of the validation part are found, first of all, with what they should be."""
    from sklearn.datasets import load_digits

    training = learnt(
        data=f"{__name__}:mislabelled", task="classification", epochs=20, width=128, dropout=0.3, lr=0.003
    )
    folder = mistakes.write(training, tmp_path / "mistakes")
    assert folder is not None
    assert {path.name for path in folder.iterdir()} == {
        "worst.csv",
        "worst.png",
        "classes.csv",
        "confusion.png",
        "confidently_wrong.csv",
        "confidently_wrong.png",
    }
    planted = set(training.data.val.tolist()) & flipped().keys()
    assert len(planted) >= 8
    rows = table(folder / "confidently_wrong.csv")
    top = rows[: len(planted)]
    assert len({int(row["sample"]) for row in top} & planted) >= 0.8 * len(planted)
    true = load_digits().target
    assert sum(true[int(row["sample"])] == int(row["prediction"]) for row in top) >= 0.8 * len(top)
    assert all(int(row["truth"]) == mislabelled()[1][int(row["sample"])] for row in rows)
    worst = table(folder / "worst.csv")
    shares = [float(row["share_of_truth"]) for row in worst]
    assert shares == sorted(shares)
    assert Image.open(folder / "confidently_wrong.png").convert("RGB").getpixel((5, 5)) == pictures.WRONG


def test_rows_of_a_table_are_kept_with_their_inputs(tmp_path: Path) -> None:
    """The 88 patients of the validation part, the largest residual first, in the target's units."""
    training = learnt(data="diabetes", epochs=15, width=32, lr=0.003, batch_size=32)
    assert mistakes.write(training, tmp_path) is not None
    assert {path.name for path in tmp_path.iterdir()} == {"worst.csv"}
    rows = table(tmp_path / "worst.csv")
    residuals = [abs(float(row["residual"])) for row in rows]
    assert residuals == sorted(residuals, reverse=True)
    assert len(rows) == min(mistakes.ROWS, len(training.data.val))
    data = load(Settings(data="diabetes"), torch.device("cpu"))
    sample = int(rows[0]["sample"])
    assert float(rows[0]["truth"]) == pytest.approx(float(data.y[sample]) * data.std + data.mean, rel=1e-4)
    assert [float(rows[0][f"x{i}"]) for i in range(10)] == pytest.approx(
        data.x[torch.tensor(sample)].tolist(), rel=1e-3
    )


@pytest.mark.parametrize("data", ["shapes", "boxes"])
def test_masks_and_boxes_are_laid_over_the_worst(data: str, tmp_path: Path) -> None:
    """In a colour that no sample has; what each class suffers from is a table."""
    training = learnt(data=data, epochs=3, width=8, batch_size=16, lr=0.02)
    assert mistakes.write(training, tmp_path) is not None
    page = np.asarray(Image.open(tmp_path / "worst.png").convert("RGB")).astype(int)
    coloured = (page.max(-1) - page.min(-1) > 60).mean()  # samples are grey, frames are left out below
    frames = sum((page == np.array(colour)).all(-1).mean() for colour in (pictures.RIGHT, pictures.WRONG))
    assert coloured - frames > 0.002
    rows = table(tmp_path / "worst.csv")
    classes = {row["class"]: row for row in table(tmp_path / "classes.csv")}
    assert set(classes) == set(training.data.classes)
    if data == "shapes":
        overlaps = [float(row["overlap"]) for row in rows]
        assert overlaps == sorted(overlaps)
        assert (tmp_path / "confusion.png").exists()
    else:
        there = training.data.y[training.data.val][..., 0]
        assert sum(int(row["things"]) for row in classes.values()) == int((there >= 0).sum())
        assert all(int(row["found"]) <= int(row["things"]) for row in [*rows, *classes.values()])


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many samples there are."""
    monkeypatch.setattr(mistakes, "LOOKED_AT", 50)
    monkeypatch.setattr(mistakes, "ROWS", 7)
    assert mistakes.write(learnt(epochs=1, width=8), tmp_path) is not None
    assert len(table(tmp_path / "worst.csv")) == 7
    assert sum(int(row["count"]) for row in table(tmp_path / "classes.csv")) == 50
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 200_000


def test_they_are_artifacts_of_the_run_unless_turned_off(tmp_path: Path) -> None:
    """In `mistakes/`."""
    mlflow = pytest.importorskip("mlflow", reason="the trainer's extra is not installed")
    from hypersweep_trainer.__main__ import main

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    for on in ("true", "false"):
        experiment = client.create_experiment(on, artifact_location=str(tmp_path / on))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
            patch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
            assert main(["--data=wine", "--epochs=2", "--log_model=false", f"--mistakes={on}"]) == 0
        (run,) = client.search_runs([experiment])
        names = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert ("mistakes" in names) == (on == "true")
    worst = table(next(tmp_path.glob("true/*/artifacts/mistakes/worst.csv")))
    assert set(worst[0]) >= {"sample", "truth", "prediction", "confidence", "x0", "x12"}


def test_a_disk_that_refuses_costs_the_files_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One warning."""
    (tmp_path / "file").write_text("")
    assert mistakes.write(learnt(epochs=1, width=8), tmp_path / "file") is None
    assert caplog.text.count("mistakes are not written: FileExistsError") == 1


def test_surely_wrong_goes_by_how_sure_answers_of_that_class_usually_are() -> None:
    """The second is less sure than such answers are on the average, the third is right."""
    shares = torch.tensor([[0.1, 0.9], [0.4, 0.6], [0.2, 0.8], [0.99, 0.01], [0.02, 0.98]])
    truth = torch.tensor([0, 0, 1, 0, 0])
    assert suspects(shares, truth).tolist() == [4, 0]
    assert suspects(shares[2:4], truth[2:4]).tolist() == []


def test_classes_are_ordered_by_recall() -> None:
    """With what each is taken for."""
    head, rows = class_errors(torch.tensor([[9, 1, 0], [0, 4, 6], [0, 0, 0]]), ("a", "b", "c"))
    assert head[0] == "class"
    assert rows[0] == ("c", 0, 0, "0.0000", "0.0000", "", 0)
    assert rows[1] == ("b", 10, 4, "0.4000", "0.8000", "c", 6)
    assert rows[2][0] == "a"
