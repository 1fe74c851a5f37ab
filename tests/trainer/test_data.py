"""The user's own data: read, split and encoded as the docs say; and one clear line for what can't be trained on."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from hypersweep_trainer.__main__ import main
from hypersweep_trainer.data import load
from hypersweep_trainer.data.split import fold_of, split, stratified_sample
from hypersweep_trainer.exits import BadInputError, ExitCode
from hypersweep_trainer.settings import Settings
from tests.trainer.runs import learn

CPU = torch.device("cpu")
FAST: dict[str, Any] = {"epochs": 12, "lr": 0.01, "batch_size": 32, "width": 32}


def wine() -> pd.DataFrame:
    """Real measurements, with a column of texts and gaps that someone forgot to fill."""
    table = load_wine(as_frame=True).frame
    table["target"] = table["target"].map({0: "barolo", 1: "grignolino", 2: "barbera"})
    table["colour"] = np.where(table["hue"] > 1, "ruby", "garnet")
    table.loc[[3, 70], "ash"] = np.nan
    return table


# ------------------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_is_learnt_with_nothing_but_its_target_named(ending: str, tmp_path: Path) -> None:
    """Texts become columns, gaps are filled, the task is inferred."""
    path = tmp_path / f"wine.{ending}"
    wine().to_csv(path, index=False) if ending == "csv" else wine().to_parquet(path)
    assert learn(data=str(path), target="target", **FAST)[-1]["val_accuracy"] >= 0.94


def test_a_table_of_numbers_is_a_regression(tmp_path: Path) -> None:
    """And is as good as the linear baseline that is logged beside it."""
    load_diabetes(as_frame=True).frame.to_csv(tmp_path / "diabetes.csv", index=False)
    assert learn(data=str(tmp_path / "diabetes.csv"), target="target", **{**FAST, "lr": 0.003})[-1]["val_r2"] > 0.4


def test_arrays_are_learnt(tmp_path: Path) -> None:
    """x and y of an .npz file."""
    x, y = load_breast_cancer(return_X_y=True)
    np.savez(tmp_path / "a.npz", x=x, y=y)
    assert learn(data=str(tmp_path / "a.npz"), **FAST)[-1]["val_auc"] > 0.98


def test_masks_in_arrays_are_segmentation(tmp_path: Path) -> None:
    """A bright square on a dark ground, found by a small U-Net."""
    y = np.zeros((60, 16, 16), np.int64)
    for i, mask in enumerate(y):
        mask[i % 8 : i % 8 + 6, 2:9] = 1
    x = (y + np.random.default_rng(0).normal(0, 0.2, y.shape)).astype(np.float32)
    np.savez(tmp_path / "m.npz", x=x, y=y)
    assert learn(data=str(tmp_path / "m.npz"), epochs=12, lr=0.02, width=4, batch_size=8)[-1]["val_iou"] > 0.9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of 20 grey images that differ in their stripes, not all of one size."""
    for name, axis in (("across", 0), ("down", 1)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(20):
            stripes = (np.indices((16, 16))[axis] + i) // 2 % 2 * 200
            image = Image.fromarray((stripes + np.random.default_rng(i).integers(0, 50, (16, 16))).astype(np.uint8))
            (image.resize((20, 20)) if i % 5 == 4 else image).save(tmp_path / "images" / name / f"{i}.png")
    return tmp_path / "images"


def test_a_folder_of_images_is_learnt_the_same_way_twice(folder: Path) -> None:
    """Read by threads that run ahead; the numbers don't depend on which thread was first."""
    settings = {"data": str(folder), "model": "cnn", "width": 8, "epochs": 12, "lr": 0.01, "batch_size": 8}
    first = learn(**settings)
    assert first[-1]["val_accuracy"] >= 0.85
    assert learn(**settings) == first


def test_the_users_function_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found in the folder that the trainer is started in; so are a model and a loss."""
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom sklearn.datasets import load_wine\n"
        "def wine(): return load_wine(return_X_y=True)\n"
        "def model(inputs, outputs): return torch.nn.Linear(inputs[0], outputs)\n"
        "def loss(): return torch.nn.MultiMarginLoss()\n"
    )
    monkeypatch.chdir(tmp_path)
    found = learn(data="mine:wine", model="mine:model", loss="mine:loss", epochs=15, lr=0.05, batch_size=32)
    assert found[-1]["val_accuracy"] >= 0.94


def test_the_command_line_and_a_settings_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--data my.csv --target y` is enough; a file gives what flags don't, in YAML or JSON."""
    wine().to_csv(tmp_path / "wine.csv", index=False)
    (tmp_path / "settings.yaml").write_text("epochs: 3\nlr: 1e-2\nwidth: 16\n")
    flags = ["--data", str(tmp_path / "wine.csv"), "--target", "target"]
    assert main([*flags, "--settings", str(tmp_path / "settings.yaml"), "--epochs=2"]) == ExitCode.DONE
    assert "epoch 2:" in (out := capsys.readouterr().out)
    assert "epoch 3:" not in out


# ------------------------------------------------------------------------------------------------------------- encoding


def test_encoding_looks_at_the_training_part_only(tmp_path: Path) -> None:
    """Mean, standard deviation and categories come from the rows that train; a value unseen there is all zeros."""
    rows = 40
    table = pd.DataFrame({"a": np.arange(rows, dtype=float), "c": ["x", "y"] * 20, "y": [0, 1] * 20})
    table.to_csv(tmp_path / "t.csv", index=False)
    before = load(Settings(data=str(tmp_path / "t.csv"), target="y"), CPU)
    table.loc[before.val.numpy(), "a"] = 1e6
    table.loc[before.val.numpy(), "c"] = "never seen"
    table.to_csv(tmp_path / "t.csv", index=False)
    data = load(Settings(data=str(tmp_path / "t.csv"), target="y"), CPU)
    assert isinstance(data.x, torch.Tensor)
    assert isinstance(before.x, torch.Tensor)
    assert data.shape == (3,)
    np.testing.assert_allclose(data.x[data.train].numpy(), before.x[before.train].numpy())
    assert data.x[data.train, 0].mean().abs() < 1e-6
    assert data.x[data.val, 1:].abs().sum() == 0


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"] * 10, "classification"),
        ([True, False] * 10, "classification"),
        ([0, 1, 2, 3] * 5, "classification"),
        ([0.0, 1.0] * 10, "classification"),
        (list(range(100)), "regression"),
        ([0.5, 1.25] * 10, "regression"),
    ],
)
def test_the_task_is_inferred_from_the_target(values: list[Any], task: str, tmp_path: Path) -> None:
    """Few whole numbers, texts and booleans are classes; `task` overrides it."""
    pd.DataFrame({"x": np.arange(len(values)), "y": values}).to_csv(tmp_path / "t.csv", index=False)
    assert load(Settings(data=str(tmp_path / "t.csv"), target="y"), CPU).task == task


@pytest.mark.parametrize("fold", range(5))
def test_a_text_that_only_validates_is_no_column(fold: int, tmp_path: Path) -> None:
    """A remark on one of 20 rows: whichever fold holds it has a table without that column, and the others one with it."""
    table = pd.DataFrame(
        {"x": np.arange(20), "remark": [None] * 7 + ["sensor was off"] + [None] * 12, "y": [0, 1] * 10}
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    data = load(Settings(data=str(tmp_path / "t.csv"), target="y", folds=5, fold=fold), CPU)
    assert data.shape == ((1,) if 7 in data.val.tolist() else (2,))


@pytest.mark.parametrize(
    ("kind", "values"), [("boolean", [True, None, False, True]), ("string", ["a", None, "b", "a"])]
)
def test_a_gap_of_pandas_own_kinds_is_all_zeros(kind: str, values: list[Any], tmp_path: Path) -> None:
    """As `convert_dtypes` leaves them in a file: a gap must not become NaN, which every training would be blamed for."""
    column = pd.array(values * 5, dtype=kind)  # type: ignore[call-overload]
    pd.DataFrame({"a": column, "y": [0, 1] * 10}).to_parquet(tmp_path / "t.parquet")
    data = load(Settings(data=str(tmp_path / "t.parquet"), target="y"), CPU)
    rows = data.batch(torch.arange(4))[0].tolist()
    assert rows == [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]


def test_a_table_without_any_value_is_refused(tmp_path: Path) -> None:
    """There is nothing that a model could be shown."""
    pd.DataFrame({"a": pd.Series([None] * 20, dtype=object), "y": [0, 1] * 10}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(BadInputError, match="found no value in a in any row"):
        load(Settings(data=str(tmp_path / "t.parquet"), target="y"), CPU)


@pytest.mark.parametrize("values", [[[1, 2]] * 20, [None, {"a": 1}] * 10], ids=["lists", "records"])
def test_a_column_of_lists_is_named_and_can_be_dropped(values: list[Any], tmp_path: Path) -> None:
    """As an input and as the target; it is the file's fault, not the trainer's."""
    flags = [f"--data={tmp_path}/t.parquet", "--epochs=1", "--width=8"]
    os.environ["HYPERSWEEP_TERMINATION_LOG"] = str(tmp_path / "message")
    pd.DataFrame({"a": range(20), "many": values, "y": [0, 1] * 10}).to_parquet(tmp_path / "t.parquet")
    assert main([*flags, "--target=y"]) == ExitCode.BAD_INPUT
    left = json.loads((tmp_path / "message").read_text())["error"]
    assert re.match(r"data: found (ndarray|dict) in column 'many', row [12], allowed: numbers, texts", left)
    assert main([*flags, "--target=y", "--drop=many"]) == ExitCode.DONE
    pd.DataFrame({"a": range(20), "many": [each or {"a": 2} for each in values]}).to_parquet(tmp_path / "t.parquet")
    assert main([*flags, "--target=many"]) == ExitCode.BAD_INPUT
    left = json.loads((tmp_path / "message").read_text())["error"]
    assert re.match(r"target: found (ndarray|dict) in column 'many', row 1, allowed: numbers, texts", left)


def test_folds_cover_everything_once() -> None:
    """Each sample validates in exactly one of the folds, which have nearly equal shares of each class."""
    y = torch.tensor([0] * 50 + [1] * 25 + [2] * 11)
    parts = [split(y, task="classification", settings=Settings(folds=5, fold=fold)) for fold in range(5)]
    assert sorted(torch.cat([part.val for part in parts]).tolist()) == list(range(86))
    assert all(9 <= int((y[part.val] == 0).sum()) <= 11 for part in parts)
    assert all(not set(part.val.tolist()) & set(part.train.tolist()) for part in parts)
    assert fold_of(y, folds=5, seed=1).tolist() != fold_of(y, folds=5, seed=2).tolist()


def test_the_split_keeps_the_classes_proportions() -> None:
    """Each class gives its share to validation, to one sample."""
    labels = torch.tensor([0] * 100 + [1] * 50 + [2] * 10)
    assert labels[stratified_sample(labels, fraction=0.2, seed=3)].bincount().tolist() == [20, 10, 2]


def test_the_test_part_is_kept_apart_and_looked_at_once() -> None:
    """Whatever else is split, the same samples test; their metrics come with the last epoch of the plan alone."""
    one, other = (
        split(torch.arange(100) % 4, task="classification", settings=Settings(test_fraction=0.2, **more))
        for more in ({}, {"folds": 4, "fold": 2})
    )
    assert one.test.tolist() == other.test.tolist()
    assert len(one.test) == 20
    assert not set(one.test.tolist()) & {*one.train.tolist(), *one.val.tolist()}
    epochs = learn(data="wine", test_fraction=0.2, baselines=False, **FAST)
    assert ["test_accuracy" in metrics for metrics in epochs] == [False] * 11 + [True]
    assert epochs[-1]["test_accuracy"] > 0.9
    assert "test_accuracy" not in learn(data="wine", test_fraction=0.2, budget=2, **{**FAST, "epochs": 2})[0]


# ------------------------------------------------------------------------------------------------------------- bad data


def csv(path: Path, **columns: Any) -> None:
    pd.DataFrame({"a": np.arange(20.0), "y": [0, 1] * 10, **columns}).to_csv(path, index=False)


BAD: dict[str, tuple[Any, str | None]] = {
    "a missing file": (lambda p: None, "data: found {p}, allowed: a file that exists"),
    "no table": (lambda p: p.write_bytes(b"\x00\xff" * 50), "data: {p} can't be read as csv"),
    "a wrong target": (
        lambda p: csv(p, z=1),
        None,
    ),
    "a target with gaps": (
        lambda p: csv(p, y=[np.nan, 1] * 10),
        "target: found 10 of 20 rows without a value in column 'y' (the first is row 1), allowed: none",
    ),
    "one class": (lambda p: csv(p, y=[1] * 20), "data: found only the class '1', allowed: at least two"),
    "a class of one": (
        lambda p: csv(p, y=[0] * 19 + [1]),
        "data: found 1 sample of class '1', allowed: at least two, one to train and one to validate",
    ),
    "an infinite number": (lambda p: csv(p, a=[np.inf] * 20), "data: found 20 infinite values in column 'a'"),
    "few rows": (
        lambda p: pd.DataFrame({"a": [1, 2], "y": [0, 1]}).to_csv(p, index=False),
        "data: found 2 samples in {p}, allowed: at least 10",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_tables_are_named_in_one_line(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The exit code for bad input, one line, and nothing logged as a result."""
    path, message = tmp_path / "my.csv", tmp_path / "message"
    os.environ["HYPERSWEEP_TERMINATION_LOG"] = str(message)
    make, said = BAD[kind]
    make(path)
    target = "y" if said else "nope"
    said = said or "target: found 'nope', allowed: a | y | z"
    assert main([f"--data={path}", f"--target={target}"]) == ExitCode.BAD_INPUT
    left = json.loads(message.read_text())
    assert left["error"].startswith(said.format(p=path))
    assert (left["done"], left["step"], left["metrics"]) == (False, 0, {})
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        f"bad_input: {left['error']}"
    ]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.zeros((20, 2))}, r"found the arrays \['x'\] in .*, allowed: x and y"),
        ({"x": np.zeros((20, 2)), "y": np.zeros(19)}, "found 20 samples in x and 19 in y"),
        ({"x": np.zeros(20), "y": np.zeros(20)}, r"found x of type float64 and shape \(20,\)"),
        ({"x": np.zeros((20, 0)), "y": np.arange(20) % 2}, r"found x of shape \(20, 0\), allowed: at least one number"),
        ({"x": np.zeros((20, 8, 0)), "y": np.arange(20) % 2}, r"found x of shape \(20, 8, 0\), allowed"),
        ({"x": np.zeros((20, 8, 8)), "y": np.zeros((20, 0, 8), int)}, r"found y of shape \(20, 0, 8\), allowed"),
        ({"x": np.zeros(()), "y": np.arange(20) % 2}, r"found x of shape \(\), allowed"),
        ({"x": np.full((20, 2), np.nan), "y": np.arange(20) % 2}, "not finite in x, sample 1"),
        ({"x": np.zeros((20, 2)), "y": np.full(20, np.nan)}, "found 20 NaN in y"),
    ],
    ids=["no y", "lengths", "shape", "no columns", "no pixels", "no mask", "no samples", "nan in x", "nan in y"],
)
def test_bad_arrays_are_named(arrays: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Where, what was found, what is allowed."""
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(BadInputError, match=said):
        load(Settings(data=str(tmp_path / "a.npz")), CPU)


def test_a_pickle_in_an_array_file_is_not_opened(tmp_path: Path) -> None:
    """Data run no code."""
    np.savez(tmp_path / "a.npz", x=np.array([Path("/")] * 20, dtype=object), y=np.arange(20))
    with pytest.raises(BadInputError, match="can't be read as npz"):
        load(Settings(data=str(tmp_path / "a.npz")), CPU)


def test_bad_folders_are_named(folder: Path) -> None:
    """A class without images, an image that is none."""
    (folder / "across" / "0.png").write_text("not an image")
    with pytest.raises(BadInputError, match=r"0\.png can't be read as an image"):
        load(Settings(data=str(folder)), CPU)
    (folder / "empty").mkdir()
    with pytest.raises(BadInputError, match=r"found no image in .*empty"):
        load(Settings(data=str(folder)), CPU)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"data": "nowhere:data"}, "data: found nowhere:data, but there is no module nowhere"),
        ({"data": "json:nothing"}, "data: found json:nothing, but json has no class or function nothing"),
        ({"data": "time:time"}, r"data: found float from time:time, allowed: the pair \(x, y\)"),
        ({"data": "digit"}, "data: found 'digit', which is no folder here, allowed: digits, wine"),
    ],
    ids=lambda value: "" if isinstance(value, str) else value["data"],
)
def test_places_that_are_not_there_are_named(settings: dict[str, Any], said: str) -> None:
    """Bad input, not a defect."""
    with pytest.raises(BadInputError, match=said):
        load(Settings(**settings), CPU)
