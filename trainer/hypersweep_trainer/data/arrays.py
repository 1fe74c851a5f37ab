"""An .npz file with the arrays `x` and `y`, and what any pair of arrays means.

`x`: rows (n, features) or images (n, h, w), (n, h, w, channels), (n, channels, h, w). `y`: classes or values (n,), or
masks (n, h, w). Nothing in the file is unpickled.
"""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypersweep_trainer.data import Source, existing, standardised
from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.settings import Settings

Array = np.ndarray[Any, Any]

FEW = 20  # whole numbers of at most so many different values are taken for classes


def load(settings: Settings) -> Source:
    """The file's samples. Raises BadInputError for a file that has no such arrays."""
    path = existing(settings)
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise BadInputError(f"data: {path} can't be read as npz: {error}") from None
    if not {"x", "y"} <= found.keys():
        raise BadInputError(f"data: found the arrays {sorted(found)} in {path}, allowed: x and y")
    return from_arrays(found["x"], found["y"], settings)


def from_arrays(x: Array, y: Array, settings: Settings) -> Source:
    """The meaning of a pair of arrays, by their shapes and types."""
    for name, array in (("x", x), ("y", y)):
        if not array.ndim or 0 in array.shape[1:]:
            raise BadInputError(
                f"data: found {name} of shape {array.shape}, allowed: at least one number in each sample"
            )
    if len(x) != len(y):
        raise BadInputError(f"data: found {len(x)} samples in x and {len(y)} in y, allowed: as many")
    inputs = _inputs(x)
    over = (0,) if inputs.ndim == 2 else (0, 2, 3)  # each feature by itself, each channel of images as a whole
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise BadInputError(f"data: found {int(np.isnan(y).sum())} NaN in y, allowed: none")
    task = _task(y) if settings.task in ("auto", "digits") else settings.task
    targets, classes = _targets(y, task=task)
    return Source(targets, task, classes, lambda train: standardised(inputs, train, over=over))


def _inputs(x: Array) -> Tensor:
    if x.dtype.kind not in "biuf" or x.ndim not in (2, 3, 4):
        raise BadInputError(
            f"data: found x of type {x.dtype} and shape {x.shape}, allowed: numbers, (n, features), (n, h, w), "
            "(n, h, w, channels) or (n, channels, h, w)"
        )
    inputs = torch.from_numpy(x.astype(np.float32))
    if not inputs.isfinite().all():
        first = int((~inputs.isfinite()).nonzero()[0, 0])
        raise BadInputError(f"data: found a number that is not finite in x, sample {first + 1}, allowed: finite ones")
    if inputs.ndim == 3:
        return inputs[:, None]
    if inputs.ndim == 4 and x.shape[3] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
        return inputs.permute(0, 3, 1, 2).contiguous()
    return inputs


def _task(y: Array) -> str:
    if y.ndim == 3:
        return "segmentation"
    whole = y.dtype.kind not in "fc" or bool((y == np.round(y)).all())
    return "classification" if y.dtype.kind in "bUS" or (whole and len(np.unique(y)) <= FEW) else "regression"


def _targets(y: Array, *, task: str) -> tuple[Tensor, tuple[str, ...]]:
    dimensions = {"segmentation": 3, "classification": 1, "regression": 1}.get(task)
    if y.ndim != dimensions:
        raise BadInputError(f"data: found y of shape {y.shape}, which is not for {task}")
    if task == "regression":
        return torch.from_numpy(y.astype(np.float32)), ()
    values, codes = np.unique(y, return_inverse=True)
    if len(values) > 1000:
        raise BadInputError(f"data: found {len(values)} different classes in y, allowed: up to 1000")
    return torch.from_numpy(codes.reshape(y.shape).astype(np.int64)), tuple(map(str, values.tolist()))
