"""The settings of each built-in strategy: `spec.strategy.settings`, typed. One model a strategy that has any.

Light on purpose: a check of the settings imports no strategy, and so neither numpy nor Optuna.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from hypersweep.core.errors import Problem
from hypersweep.core.spec import Model
from hypersweep.core.wording import nearest, sentence

PATH = "spec.strategy.settings"
_Startup = Annotated[int, Field(ge=1, le=1000, strict=True)]


class NoSettings(Model):
    """Of a strategy that has none."""


class AutoSettings(Model):
    startup: _Startup = 8  # trials that must have ended before a model is asked


class TPESettings(Model):
    startup: _Startup = 10
    candidates: Annotated[int, Field(ge=1, le=1000, strict=True)] = 24  # of which the best is proposed


class GPSettings(Model):
    startup: _Startup = 8


class CMAESSettings(Model):
    population_size: Annotated[int, Field(ge=3, le=1000, strict=True)] | None = None  # None: 4 + 3 ln(parameters)
    sigma: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.3  # of the first generation, in parts of an axis


BUILT_IN: Mapping[str, type[BaseModel]] = {
    "Auto": AutoSettings,
    "TPE": TPESettings,
    "GP": GPSettings,
    "CMAES": CMAESSettings,
}


def problems(model: type[BaseModel], given: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with settings, each with its place."""
    try:
        model.model_validate(given)
    except ValidationError as error:
        return [_problem(model, found) for found in error.errors()]
    return []


def filled(model: type[BaseModel], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings without problems, with all defaults, by their names in Python."""
    return model.model_validate(given).model_dump()


def _problem(model: type[BaseModel], error: ErrorDetails) -> Problem:
    path = ".".join([PATH, *map(str, error["loc"])])
    if error["type"] != "extra_forbidden":
        return Problem(path, sentence(error))
    names = [info.alias or name for name, info in model.model_fields.items()]
    known = nearest(str(error["loc"][-1]), names) if names else "this strategy has none"
    return Problem(path, f"no such setting; {known}")
