"""The user's own code, by its place: `package.module:Name`.

Found like any import, and in the folder that the trainer is started in. Refuses to hide whose mistake it is: a place
that does not exist is bad input, an error inside the user's code shows its traceback.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypersweep_trainer.exits import BadInputError


def resolve(setting: str, place: str) -> Callable[..., Any]:
    """The class or function at `place`. Raises BadInputError, with the setting's name, if it is not there."""
    module_name, _, name = place.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last: it must not hide what is installed
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not module_name.startswith(error.name or ""):  # a module that the user's module imports
            raise
        raise BadInputError(f"{setting}: found {place}, but there is no module {error.name}") from None
    found = getattr(module, name, None)
    if not callable(found):
        raise BadInputError(f"{setting}: found {place}, but {module_name} has no class or function {name}")
    return found  # type: ignore[no-any-return]
