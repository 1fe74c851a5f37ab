"""Answers on validation samples, judged one by one and drawn: which are right, and which are wrong.

Owns what "right" means for one image of each task. Where pictures go is decided elsewhere. Changes nothing in a
training and draws no random numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from hypersweep_trainer import pictures
from hypersweep_trainer.boxes import found_boxes, overlap
from hypersweep_trainer.data import Data

if TYPE_CHECKING:
    from hypersweep_trainer.train import Training

LOOKED_AT = 256  # samples, the first of the validation part: the same ones in each trial of a sweep
SHOWN = 8  # of the right ones, and of the wrong ones
SURE = 0.3  # the score from which a detector's box counts
HALF = 0.5  # the overlap from which a mask or a box is right


class Judged(NamedTuple):
    """An answer to one image: whether it is right, how good it is (0 to 1), and both beside each other."""

    right: bool
    quality: float
    caption: str
    images: Sequence[Image.Image]


@torch.no_grad()
def drawn(training: Training) -> dict[str, Image.Image]:
    """Sheets by name, `right` (the best) and `wrong` (the worst), as far as samples are images and there are some so."""
    data = training.data
    if len(data.shape) != 3 or data.task == "regression":
        return {}
    x, y = data.batch(data.val[:LOOKED_AT])
    training.model.eval()
    found = sorted(judged(data, x.cpu(), y.cpu(), training.answer(x).float().cpu()), key=lambda one: -one.quality)
    sides = {"right": [one for one in found if one.right], "wrong": [one for one in reversed(found) if not one.right]}
    return {
        name: pictures.sheet(
            [
                pictures.tile(one.images, one.caption, pictures.RIGHT if one.right else pictures.WRONG)
                for one in some[:SHOWN]
            ]
        )
        for name, some in sides.items()
        if some
    }


def judged(data: Data, x: Tensor, y: Tensor, output: Tensor) -> Iterator[Judged]:
    """Each answer, in the order of the samples."""
    match data.task:
        case "classification":
            return _classes(data.classes, x, y, output)
        case "regression":
            return _values(data, x, y, output)
        case "segmentation":
            return _masks(x, y, output)
        case _:
            return _boxes(data.classes, x, y, output)


def qualities(data: Data, y: Tensor, output: Tensor) -> Tensor:
    """How good each answer is (n,): 0 to 1, or in regression the error in terms of the target's spread, below zero.

    Of classes the share of the true one, of masks and boxes what was judged: without pictures, for many samples.
    """
    match data.task:
        case "classification":
            return output.softmax(1).gather(1, y[:, None])[:, 0]
        case "regression":
            return -(output.flatten() - y).abs()
        case "segmentation":
            return torch.stack([_same(truth, answer) for truth, answer in zip(y, output.argmax(1), strict=True)])
        case _:
            found = zip(y, found_boxes(output), strict=True)
            return torch.tensor([hits(target, boxes).quality for target, boxes in found])


def _classes(names: Sequence[str], x: Tensor, y: Tensor, output: Tensor) -> Iterator[Judged]:
    for sample, truth, shares in zip(x, y.tolist(), output.softmax(1), strict=True):
        answer = int(shares.argmax())
        said = f"{names[answer]} ({shares[answer]:.2f})"
        caption = said if answer == truth else f"{names[truth]}, not {said}"
        yield Judged(answer == truth, float(shares[truth]), caption, [pictures.picture(sample)])


def _masks(x: Tensor, y: Tensor, output: Tensor) -> Iterator[Judged]:
    for sample, truth, answer in zip(x, y, output.argmax(1), strict=True):
        same = float(_same(truth, answer))
        image = pictures.picture(sample)
        shown = [pictures.with_mask(image, mask) for mask in (truth, answer)]
        yield Judged(same > HALF, same, f"truth, answer: {same:.2f} the same", shown)


def _same(truth: Tensor, answer: Tensor) -> Tensor:
    """The part of what either mask covers that both give the same class; 1 where neither covers anything."""
    either = (truth > 0) | (answer > 0)
    return ((truth == answer) & either).sum() / either.sum() if either.any() else torch.tensor(1.0)


def _values(data: Data, x: Tensor, y: Tensor, output: Tensor) -> Iterator[Judged]:
    for sample, truth, answer in zip(x, y.tolist(), output.flatten().tolist(), strict=True):
        told, said = (value * data.std + data.mean for value in (truth, answer))
        yield Judged(False, -abs(answer - truth), f"{told:.4g}, not {said:.4g}", [pictures.picture(sample)])


class Hits(NamedTuple):
    """The boxes that are there, those that the model is sure of, and how many of the ones are among the others."""

    truth: Tensor
    sure: Tensor
    right: int

    @property
    def quality(self) -> float:
        return self.right / max(len(self.truth), len(self.sure), 1)


def hits(target: Tensor, found: Tensor) -> Hits:
    """Of one image: `target` (most, 5), rows of kind -1 being none, and `found` as `boxes.found_boxes` gives them."""
    truth, sure = target[target[:, 0] >= 0], found[found[:, 1] >= SURE]
    return Hits(truth, sure, matched(sure, truth))


def _boxes(names: Sequence[str], x: Tensor, y: Tensor, output: Tensor) -> Iterator[Judged]:
    for sample, target, found in zip(x, y, found_boxes(output), strict=True):
        truth, sure, count = of_image = hits(target, found)
        image, scale = pictures.picture(sample), pictures.zoom(sample)
        kinds = [[names[int(kind)] for kind in boxes[:, 0]] for boxes in (truth, sure)]
        shown = [
            pictures.with_boxes(image, truth[:, 1:], pictures.PAPER, scale=scale, names=kinds[0]),
            pictures.with_boxes(image, sure[:, 2:], pictures.PALETTE[0], scale=scale, names=kinds[1]),
        ]
        caption = f"truth, answer: {count} of {len(truth)}, {len(sure) - count} too many"
        yield Judged(of_image.quality == 1, of_image.quality, caption, shown)


def matched(found: Tensor, truth: Tensor) -> int:
    """How many of the boxes (kind, left, top, right, bottom) of `truth` were found: each by one of its kind, by half."""
    taken: set[int] = set()
    for kind, _, *box in found.tolist():
        overlaps = overlap(torch.tensor(box), truth[:, 1:]).tolist()
        free = [i for i, share in enumerate(overlaps) if i not in taken and share >= HALF and truth[i, 0] == kind]
        taken |= {max(free, key=lambda i: overlaps[i])} if free else set()
    return len(taken)
