"""A .csv or .parquet file: one column to predict, the others as inputs.

Numbers are standardised, a gap takes the training part's mean; texts, booleans and categories become one column per
value seen in the training part (the 50 most frequent ones; none, if it is empty there), a value unseen there becomes all
zeros; dates are numbers. pandas is imported here only.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hypersweep_trainer.data import Source, existing, standardised
from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

CATEGORIES = 50  # columns that one column of texts may become
FEW = 20  # whole numbers of at most so many different values are taken for classes


def load(settings: Settings) -> Source:
    """The file's rows. Raises BadInputError for a file, column or target that won't do."""
    table = _read(settings)
    target = _column(table, settings.target, setting="target")
    _check_single(target, setting="target")
    if gaps := int(target.isna().sum()):
        first = int(target.isna().to_numpy().nonzero()[0][0]) + 1
        raise BadInputError(
            f"target: found {gaps} of {len(table)} rows without a value in column {settings.target!r} "
            f"(the first is row {first}), allowed: none"
        )
    dropped = [name.strip() for name in settings.drop.split(",") if name.strip()]
    for name in dropped:
        _column(table, name, setting="drop")
    inputs = table.drop(columns=[settings.target, *dropped])
    if not len(inputs.columns):
        raise BadInputError(f"data: found no column besides {settings.target!r} in {settings.data}")
    for name in inputs.columns:
        _check_single(inputs[name], setting="data")
    task = infer_task(target) if settings.task == "auto" else settings.task
    y, classes = _targets(target, task=task)
    log.info("%s: %d rows, %d columns; %s is for %s", settings.data, *inputs.shape, settings.target, task)
    return Source(y, task, classes, lambda train: encode(inputs, train))


def _read(settings: Settings) -> pd.DataFrame:
    import pandas as pd

    path = existing(settings)
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's parsers raise kinds of them
        raise BadInputError(f"data: {path} can't be read as {path.suffix[1:]}: {error}") from None


def _column(table: pd.DataFrame, name: str, *, setting: str) -> pd.Series[Any]:
    if name not in table.columns:
        raise BadInputError(f"{setting}: found {name!r}, allowed: {' | '.join(map(str, table.columns[:50]))}")
    return table[name]


def _check_single(column: pd.Series[Any], *, setting: str) -> None:
    """Raise BadInputError for a column of lists, arrays or records, which a .parquet file may have."""
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(column):
        return
    for row, value in enumerate(column, start=1):
        if not isinstance(value, Hashable):
            raise BadInputError(
                f"{setting}: found {type(value).__name__} in column {column.name!r}, row {row}, "
                f"allowed: numbers, texts, booleans, dates{' (or name it in drop)' if setting == 'data' else ''}"
            )


def infer_task(target: pd.Series[Any]) -> str:
    """Texts, booleans and few whole numbers are classes; all other numbers are values."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if not is_numeric_dtype(target) or is_bool_dtype(target):
        return "classification"
    whole = bool((target == target.round()).all())
    return "classification" if whole and target.nunique() <= FEW else "regression"


def _targets(target: pd.Series[Any], *, task: str) -> tuple[Tensor, tuple[str, ...]]:
    if task == "regression":
        try:
            return torch.from_numpy(target.to_numpy(dtype=np.float32)), ()
        except (TypeError, ValueError):
            raise BadInputError(
                f"target: found {target.iloc[0]!r} in row 1, allowed with regression: numbers"
            ) from None
    if task != "classification":
        raise BadInputError(f"task: found {task}, allowed with a table: classification | regression")
    values, codes = np.unique(target.to_numpy(), return_inverse=True)
    if len(values) > max(FEW, len(target) // 2):
        raise BadInputError(f"target: found {len(values)} different classes in {len(target)} rows; is it regression?")
    return torch.from_numpy(codes.astype(np.int64)), tuple(map(str, values))


def encode(inputs: pd.DataFrame, train: Tensor) -> Tensor:
    """All rows as numbers (n, features), by what the rows `train` show."""
    rows = train.numpy()
    encoded = torch.cat([_encoded(inputs[name], rows, train) for name in inputs.columns], dim=1)
    if not encoded.shape[1]:
        raise BadInputError(f"data: found no value in {', '.join(map(str, inputs.columns))} in any row that trains")
    return encoded


def _encoded(column: pd.Series[Any], rows: np.ndarray[Any, Any], train: Tensor) -> Tensor:
    from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

    if is_datetime64_any_dtype(column):
        column = column.astype("int64").where(column.notna()) / 1e9
    if not is_numeric_dtype(column) or is_bool_dtype(column):
        kept = column.iloc[rows].value_counts().index[:CATEGORIES]
        found = [_equal(column, value) for value in kept]  # none: a gap in all that trains
        return torch.from_numpy(np.stack(found, axis=1) if found else np.zeros((len(column), 0), dtype=np.float32))
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        raise BadInputError(f"data: found {np.isinf(values).sum()} infinite values in column {column.name!r}")
    known = values[rows][~np.isnan(values[rows])]
    values = np.nan_to_num(values, nan=known.mean() if len(known) else 0.0)
    # In double precision up to here: a date's seconds would lose minutes in single.
    return standardised(torch.from_numpy(values)[:, None], train).float()


def _equal(column: pd.Series[Any], value: object) -> np.ndarray[Any, Any]:
    """Where the column has that value, as numbers. Some kinds of pandas' answer neither true nor false for a gap."""
    found: pd.Series[Any] = (column == value).fillna(False)
    return np.asarray(found.to_numpy(dtype=np.float32))
