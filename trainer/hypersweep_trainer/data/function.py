"""The user's own data: `package.module:function`, called without arguments, gives (x, y).

Arrays, tensors or lists, with the shapes of `arrays.py`. The function is found like any import: on PYTHONPATH, or in the
folder that the trainer is started in.
"""

from __future__ import annotations

import numpy as np
import torch

from hypersweep_trainer.code import resolve
from hypersweep_trainer.data import Source
from hypersweep_trainer.data.arrays import Array, from_arrays
from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.settings import Settings


def load(settings: Settings) -> Source:
    """What the function gives. Raises BadInputError if that is no pair of arrays."""
    given = resolve("data", settings.data)()
    if not isinstance(given, tuple) or len(given) != 2:
        raise BadInputError(f"data: found {type(given).__name__} from {settings.data}, allowed: the pair (x, y)")
    x, y = (_array(part) for part in given)
    return from_arrays(x, y, settings)


def _array(part: object) -> Array:
    return part.numpy(force=True) if isinstance(part, torch.Tensor) else np.asarray(part)
