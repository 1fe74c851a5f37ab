"""Strategies propose assignments: one file each, behind `suggest`.

Owns the choice of the strategy and the initial trials, which come before anything it proposes. Every strategy is a pure
function, `suggest(question) -> Assignment | None`: same question, with the trials in whatever order, same answer, in any
process and thread. None: all of the space has been tried.
"""

from collections.abc import Sequence
from importlib import import_module

from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.strategies import grid
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment, Trial

_MODULES = {"Grid": "grid", "Random": "random", "TPE": "tpe"}


def suggest(spec: SweepSpec, *, history: Sequence[Trial], pending: Sequence[Trial], trial: int) -> Assignment | None:
    """The assignment of trial number `trial`; None: the space is exhausted.

    `history` holds the committed trials and `pending` the open ones, in any order, with any gaps. The first trials are
    the initial ones. SpecError: see `problems`.
    """
    space = Space.from_parameters(spec.parameters)
    initial = [space.canonical(t.parameters) for t in spec.initial_trials]
    if trial < len(initial):
        return initial[trial]
    known = {t.index for t in (*history, *pending)}
    promised = [Trial(index=i, run="", parameters=p) for i, p in enumerate(initial) if i not in known]
    module = import_module(f"{__name__}.{_MODULES[spec.strategy.name]}")  # Optuna is imported by those who use it
    answer: Assignment | None = module.suggest(
        Question(
            space=space,
            goals=tuple(o.goal for o in spec.objectives),
            history=history,
            pending=(*pending, *promised),
            seed=spec.strategy.seed,
            trial=trial,
        )
    )
    return answer


def problems(spec: SweepSpec) -> list[Problem]:
    """What `suggest` could not work with: circles in `when`, wrong initial trials, a Float that Grid cannot take."""
    try:
        space = Space.from_parameters(spec.parameters)
        space.cardinality  # noqa: B018  (counts the space: too entangled conditions are found here)
    except SpecError as error:
        return error.problems
    found = [
        p
        for i, t in enumerate(spec.initial_trials)
        for p in space.problems(t.parameters, path=f"spec.initialTrials[{i}].parameters")
    ]
    return found + (grid.problems(space) if spec.strategy.name == "Grid" else [])


def effective(spec: SweepSpec) -> tuple[str, str]:
    """The strategy that is at work, and why, for people."""
    parameters = f"{len(spec.parameters)} parameter{'s' if len(spec.parameters) > 1 else ''}"
    count = size(spec)
    points = "infinitely many points" if count is None else f"{count:,} point{'s' if count > 1 else ''}"
    return spec.strategy.name, f"as asked for; {parameters}, {points}"


def size(spec: SweepSpec) -> int | None:
    """How many assignments the strategy can propose, exactly; None: infinitely many."""
    space = Space.from_parameters(spec.parameters)
    return grid.size(space) if spec.strategy.name == "Grid" else space.cardinality
