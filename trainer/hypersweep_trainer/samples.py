"""What the data look like to the model: a summary, and some of the training samples to look at.

Owns the files: a page of images (PNG), or a table of rows (CSV). Imports matplotlib only for images.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from hypersweep_trainer.data import Data

COUNT = 16  # samples
COLUMNS = 30  # of a table, at most
PICTURE, TABLE = "samples.png", "samples.csv"


def summary(data: Data) -> Iterator[str]:
    """Sizes, inputs and targets, a line each."""
    yield f"{data.task}: {len(data.train)} samples to train, {len(data.val)} to validate, {len(data.test)} to test"
    x, y = data.batch(data.train[: 64 * COUNT])
    shape = " x ".join(map(str, data.shape))
    yield f"inputs: {shape}, from {x.min():.4g} to {x.max():.4g}, mean {x.mean():.4g}, std {x.std():.4g}"
    if data.task == "regression":
        yield f"target: mean {data.mean:.4g}, std {data.std:.4g}"
        return
    classes = y[..., 0].long() if data.task == "detection" else y
    counts = classes[classes >= 0].flatten().bincount(minlength=len(data.classes)).tolist()
    parts = (f"{name} {count / max(sum(counts), 1):.1%}" for name, count in zip(data.classes, counts, strict=True))
    yield f"targets: {', '.join(parts)}"


def write(data: Data, folder: Path) -> Path:
    """The first samples of the training part, drawn evenly over it, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    places = torch.linspace(0, len(data.train) - 1, min(COUNT, len(data.train))).long()
    x, y = data.batch(data.train[places.to(data.train.device)])
    path = folder / (PICTURE if len(data.shape) == 3 else TABLE)
    (_draw if len(data.shape) == 3 else _tabulate)(data, x.cpu(), y.cpu(), path)
    return path


def _tabulate(data: Data, x: Tensor, y: Tensor, path: Path) -> None:
    rows = x.flatten(1)[:, :COLUMNS]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["target", *(f"x{i}" for i in range(rows.shape[1]))])
        for row, target in zip(rows.tolist(), y, strict=True):
            writer.writerow([_told(data, target), *(f"{value:.5g}" for value in row)])


def _draw(data: Data, x: Tensor, y: Tensor, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = math.ceil(math.sqrt(len(x)))
    figure = Figure(figsize=(2 * columns, 2.2 * math.ceil(len(x) / columns)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (sample, target) in enumerate(zip(x, y, strict=True)):
        axes = figure.add_subplot(math.ceil(len(x) / columns), columns, place + 1)
        low, high = sample.min(), sample.max()
        shades = ((sample - low) / (high - low).clamp(min=1e-9)).movedim(0, -1).numpy()
        axes.imshow(shades[..., :3] if shades.shape[-1] >= 3 else shades[..., 0], cmap="gray")
        _overlay(axes, data, target)
        axes.set_axis_off()
    figure.savefig(path, dpi=100)


def _overlay(axes: object, data: Data, target: Tensor) -> None:
    """The truth: as a title, or over the picture."""
    from matplotlib.patches import Rectangle

    if data.task == "segmentation":
        shown = torch.where(target > 0, target.float(), torch.nan).numpy()
        axes.imshow(shown, alpha=0.5, cmap="tab10", vmin=0, vmax=10)  # type: ignore[attr-defined]
    elif data.task == "detection":
        for kind, left, top, right, bottom in target[target[:, 0] >= 0].tolist():
            colour = f"C{int(kind)}"
            box = Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=2)
            axes.add_patch(box)  # type: ignore[attr-defined]
    else:
        axes.set_title(_told(data, target), fontsize=9)  # type: ignore[attr-defined]


def _told(data: Data, target: Tensor) -> str:
    """A target in its own words and units."""
    if data.task == "regression":
        return f"{target.item() * data.std + data.mean:.5g}"
    return data.classes[int(target)] if data.task == "classification" else ""
