"""Strategies by name: the built-in ones, and people's own, which are installed beside the operator.

Owns how a name becomes something that can be asked. A strategy of others is an entry point of the group `hypersweep.strategies`;
a sweep names it as `package/Name`: the distribution that brings it, and the entry point. The entry point is a module, or any
object, with

    suggest(question) -> Assignment | None      required: see question.py
    settings: type[pydantic.BaseModel]          optional: the model of spec.strategy.settings; without it, there are none
    problems(space) -> list[Problem]            optional: what the strategy cannot search, told before the sweep begins
    several_objectives = True                   optional: it follows all of `question.goals`, not the first alone

Nothing is imported before a sweep names it.
"""

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel

from hypersweep.core.errors import Problem, StrategyError
from hypersweep.core.space import Space
from hypersweep.core.strategies import grid, settings
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment
from hypersweep.core.wording import nearest

GROUP = "hypersweep.strategies"
OF_SEVERAL = ("Auto", "TPE", "Random", "Sobol", "Grid")  # built-in ones that follow several objectives, or none at all


def is_built_in(name: str) -> bool:
    """Whether HyperSweep itself brings it."""
    return "/" not in name


def ask(name: str, question: Question) -> Assignment | None:
    """The answer of that strategy. StrategyError: one of others failed, or its answer is none of the space."""
    if is_built_in(name):
        answer: Assignment | None = import_module(f"{__package__}.{name.lower()}").suggest(question)
        return answer
    try:
        answer = installed(name).suggest(question)
    except StrategyError:
        raise
    except Exception as error:
        raise StrategyError(f"the strategy {name} failed: {type(error).__name__}: {error}") from error
    if answer is None:
        return None
    if found := question.space.problems(answer):
        raise StrategyError(f"the strategy {name} proposed what is none of the space: {'; '.join(map(str, found))}")
    return question.space.canonical(answer)


def settings_model(name: str) -> type[BaseModel]:
    """The model of its settings. StrategyError: it is not installed."""
    if is_built_in(name):
        return settings.BUILT_IN.get(name, settings.NoSettings)
    model: type[BaseModel] = getattr(installed(name), "settings", settings.NoSettings)
    return model


def problems(name: str, space: Space) -> list[Problem]:
    """What keeps the strategy from searching this space. StrategyError: it is not installed."""
    if name == "Grid":
        return grid.problems(space)
    if is_built_in(name):
        return []
    found: list[Problem] = list(getattr(installed(name), "problems", lambda _: [])(space))
    return found


def takes_several_objectives(name: str) -> bool:
    """Whether the strategy may be asked of several objectives. StrategyError: it is not installed."""
    return name in OF_SEVERAL if is_built_in(name) else bool(getattr(installed(name), "several_objectives", False))


@cache
def installed(name: str) -> Any:
    """A strategy of others. StrategyError: there is none of that name, or it cannot be imported."""
    known = {_name(point): point for point in entry_points(group=GROUP)}
    if name not in known:
        there = nearest(name, known) if known else "none is installed"
        raise StrategyError(f"found {name}, which is not installed beside this process; {there}")
    try:
        return known[name].load()
    except Exception as error:
        raise StrategyError(f"found {name}, which cannot be imported: {type(error).__name__}: {error}") from error


def _name(point: EntryPoint) -> str:
    return f"{point.dist.name if point.dist else ''}/{point.name}"
