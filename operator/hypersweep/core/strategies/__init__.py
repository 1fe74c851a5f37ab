"""Strategies propose assignments: one file each, behind `suggest`.

Owns the choice of the strategy and the initial trials, which come before anything it proposes. Every strategy is a pure
function, `suggest(question) -> Assignment | None`: same question, with the trials in whatever order, same answer, in any
process and thread. None: all of the space has been tried, or, with constraints, nothing more was found (`gives_up`).
"""

from collections.abc import Sequence
from importlib import import_module

from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.strategies import defaults, grid, random
from hypersweep.core.strategies.points import LOOKS
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment, Trial

_MODULES = {"Grid": "grid", "Random": "random", "TPE": "tpe"}


def suggest(spec: SweepSpec, *, history: Sequence[Trial], pending: Sequence[Trial], trial: int) -> Assignment | None:
    """The assignment of trial number `trial`; None: the space is exhausted.

    `history` holds the committed trials and `pending` the open ones, in any order, with any gaps. The first trials are
    the initial ones. SpecError: see `problems`.
    """
    space = Space.of(spec)
    initial = _initial(spec, space)
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


def _initial(spec: SweepSpec, space: Space) -> list[Assignment]:
    """What is tried before anything is proposed: the initial trials, then the defaults, where there are any."""
    initial = [space.canonical(t.parameters) for t in spec.initial_trials]
    first = defaults.assignment(
        space, seen={space.key(a) for a in initial}, seed=spec.strategy.seed, trial=len(initial)
    )
    return initial if first is None else [*initial, first]


def gives_up(spec: SweepSpec) -> bool:
    """Whether `suggest` answers None before every point has been looked at: the constraints leave too few to find."""
    count = size(spec)
    return bool(spec.parameter_constraints) and (count is None or count > LOOKS)


def problems(spec: SweepSpec) -> list[Problem]:
    """What `suggest` could not work with.

    Circles in `when`, constraints that mean nothing or that no point meets, wrong initial trials and defaults, a Float
    that Grid cannot take.
    """
    try:
        space = Space.of(spec)
        space.cardinality  # noqa: B018  (counts the space: too entangled conditions are found here)
    except SpecError as error:
        return error.problems
    found = [
        p
        for i, t in enumerate(spec.initial_trials)
        for p in space.problems(t.parameters, path=f"spec.initialTrials[{i}].parameters")
    ]
    found += defaults.problems(space)
    found += grid.problems(space) if spec.strategy.name == "Grid" else []
    return found or _unmeetable(spec, space)


def _unmeetable(spec: SweepSpec, space: Space) -> list[Problem]:
    """Constraints that no point meets, where all of them can be looked at. (Else the sweep ends with ConstraintsUnmet.)"""
    count = size(spec)
    if not space.constraints or spec.initial_trials or count is None or count > LOOKS:
        return []
    points = grid.points(space) if spec.strategy.name == "Grid" else random.points(space)
    if points.unseen(set(), start=0, key=("met", 0)) is not None:
        return []
    return [Problem("spec.parameterConstraints", f"found none among all {count:,} points of the space that meets them")]


def effective(spec: SweepSpec) -> tuple[str, str]:
    """The strategy that is at work, and why, for people."""
    parameters = f"{len(spec.parameters)} parameter{'s' if len(spec.parameters) > 1 else ''}"
    count = size(spec)
    points = "infinitely many points" if count is None else f"{count:,} point{'s' if count > 1 else ''}"
    if spec.parameter_constraints:
        points += ", fewer by what parameterConstraints rule out"
    return spec.strategy.name, f"as asked for; {parameters}, {points}"


def size(spec: SweepSpec) -> int | None:
    """How many assignments the strategy can propose, exactly; None: infinitely many.

    With parameterConstraints it is an upper bound: those that they rule out are counted, too.
    """
    space = Space.of(spec)
    return grid.size(space) if spec.strategy.name == "Grid" else space.cardinality
