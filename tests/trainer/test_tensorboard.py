"""Event files: everything that was asked for is in them, of real trainings, and nothing about a training changes."""

from __future__ import annotations

import json
import resource
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hypersweep_trainer import pictures
from hypersweep_trainer import tensorboard as ours
from hypersweep_trainer.data import Data, load
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.train import train
from tests.trainer.runs import History, StopAfter, job

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="the trainer's extra is not installed"
)


def trained(folder: Path, **settings: Any) -> Any:
    """What TensorBoard reads of a training with these settings."""
    train(
        job(checkpoints=folder, **{"width": 16, "epochs": 2, **settings}), tracker=History(), interruption=StopAfter()
    )
    return events(folder)


def events(folder: Path) -> Any:
    """All that is in the event files of a training's folder."""
    everything = dict.fromkeys(event_accumulator.DEFAULT_SIZE_GUIDANCE, 0)
    found = event_accumulator.EventAccumulator(str(folder / ours.FOLDER), size_guidance=everything)
    found.Reload()
    return found


def image(found: Any, tag: str) -> Image.Image:
    """The last picture of a tag."""
    return Image.open(BytesIO(found.Images(tag)[-1].encoded_image_string)).convert("RGB")


def steps(found: Any, tag: str) -> list[int]:
    return [event.step for event in found.Scalars(tag)]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Ten epochs on digits."""
    return trained(tmp_path_factory.mktemp("digits"), epochs=10, log_every=5, profile_steps=2, lr=0.01)


def test_curves_and_the_learning_rate_are_scalars(digits: Any) -> None:
    """Per epoch and per step, with the values that were measured; what a constant and a linear model reach is there."""
    for tag in ("train/loss", "val/loss", "val/accuracy", "train/lr"):
        assert steps(digits, tag) == list(range(1, 11))
    assert digits.Scalars("val/accuracy")[-1].value > 0.9
    assert steps(digits, "step/lr") == list(range(5, 231, 5))
    rates = [event.value for event in digits.Scalars("step/lr")]
    assert rates[0] < max(rates) == pytest.approx(0.01, rel=0.01)  # warm-up
    assert rates[-1] < 1e-3  # cosine
    assert digits.Scalars("baseline/linear_accuracy")[0].value > 0.9


def test_weights_and_gradients_are_histograms(digits: Any) -> None:
    """Of each parameter, once an epoch; they move."""
    names = {tag.partition("/")[2] for tag in digits.Tags()["histograms"] if tag.startswith("gradients/")}
    assert names == {tag.partition("/")[2] for tag in digits.Tags()["histograms"] if tag.startswith("weights/")}
    assert len(names) == 6  # three layers
    for name in names:
        weights = digits.Histograms(f"weights/{name}")
        assert [event.step for event in weights] == list(range(1, 11))
        assert weights[0].histogram_value.sum_squares != weights[-1].histogram_value.sum_squares
        assert digits.Histograms(f"gradients/{name}")[0].histogram_value.sum_squares > 0


def test_gradients_of_fp16_are_shown_as_large_as_they_are(tmp_path: Path) -> None:
    """Not scaled up, as they are computed, nor scaled down twice."""
    sizes = []
    for precision in ("float32", "fp16"):
        found = trained(tmp_path / precision, precision=precision, epochs=1)
        sizes.append(found.Histograms("gradients/1.weight")[0].histogram_value.sum_squares)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_the_graph_of_the_model_is_there(digits: Any) -> None:
    """With its layers as nodes."""
    graph = digits.Graph()
    assert sum(node.op == "aten::linear" for node in graph.node) == 3


def test_the_profiler_trace_is_there_when_asked_for(digits: Any, tmp_path: Path) -> None:
    """Its operations are those of a training; without the setting there is none."""
    trace = json.loads((Path(digits.path) / "trace.json").read_text())
    names = {event.get("name") for event in trace["traceEvents"]}
    assert {"aten::addmm", "ProfilerStep#3", "ProfilerStep#4"} <= names
    assert "ProfilerStep#5" not in names
    assert "aten::addmm" in digits.Tensors("profile/text_summary")[0].tensor_proto.string_val[0].decode()
    trained(tmp_path, epochs=1)
    assert [path.suffix for path in (tmp_path / ours.FOLDER).iterdir() if path.name.endswith("json")] == []


def test_pictures_show_what_is_right_and_what_is_wrong(digits: Any, tmp_path: Path) -> None:
    """Three times; frames tell the two apart."""
    assert [event.step for event in digits.Images("predictions/right")] == [1, 5, 10]
    assert image(digits, "predictions/right").getpixel((5, 5)) == ours.pictures.RIGHT
    assert image(digits, "predictions/wrong").getpixel((5, 5)) == ours.pictures.WRONG
    assert "predictions/right" not in trained(tmp_path, data="wine", epochs=1).Tags()["images"]  # rows are no images


def test_the_confusion_matrix_is_a_picture(digits: Any) -> None:
    """What was right is dark on the diagonal; the rest is pale."""
    table = image(digits, "predictions/confusion")
    cell = 34
    diagonal = [table.getpixel((cell + cell * n + 2, 38 + cell * n + 2)) for n in range(10)]
    beside = [table.getpixel((cell + cell * ((n + 3) % 10) + 2, 38 + cell * n + 2)) for n in range(10)]
    assert all(green - red > 60 for red, green, _ in diagonal), diagonal
    assert sum(min(pixel) > 200 for pixel in beside) >= 8, beside


def first_tile(found: Any, data: Data) -> tuple[int, list[np.ndarray[Any, Any]]]:
    """Of the first sample on a page: its number in the data, and the two pictures that show truth and answer (h, w, 3)."""
    tag = next(tag for tag in ("predictions/right", "predictions/wrong") if tag in found.Tags()["images"])
    page = np.asarray(image(found, tag)).astype(int)
    corner = 2 * pictures.GAP
    plain = {int(n): pictures.pixels(pictures.picture(data.batch(n[None])[0][0])).astype(int) for n in data.val[:256]}
    height, width, _ = next(iter(plain.values())).shape
    lefts = corner, corner + width + pictures.GAP
    shown = [page[corner : corner + height, left : left + width] for left in lefts]
    # Most of a picture is what it was: the sample is the one whose pixels are.
    return max(plain, key=lambda n: (plain[n] == shown[0]).all(-1).mean()), shown


def test_masks_are_laid_over(tmp_path: Path) -> None:
    """In the event file of a real segmentation: the truth, pixel by pixel in its classes' colours, and beside it the answer."""
    found = trained(tmp_path, data="shapes", epochs=3, layers=2, lr=0.01)
    data = load(Settings(data="shapes"), torch.device("cpu"))
    sample, (truth, answer) = first_tile(found, data)
    plain = pictures.pixels(pictures.picture(data.batch(torch.tensor([sample]))[0][0])).astype(int)
    mask = data.y[sample].numpy().repeat(pictures.zoom(data.batch(torch.tensor([sample]))[0][0]), 0)
    mask = mask.repeat(pictures.zoom(data.batch(torch.tensor([sample]))[0][0]), 1)
    assert (mask > 0).any()
    assert (truth == plain)[mask == 0].all()
    for kind in np.unique(mask[mask > 0]):
        laid = plain[mask == kind] * (1 - 140 / 255) + np.array(pictures.PALETTE[kind - 1]) * 140 / 255
        assert np.abs(truth[mask == kind] - laid).max() <= 2
    assert (answer != plain).any()
    assert "predictions/confusion" in found.Tags()["images"]


def test_boxes_are_laid_over(tmp_path: Path) -> None:
    """In the event file of a real detection: around what is there, in white, and around what was found, in a colour."""
    found = trained(tmp_path, data="boxes", epochs=6, layers=2, lr=0.01)
    data = load(Settings(data="boxes"), torch.device("cpu"))
    sample, (truth, answer) = first_tile(found, data)
    scale = pictures.zoom(data.batch(torch.tensor([sample]))[0][0])
    boxes = [box for kind, *box in data.y[sample].tolist() if kind >= 0]
    assert boxes
    for left, top, right, bottom in boxes:
        middle = int((left + right) / 2 * scale)
        upper = truth[min(int(top * scale), len(truth) - 1), middle]
        lower = truth[min(int(bottom * scale), len(truth) - 1), middle]
        assert (upper == pictures.PAPER).all() or (lower == pictures.PAPER).all()
    assert (answer == np.array(pictures.PALETTE[0])).all(-1).sum() > 40  # outlines
    assert "predictions/confusion" not in found.Tags()["images"]


def test_a_disk_that_is_full_costs_the_event_file_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line, no traceback of TensorBoard's thread; the epochs go on."""
    history = History()
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, allowed[1]))  # to a file it looks like a full disk
    try:
        train(job(width=8, epochs=6, checkpoints=tmp_path), tracker=history, interruption=StopAfter())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert len(history.epochs) == 6
    assert caplog.text.count("TensorBoard: ") == 1
    assert "TensorBoard: OSError: [Errno 27] File too large (no more is written for it)" in caplog.text
    assert "Traceback" not in capfd.readouterr().err


def test_nothing_about_the_training_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With dropout and batch norm, bit by bit the same numbers with and without."""
    histories = []
    for on in (True, False):
        history = History()
        work = job(
            data="wine", normalization="batch", dropout=0.3, epochs=4, tensorboard=on, checkpoints=tmp_path / str(on)
        )
        train(work, tracker=history, interruption=StopAfter())
        histories.append(history.epochs)
    assert histories[0] == histories[1]
    assert "TensorBoard:" not in caplog.text  # else nothing was written, and nothing could have changed
    assert (tmp_path / "True" / ours.FOLDER).exists()
    assert not (tmp_path / "False" / ours.FOLDER).exists()


def test_what_is_not_finite_is_left_out_of_histograms(digits: Any) -> None:
    """Values that overflowed would make the whole histogram fail; a large weight is counted in part."""
    assert ours.some(torch.tensor([1.0, float("inf"), float("nan"), 2.0])).tolist() == [1.0, 2.0]
    assert len(ours.some(torch.zeros(3 * ours.VALUES + 1))) <= ours.VALUES


def test_the_last_epoch_of_a_budget_is_pictured(tmp_path: Path) -> None:
    """Also where the plan goes on: a trial that is stopped at a rung is looked at as it was there."""
    train(job(budget=3, epochs=20, width=8, checkpoints=tmp_path), tracker=History(), interruption=StopAfter())
    assert [event.step for event in events(tmp_path).Images("predictions/right")] == [1, 3]


def test_an_error_ends_the_board_not_the_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said once; the epochs go on."""
    monkeypatch.setattr(ours, "some", lambda _: 1 / 0)
    history = History()
    train(job(width=8, epochs=3, checkpoints=tmp_path), tracker=history, interruption=StopAfter())
    assert len(history.epochs) == 3
    assert caplog.text.count("TensorBoard: ZeroDivisionError") == 1
