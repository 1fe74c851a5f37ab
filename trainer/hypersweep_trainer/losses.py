"""What is minimised: a function of (output, target) that gives one number, the mean over the samples.

`make_loss` chooses by the task and the settings. A user's own, `package.module:Loss`, is called without arguments and
gives such a function. Rank trials by a metric when the loss itself is searched: losses differ in scale.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    mse_loss,
    one_hot,
)

from hypersweep_trainer.boxes import area, boxes_of, cell_middles, overlap
from hypersweep_trainer.code import resolve
from hypersweep_trainer.data import Data
from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.rules import LOSSES, losses_for
from hypersweep_trainer.settings import Settings

Loss = Callable[[Tensor, Tensor], Tensor]


def make_loss(settings: Settings, data: Data) -> Loss:
    """The loss that the settings name. Raises BadInputError if it is not one of the task's."""
    name = LOSSES[data.task][0] if settings.loss == "auto" else settings.loss
    if ":" in name:
        return resolve("loss", name)()  # type: ignore[no-any-return]
    if name not in losses_for(data.task):
        raise BadInputError(f"loss: found {name}, allowed for {data.task}: auto | {' | '.join(losses_for(data.task))}")
    weights = class_weights(data) if settings.class_weights == "balanced" and data.classes else None
    gamma, smoothing = settings.focal_gamma, settings.label_smoothing
    choices: dict[str, Loss] = {
        "cross_entropy": lambda o, y: cross_entropy(o, y, weights, label_smoothing=smoothing),
        "focal": lambda o, y: focal(o, y, gamma=gamma, weights=weights),
        "mse": lambda o, y: mse_loss(o.squeeze(1), y),
        "huber": lambda o, y: huber_loss(o.squeeze(1), y, delta=settings.huber_delta),
        "quantile": lambda o, y: pinball(o.squeeze(1), y, quantile=settings.quantile),
        "dice": soft_dice,
        "dice_cross_entropy": lambda o, y: soft_dice(o, y) + cross_entropy(o, y, weights, label_smoothing=smoothing),
        "detection": lambda o, y: detection(o, y, gamma=gamma),
    }
    return choices[name]


def class_weights(data: Data) -> Tensor:
    """A weight (classes,) for each class: as if all had the same number of samples (or pixels) to train on."""
    counts = data.y[data.train].flatten().bincount(minlength=len(data.classes)).float()
    return counts.sum() / (len(counts) * counts.clamp(min=1))


def focal(logits: Tensor, y: Tensor, *, gamma: float, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy, less for what is right already (Lin et al. 2017, arXiv:1708.02002); `gamma` 0 is cross-entropy."""
    each = cross_entropy(logits, y, reduction="none")
    eased = (1 - torch.exp(-each)).pow(gamma) * each
    if weights is None:
        return eased.mean()
    return (eased * weights[y]).sum() / weights[y].sum()


def pinball(output: Tensor, y: Tensor, *, quantile: float) -> Tensor:
    """The loss whose best constant is that quantile (Koenker and Bassett 1978)."""
    error = y - output
    return torch.maximum(quantile * error, (quantile - 1) * error).mean()


def soft_dice(logits: Tensor, y: Tensor) -> Tensor:
    """1 - dice of probabilities and mask, the mean over classes that are there (Milletari et al. 2016, arXiv:1606.04797)."""
    share = logits.softmax(1)
    truth = one_hot(y, logits.shape[1]).movedim(-1, 1).to(share.dtype)
    over = [0, *range(2, logits.ndim)]
    shared, both = (share * truth).sum(over), (share + truth).sum(over)
    present = truth.sum(over) > 0
    return 1 - (2 * shared[present] / both[present]).mean()


def detection(output: Tensor, y: Tensor, *, gamma: float) -> Tensor:
    """Focal loss of the kinds in each cell, and 1 - generalised overlap of the boxes (Rezatofighi et al. 2019)."""
    kind, truth, positive = answerable(y, output.shape[2], output.shape[3])
    logits = output[:, :-4].permute(0, 2, 3, 1)
    wanted = one_hot(kind.clamp(min=0), logits.shape[-1]).to(logits.dtype) * positive[..., None]
    each = binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    missed = (logits.sigmoid() - wanted).abs()
    count = positive.sum().clamp(min=1)
    kinds = (missed.pow(gamma) * each).sum() / count
    return kinds + (1 - generalised_overlap(boxes_of(output)[positive], truth[positive])).sum() / count


def answerable(y: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which box each cell answers for: kind and box (n, h, w[, 4]), and whether there is one (n, h, w).

    A cell answers for a box if its middle lies in the box's inner half; of several, for the smallest.
    """
    middle = cell_middles(height, width, y.device)[None, None]  # (1, 1, h, w, 2)
    kind, box = y[..., 0].long(), y[..., 1:][:, :, None, None]
    centre, half = (box[..., :2] + box[..., 2:]) / 2, (box[..., 2:] - box[..., :2]) / 4
    inside = ((middle - centre).abs() <= half.clamp(min=2.01)).all(-1) & (kind >= 0)[:, :, None, None]
    size = area(box).expand(inside.shape).masked_fill(~inside, torch.inf)
    smallest = size.argmin(1)
    rows = torch.arange(len(y), device=y.device)[:, None, None]
    return kind[rows, smallest], y[..., 1:][rows, smallest], inside.any(1)


def generalised_overlap(one: Tensor, other: Tensor) -> Tensor:
    """Overlap (n,), less the part of the common hull that neither covers: it has a slope also for boxes apart."""
    hull = torch.cat([torch.minimum(one[..., :2], other[..., :2]), torch.maximum(one[..., 2:], other[..., 2:])], dim=-1)
    iou = overlap(one, other)
    union = (area(one) + area(other)) / (1 + iou)
    return iou - (area(hull) - union) / area(hull).clamp(min=1e-7)
