"""Boxes: what a detector's cells say as boxes, how much two overlap, and which of many that overlap stay.

A box is left, top, right, bottom in pixels. Knows nothing of models or losses.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

STRIDE = 4  # pixels from one cell of the detector's map to the next


def cell_middles(height: int, width: int, device: torch.device) -> Tensor:
    """x and y (height, width, 2) of each cell's middle."""
    rows = (torch.arange(height, device=device) + 0.5) * STRIDE
    columns = (torch.arange(width, device=device) + 0.5) * STRIDE
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)


def boxes_of(output: Tensor) -> Tensor:
    """The boxes (n, h, w, 4) that a detector's output (n, kinds + 4, h, w) speaks of."""
    reach = softplus(output[:, -4:].permute(0, 2, 3, 1)) * STRIDE
    middle = cell_middles(output.shape[2], output.shape[3], output.device)
    return torch.cat([middle - reach[..., :2], middle + reach[..., 2:]], dim=-1)


def area(boxes: Tensor) -> Tensor:
    """Square pixels (...,) of boxes (..., 4)."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union (...,) of boxes that broadcast against each other."""
    low, high = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return shared / (area(one) + area(other) - shared).clamp(min=1e-7)


def found_boxes(output: Tensor, *, least: float = 0.05, most: int = 50) -> list[Tensor]:
    """Per image (found, 6): kind, score, box; of those of one kind that overlap by more than half, the best stays."""
    scores = output[:, :-4].sigmoid().permute(0, 2, 3, 1)
    boxes = boxes_of(output)
    results = []
    for score, box in zip(scores.flatten(1, 2), boxes.flatten(1, 2), strict=True):
        best, kind = score.max(-1)
        order = best.argsort(descending=True, stable=True)[:200]
        order = order[best[order] > least]
        found = torch.cat([kind[order, None].float(), best[order, None], box[order]], dim=1)
        results.append(_without_doubles(found)[:most])
    return results


def _without_doubles(found: Tensor) -> Tensor:
    same = (found[:, None, 0] == found[None, :, 0]) & (overlap(found[:, None, 2:], found[None, :, 2:]) > 0.5)
    stays: list[int] = []
    for index in range(len(found)):  # by falling score: one that stays puts out the later ones that overlap it
        if not same[index, stays].any():
            stays.append(index)
    return found[stays]
