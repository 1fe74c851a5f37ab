"""What the model gets wrong, to be looked at: files beside the results, of the validation part, at the training's end.

Owns the folder `mistakes` and its bounds: the worst answers (a page of images, and rows with what is needed to find them
again), what each class suffers from, and answers that are surely wrong, which are often wrong labels. Refuses to cost a
training its end: whatever fails here is one warning. Draws no random number.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from hypersweep_trainer import pictures
from hypersweep_trainer.boxes import found_boxes
from hypersweep_trainer.data import Data
from hypersweep_trainer.data.prefetch import batches_of
from hypersweep_trainer.judged import Hits, hits, judged, qualities
from hypersweep_trainer.metrics import confusion
from hypersweep_trainer.samples import COLUMNS

if TYPE_CHECKING:
    from hypersweep_trainer.tracking import Tracker
    from hypersweep_trainer.train import Training

log = logging.getLogger(__name__)

FOLDER = "mistakes"  # among a run's artifacts
LOOKED_AT = 10_000  # samples, the first of the validation part
ROWS = 100
TILES = 16
CLASSES = 100  # in the picture of the confusion matrix
BATCH = 64

Row = Sequence[object]


class Seen(NamedTuple):
    """Answers to the samples of these numbers: how good each is, and of classes their shares (n, classes)."""

    samples: Tensor
    truth: Tensor
    quality: Tensor
    shares: Tensor
    counts: Tensor  # of samples or pixels (truth, answer); of boxes (kinds, 3), see `_box_counts`


def keep(training: Training, tracker: Tracker) -> None:
    """They become artifacts of the run, if there is one and the settings say so."""
    if tracker.directory and training.settings.mistakes and (written := write(training, tracker.directory / FOLDER)):
        tracker.log_file(written, FOLDER)


def write(training: Training, folder: Path) -> Path | None:
    """The files in `folder`; None, with a warning, if something refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(training, folder)
    except Exception as error:  # noqa: BLE001  # a full disk, an odd model: no reason to lose a training
        log.warning("mistakes are not written: %s: %s", type(error).__name__, error)
        return None
    return folder


def _write(training: Training, folder: Path) -> None:
    seen = _answered(training)
    worst = seen.quality.argsort(stable=True)[:ROWS]
    _show(training, seen.samples[worst], folder / "worst")
    data = training.data
    if data.task == "detection":
        rows = [(name, *row) for name, row in zip(data.classes, seen.counts.tolist(), strict=True)]
        _tabulate(folder / "classes.csv", ("class", "things", "found", "too_many"), rows)
    elif data.classes:
        _tabulate(folder / "classes.csv", *class_errors(seen.counts, data.classes))
    if data.task in ("classification", "segmentation") and len(data.classes) <= CLASSES:
        pictures.table(seen.counts, data.classes).save(folder / "confusion.png")
    if data.task == "classification":
        _show(training, seen.samples[suspects(seen.shares, seen.truth)[:ROWS]], folder / "confidently_wrong")


@torch.no_grad()
def _answered(training: Training) -> Seen:
    data = training.data
    samples = data.val[:LOOKED_AT]
    training.model.eval()
    truths, quality, shares = [], [], []
    counts: list[Tensor] = []
    for x, y in batches_of(data, torch.split(samples, BATCH)):
        output, truth = training.answer(x).float().cpu(), y.cpu()
        quality.append(qualities(data, truth, output))
        counts.append(_counts(data, truth, output))
        if data.task == "classification":
            truths.append(truth)
            shares.append(output.softmax(1))
    nothing = torch.zeros(0)
    return Seen(
        samples.cpu(),
        torch.cat(truths) if truths else nothing,
        torch.cat(quality),
        torch.cat(shares) if shares else nothing,
        torch.stack(counts).sum(0),
    )


def _counts(data: Data, truth: Tensor, output: Tensor) -> Tensor:
    if data.task == "detection":
        return torch.stack([_box_counts(truth, output, kind) for kind in range(len(data.classes))])
    return confusion(truth, output.argmax(1), len(data.classes)) if data.classes else torch.zeros(0, dtype=torch.long)


def _box_counts(y: Tensor, output: Tensor, kind: int) -> Tensor:
    """(3,): how many things of one kind there are, how many of them were found, and how many boxes are too many."""
    pairs = zip(y, found_boxes(output), strict=True)
    rows = [_counted(hits(target[target[:, 0] == kind], boxes[boxes[:, 0] == kind])) for target, boxes in pairs]
    return torch.tensor(rows).sum(0)


def _counted(of_image: Hits) -> tuple[int, int, int]:
    truth, sure, count = of_image
    return len(truth), count, len(sure) - count


def suspects(shares: Tensor, truth: Tensor) -> Tensor:
    """The places (n,) of answers that are surely wrong, the surest first: labels to look at.

    Surely: the share of the answer is at least what samples of that class get for it on the average, which is the rule of
    confident learning (Northcutt et al. 2021, arXiv:1911.00068, section 3.1) for a label that should be another.

    Args:
        shares: of the classes (n, classes), as softmax gives them.
        truth: the labels (n,).
    """
    sure, answer = shares.max(1)
    own = shares.gather(1, truth[:, None])[:, 0]
    usual = torch.stack(
        [own[truth == kind].mean() if (truth == kind).any() else torch.tensor(1.0) for kind in range(shares.shape[1])]
    )
    places = ((answer != truth) & (sure >= usual[answer])).nonzero()[:, 0]
    return places[(sure - own)[places].argsort(descending=True, stable=True)]


def class_errors(counts: Tensor, names: Sequence[str]) -> tuple[Row, list[Row]]:
    """A row for each class, the one with the lowest recall first, from counts (truth, answer)."""
    right, there, said = counts.diag(), counts.sum(1), counts.sum(0)
    wrong = counts - torch.diag(right)
    rows: list[Row] = []
    for kind in (right / there.clamp(min=1)).argsort(stable=True).tolist():
        taken_for = int(wrong[kind].argmax())
        often = int(wrong[kind, taken_for])
        recall, precision = (float(right[kind] / of[kind].clamp(min=1)) for of in (there, said))
        row = (names[kind], int(there[kind]), int(right[kind]), f"{recall:.4f}", f"{precision:.4f}")
        rows.append((*row, names[taken_for] if often else "", often))
    return ("class", "count", "right", "recall", "precision", "most often taken for", "times"), rows


# ---- showing some samples ------------------------------------------------------------------------------------------------


@torch.no_grad()
def _show(training: Training, samples: Tensor, path: Path) -> None:
    """These samples, in this order, as a table, and the first of them as a page of images where they are images."""
    data = training.data
    if not len(samples):
        return
    x, y = data.batch(samples.to(data.val.device))
    output = torch.cat([training.answer(part).float().cpu() for part in torch.split(x, BATCH)])
    x, y = x.cpu(), y.cpu()
    head, rows = _told(data, y, output)
    features = x if x.ndim == 2 else x[:, :0].flatten(1)
    columns = [f"x{i}" for i in range(min(COLUMNS, features.shape[1]))]
    named = (
        (_name(data, int(sample)), *row, *(f"{value:.5g}" for value in inputs[:COLUMNS]))
        for sample, row, inputs in zip(samples, rows, features.tolist(), strict=True)
    )
    _tabulate(path.with_suffix(".csv"), ("sample", *head, *columns), named)
    if len(data.shape) == 3:
        shown = judged(data, x[:TILES], y[:TILES], output[:TILES])
        colour = {True: pictures.RIGHT, False: pictures.WRONG}
        pictures.sheet([pictures.tile(one.images, one.caption, colour[one.right]) for one in shown]).save(
            path.with_suffix(".png")
        )


def _told(data: Data, y: Tensor, output: Tensor) -> tuple[Row, list[Row]]:
    """What there is to say of each answer, in the terms of the task: names of columns, and rows."""
    match data.task:
        case "classification":
            shares = output.softmax(1)
            sure, answer = (part.tolist() for part in shares.max(1))
            own = shares.gather(1, y[:, None])[:, 0].tolist()
            of_classes = zip(y.tolist(), answer, sure, own, strict=True)
            return ("truth", "prediction", "confidence", "share_of_truth"), [
                (data.classes[t], data.classes[a], f"{c:.4f}", f"{o:.4f}") for t, a, c, o in of_classes
            ]
        case "regression":
            values = zip(_unscaled(data, y), _unscaled(data, output), strict=True)
            return ("truth", "prediction", "residual"), [(f"{t:.6g}", f"{a:.6g}", f"{a - t:.6g}") for t, a in values]
        case "segmentation":
            return ("overlap",), [(f"{same:.4f}",) for same in qualities(data, y, output).tolist()]
        case _:
            found = zip(y, found_boxes(output), strict=True)
            return ("things", "found", "too_many"), [_counted(hits(target, some)) for target, some in found]


def _unscaled(data: Data, values: Tensor) -> list[float]:
    found: list[float] = (values.flatten().double() * data.std + data.mean).tolist()
    return found


def _name(data: Data, sample: int) -> str | int:
    """The file of an image in a folder, else the number in the order of the data, counted from 0."""
    paths = getattr(data.x, "paths", None)
    return f"{paths[sample].parent.name}/{paths[sample].name}" if paths else sample


def _tabulate(path: Path, head: Row, rows: Iterable[Row]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
