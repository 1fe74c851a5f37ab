"""How good the answers are: per task a scorer that takes outputs and targets batch by batch, and sums them up.

Small implementations (tested against scikit-learn's, whose import costs every trial 4 s). A metric that is not defined,
such as the AUC of a class that is not there, leaves that class out. Refuses to know losses: those are what is
minimised, not what is wanted.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hypersweep_trainer.boxes import found_boxes, overlap
from hypersweep_trainer.data import Data

Scores = dict[str, float]

BINS = 15  # of the calibration error (Guo et al. 2017)
OVERLAPS = [0.5 + 0.05 * step for step in range(10)]  # of COCO's mean average precision


class Scorer(Protocol):
    """Collects one look at a part of the data."""

    def add(self, output: Tensor, target: Tensor) -> None: ...

    def scores(self) -> Scores: ...


def make_scorer(data: Data) -> Scorer:
    """The scorer of the data's task."""
    if data.task == "classification":
        return Classification(len(data.classes))
    if data.task == "regression":
        return Regression(mean=data.mean, std=data.std)
    return Segmentation(len(data.classes)) if data.task == "segmentation" else Detection(len(data.classes))


class Classification:
    """Accuracy, balanced accuracy, F1 (mean of classes), AUC (one against the rest, mean), calibration error."""

    def __init__(self, classes: int) -> None:
        """`classes` there may be."""
        self.classes = classes
        self.logits: list[Tensor] = []
        self.truth: list[Tensor] = []

    def add(self, output: Tensor, target: Tensor) -> None:
        """Logits (n, classes), classes (n,)."""
        self.logits.append(output.float().cpu())
        self.truth.append(target.cpu())

    def confusion(self) -> Tensor:
        """How often (truth, answer) came together: (classes, classes)."""
        return confusion(torch.cat(self.truth), torch.cat(self.logits).argmax(1), self.classes)

    def scores(self) -> Scores:
        """Each as its name says; all but the calibration error are better the larger they are."""
        truth, share = torch.cat(self.truth), torch.cat(self.logits).softmax(1)
        table = self.confusion().double()
        present, right = table.sum(1) > 0, table.diag()
        recall = right[present] / table.sum(1)[present]
        either = table.sum(1) + table.sum(0)
        f1 = (2 * right / either)[either > 0]
        return {
            "accuracy": (right.sum() / table.sum()).item(),
            "balanced_accuracy": recall.mean().item(),
            "f1": f1.mean().item(),
            "auc": mean_auc(share, truth),
            "calibration_error": calibration_error(share, truth),
        }


def confusion(truth: Tensor, answer: Tensor, classes: int) -> Tensor:
    """How often each pair of (truth, answer) is there: (classes, classes)."""
    return (truth.flatten() * classes + answer.flatten()).bincount(minlength=classes**2).view(classes, classes)


def mean_auc(share: Tensor, truth: Tensor) -> float:
    """The area under the ROC curve: of class 1 where there are two, else the mean of each against the rest."""
    columns = range(1, 2) if share.shape[1] == 2 else range(share.shape[1])
    areas = [auc(share[:, column], truth == column) for column in columns]
    known = [area for area in areas if area is not None]
    return float(np.mean(known)) if known else 0.5


def auc(score: Tensor, positive: Tensor) -> float | None:
    """How often a positive one scores higher than another, equal ones counting half; None if there is only one kind."""
    inside, outside = int(positive.sum()), int((~positive).sum())
    if not inside or not outside:
        return None
    _, place, count = torch.unique(score, return_inverse=True, return_counts=True)
    last = count.cumsum(0)
    rank = (last - (count - 1) / 2)[place]  # the mean rank of those that are equal
    return float((rank[positive].double().sum() - inside * (inside + 1) / 2) / (inside * outside))


def calibration_error(share: Tensor, truth: Tensor) -> float:
    """The mean gap between how sure and how right the answers are, over bins of sureness (expected calibration error)."""
    sure, answer = share.max(1)
    bins = (sure * BINS).ceil().long().clamp(1, BINS) - 1
    gap = torch.zeros(BINS, dtype=torch.double).index_add_(0, bins, sure.double() - (answer == truth).double())
    return float(gap.abs().sum() / len(truth))


class Regression:
    """RMSE and MAE in the target's own units, and R²."""

    def __init__(self, *, mean: float, std: float) -> None:
        """What undoes the target's standardisation."""
        self.mean, self.std = mean, std
        self.answers: list[Tensor] = []
        self.truth: list[Tensor] = []

    def add(self, output: Tensor, target: Tensor) -> None:
        """Standardised answers (n, 1) and targets (n,)."""
        self.answers.append(output.flatten().double().cpu() * self.std + self.mean)
        self.truth.append(target.double().cpu() * self.std + self.mean)

    def scores(self) -> Scores:
        """R² is 0 for whoever always says the mean, 1 for whoever is always right."""
        answers, truth = torch.cat(self.answers), torch.cat(self.truth)
        error = answers - truth
        spread = (truth - truth.mean()).square().sum()
        return {
            "rmse": error.square().mean().sqrt().item(),
            "mae": error.abs().mean().item(),
            "r2": (1 - error.square().sum() / spread).item() if spread > 0 else 0.0,
        }


class Segmentation:
    """Dice and intersection over union, the means over the classes that are there, the background included."""

    def __init__(self, classes: int) -> None:
        """`classes` there may be, with the background."""
        self.table = torch.zeros(classes, classes, dtype=torch.long)

    def add(self, output: Tensor, target: Tensor) -> None:
        """Logits (n, classes, h, w), masks (n, h, w)."""
        self.table += confusion(target, output.argmax(1), len(self.table)).cpu()

    def confusion(self) -> Tensor:
        """Pixels of each (truth, answer)."""
        return self.table

    def scores(self) -> Scores:
        """Over all pixels at once, not image by image."""
        table = self.table.double()
        both, either = table.diag(), table.sum(0) + table.sum(1)
        there = either > 0
        return {
            "dice": (2 * both / either)[there].mean().item(),
            "iou": (both / (either - both))[there].mean().item(),
            "pixel_accuracy": (both.sum() / table.sum()).item(),
        }


class Detection:
    """Mean average precision: at an overlap of one half (`map50`), and over 0.5 to 0.95 (`map`), as COCO has it."""

    def __init__(self, kinds: int) -> None:
        """`kinds` of things to find."""
        self.kinds = kinds
        self.found: list[Tensor] = []
        self.truth: list[Tensor] = []

    def add(self, output: Tensor, target: Tensor) -> None:
        """A detector's output (n, kinds + 4, h, w), boxes (n, most, 5)."""
        self.found += [boxes.cpu() for boxes in found_boxes(output.float())]
        self.truth += [boxes[boxes[:, 0] >= 0].cpu() for boxes in target]

    def scores(self) -> Scores:
        """The means over the kinds that are there."""
        each = [self._precisions(least) for least in OVERLAPS]
        return {"map": float(np.mean(each)), "map50": each[0]}

    def _precisions(self, least: float) -> float:
        kinds = [kind for kind in range(self.kinds) if any((boxes[:, 0] == kind).any() for boxes in self.truth)]
        return float(np.mean([average_precision(self.found, self.truth, kind=k, least=least) for k in kinds] or [0.0]))


def average_precision(found: list[Tensor], truth: list[Tensor], *, kind: int, least: float) -> float:
    """The area under precision over recall for one kind; a box counts if it overlaps one not yet found by `least`."""
    hits: list[tuple[float, bool]] = []
    total = 0
    for answers, boxes in zip(found, truth, strict=True):
        wanted = boxes[boxes[:, 0] == kind][:, 1:]
        total += len(wanted)
        taken: set[int] = set()
        for answer in answers[answers[:, 0] == kind]:  # by falling score
            overlaps = overlap(answer[2:], wanted)
            free = [i for i in range(len(wanted)) if i not in taken and overlaps[i] >= least]
            best = max(free, key=lambda i: float(overlaps[i]), default=None)
            taken |= {best} if best is not None else set()
            hits.append((float(answer[1]), best is not None))
    hits.sort(key=lambda hit: -hit[0])
    right = np.cumsum([hit for _, hit in hits])
    if not total or not len(right):
        return 0.0
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    steps = np.diff(right / total, prepend=0.0)
    return float((steps * precision).sum())
