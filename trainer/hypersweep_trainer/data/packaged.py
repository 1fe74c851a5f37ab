"""scikit-learn's digits, wine, breast cancer and diabetes, read from its files.

Not by importing scikit-learn, which costs every trial 4 s. Files differ a little: digits and wine end with the label,
breast cancer too; diabetes keeps inputs and targets apart.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hypersweep_trainer.data import Source, standardised
from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.rules import PACKAGED
from hypersweep_trainer.settings import Settings

# Name → file, lines before the numbers, names of the classes.
FILES = {
    "digits": ("digits.csv.gz", 0, tuple("0123456789")),
    "wine": ("wine_data.csv", 1, ("class_0", "class_1", "class_2")),
    "breast_cancer": ("breast_cancer.csv", 1, ("malignant", "benign")),
}


def load(settings: Settings) -> Source:
    """The data set of that name, its images as (1, 8, 8), its rows as (features,)."""
    task = PACKAGED[settings.data]
    if settings.data == "diabetes":
        x = _numbers("diabetes_data_raw.csv.gz", skip=0, delimiter=None)
        y = _numbers("diabetes_target.csv.gz", skip=0, delimiter=None)
        return Source(y, task, (), lambda train: standardised(x, train))
    file, skip, classes = FILES[settings.data]
    table = _numbers(file, skip=skip, delimiter=",")
    x, y = table[:, :-1], table[:, -1].long()
    if settings.data == "digits":
        return Source(y, task, classes, lambda train: standardised(x, train).view(-1, 1, 8, 8))
    return Source(y, task, classes, lambda train: standardised(x, train))


def _numbers(file: str, *, skip: int, delimiter: str | None) -> Tensor:
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise BadInputError("data: found a data set of scikit-learn, which is not installed")
    path = Path(package.origin).parent / "datasets/data" / file
    return torch.from_numpy(np.loadtxt(path, delimiter=delimiter, dtype=np.float32, skiprows=skip))
