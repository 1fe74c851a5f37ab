"""What is trained on: loaded from one source, split once, encoded by what the training part shows.

A source is a file of this folder with `load(settings) -> Source`: all samples, not yet encoded, since means, standard
deviations and categories may come from the training part alone. Splitting and what every data set must fulfil are here
and in `split.py`. Refuses to guess around bad data: each fault is one line that says where, and what would do.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from hypersweep_trainer.data.split import Parts, split
from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.rules import PACKAGED, TABLES
from hypersweep_trainer.settings import Settings


class Inputs(Protocol):
    """Samples by number. A tensor is one; a folder of images, which reads them when asked, another."""

    def __len__(self) -> int: ...

    def __getitem__(self, samples: Tensor, /) -> Tensor: ...


class Source(NamedTuple):
    """Everything that a source has, in the order in which it has it."""

    y: Tensor  # classes (n,) long; values (n,) float; masks (n, h, w) long; boxes (n, most, 5), see `boxes.py`
    task: str
    classes: tuple[str, ...]  # their names; empty in regression
    encode: Callable[[Tensor], Inputs]  # the inputs, scaled by what the samples of these indices show


@dataclass(frozen=True)
class Data:
    """What a training sees: all samples, and the indices of those that train, validate and test."""

    x: Inputs
    y: Tensor
    task: str
    classes: tuple[str, ...]
    train: Tensor
    val: Tensor
    test: Tensor  # empty unless test_fraction is above 0
    shape: tuple[int, ...]  # of one input
    mean: float = 0.0  # regression trains on (y - mean) / std, and its metrics are in the target's own units
    std: float = 1.0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def outputs(self) -> int:
        """Numbers that a model must give per sample (or pixel, or cell)."""
        return len(self.classes) or 1

    def batch(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets of these samples, on the device that trains."""
        if isinstance(self.x, Tensor):
            return self.x[samples], self.y[samples]
        return self.x[samples].to(self.device), self.y[samples]


def load(settings: Settings, device: torch.device) -> Data:
    """The data set that the settings name, on `device`. Raises BadInputError for what can't be trained on."""
    source = find(settings)
    _check(source, settings)
    parts = split(source.y, task=source.task, settings=settings)
    _check_parts(source, parts)
    x, y, mean, std = source.encode(parts.train), source.y, 0.0, 1.0
    if source.task == "regression":
        mean, std = y[parts.train].mean().item(), y[parts.train].std().item() or 1.0
        y = (y - mean) / std
    shape = tuple(x[torch.tensor([0])].shape[1:])
    if isinstance(x, Tensor):
        x = x.to(device)
    train, val, test = (part.to(device) for part in parts)
    return Data(x, y.to(device), source.task, source.classes, train, val, test, shape, mean, std, device)


def find(settings: Settings) -> Source:
    """All samples of the source, by what `data` looks like."""
    name = settings.data
    if name in PACKAGED:
        kind = {"segmentation": "shapes", "detection": "boxes"}.get(PACKAGED[name], "packaged")
    elif name.endswith(TABLES):
        kind = "table"
    elif name.endswith(".npz"):
        kind = "arrays"
    elif Path(name).is_dir():
        kind = "folder"
    elif ":" in name:
        kind = "function"
    else:
        raise BadInputError(
            f"data: found {name!r}, which is no folder here, allowed: {', '.join(PACKAGED)}, a .csv, .parquet or "
            ".npz file, a folder of images, or package.module:function"
        )
    module = importlib.import_module(f"{__name__}.{kind}")
    source: Source = module.load(settings)
    return source


def existing(settings: Settings) -> Path:
    """The file that `data` names. Raises BadInputError if it can't be read."""
    path = Path(settings.data)
    if not path.is_file():
        raise BadInputError(f"data: found {path}, allowed: a file that exists (looked in {Path.cwd()})")
    return path


def _check(source: Source, settings: Settings) -> None:
    if settings.task not in ("auto", "digits", source.task):
        raise BadInputError(f"task: found {settings.task}, but the targets of {settings.data} are for {source.task}")
    if len(source.y) < 10:
        raise BadInputError(f"data: found {len(source.y)} samples in {settings.data}, allowed: at least 10")
    if source.task == "regression":
        if not source.y.isfinite().all():
            first = int((~source.y.isfinite()).nonzero()[0])
            raise BadInputError(f"data: found a target that is not finite in sample {first + 1}, allowed: numbers")
        return
    if source.task == "classification":
        if len(source.classes) < 2:
            raise BadInputError(f"data: found only the class {source.classes[0]!r}, allowed: at least two")
        counts = source.y.bincount(minlength=len(source.classes)).tolist()
        for name, count in zip(source.classes, counts, strict=True):
            if count < 2:
                raise BadInputError(
                    f"data: found {count or 'no'} sample{'s' * (count != 1)} of class {name!r}, "
                    "allowed: at least two, one to train and one to validate"
                )


def _check_parts(source: Source, parts: Parts) -> None:
    for name, part in (("train", parts.train), ("validate", parts.val)):
        if not len(part):
            raise BadInputError(f"data: found {len(source.y)} samples, of which none is left to {name}")
    if source.task == "classification":
        for index, name in enumerate(source.classes):
            if not (source.y[parts.train] == index).any():
                raise BadInputError(f"data: found no sample of class {name!r} left to train on; it has too few")


def standardised(x: Tensor, train: Tensor, *, over: tuple[int, ...] = (0,)) -> Tensor:
    """`x` scaled so that the samples `train` have mean 0 and standard deviation 1 over the dimensions `over`."""
    mean, std = x[train].mean(over, keepdim=True), x[train].std(over, keepdim=True)
    std[~(std > 0)] = 1  # what is the same in all that trains, such as pixels at the border
    return (x - mean) / std
