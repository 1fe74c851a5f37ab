"""Strategies propose assignments: one file each, behind `suggest`.

Owns the choice of the strategy and the initial trials, which come before anything it proposes. Every strategy is a pure
function, `suggest(question) -> Assignment | None`: same question, with the trials in whatever order, same answer, in any
process and thread. None: all of the space has been tried, or, with constraints, nothing more was found (`gives_up`).
"""

from collections.abc import Sequence
from importlib import import_module

from hypersweep.core.errors import Problem, SpecError, StrategyError
from hypersweep.core.narrowing import Narrowed, narrowed
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.strategies import catalog, defaults, grid, initial, phases, random, settings
from hypersweep.core.strategies.points import LOOKS
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment, Reason, Trial


def suggest(
    spec: SweepSpec,
    *,
    history: Sequence[Trial],
    pending: Sequence[Trial],
    trial: int,
    range_tests: Sequence[Trial] = (),
) -> Assignment | None:
    """The assignment of trial number `trial`; None: the space is exhausted.

    `history` holds the committed trials, and with negative indices those of a warm start, `pending` the open ones, in any order,
    with any gaps. The first trials are the initial ones. `range_tests` have ended, and narrow the space. SpecError: see
    `problems`. StrategyError: one that others wrote failed.
    """
    begun = first(spec)
    if trial < len(begun):
        return begun[trial]
    narrow = narrowed(spec, Space.of(spec), range_tests)
    answer = catalog.ask(spec.strategy.name, _question(spec, narrow, history=history, pending=pending, trial=trial))
    return None if answer is None else narrow.outside(answer)


def expected_improvement(
    spec: SweepSpec, *, history: Sequence[Trial], pending: Sequence[Trial], range_tests: Sequence[Trial] = ()
) -> float | None:
    """How much a further trial could be expected to improve the best, by a model; None: too little is known.

    The same for every strategy. Trials that the sweep's end cut off count as open, so that the end which this brings about
    does not change it. Costs as much as an answer of GP.
    """
    model = import_module(f"{__name__}.gp")  # numpy and scipy are imported by those who use them
    cut = [t for t in history if t.reason == Reason.SWEEP_ENDED]
    known = [t for t in history if t.reason != Reason.SWEEP_ENDED]
    narrow = narrowed(spec, Space.of(spec), range_tests)
    question = _question(spec, narrow, history=known, pending=[*pending, *cut], trial=len(history))
    found: float | None = model.expected_improvement(question)
    return found


def _question(
    spec: SweepSpec,
    narrow: Narrowed,
    *,
    history: Sequence[Trial],
    pending: Sequence[Trial],
    trial: int,
) -> Question:
    """What the strategy is asked; first trials that are still to be planned are open ones to it."""
    name = spec.strategy.name
    known = {t.index for t in (*history, *pending)}
    promised = [Trial(index=i, run="", parameters=p) for i, p in enumerate(first(spec)) if i not in known]
    return Question(
        space=narrow,
        goals=tuple(o.goal for o in spec.objectives),
        history=narrow.taken(history),
        pending=narrow.taken((*pending, *promised)),
        seed=spec.strategy.seed,
        trial=trial,
        settings=settings.filled(catalog.settings_model(name), spec.strategy.settings),
    )


def first(spec: SweepSpec) -> list[Assignment]:
    """What is tried before anything is proposed: the initial trials, then the defaults, where there are any."""
    space = Space.of(spec)
    seed = spec.strategy.seed
    found = initial.assignments(spec)
    default = defaults.assignment(space, seen={space.key(a) for a in found}, seed=seed, trial=len(found))
    return found if default is None else [*found, default]


def gives_up(spec: SweepSpec) -> bool:
    """Whether `suggest` answers None before every point has been looked at: the constraints leave too few to find."""
    count = size(spec)
    return bool(spec.parameter_constraints) and (count is None or count > LOOKS)


def problems(spec: SweepSpec) -> list[Problem]:
    """What `suggest` could not work with.

    Circles in `when`, constraints that mean nothing or that no point meets, wrong initial trials and defaults, a strategy
    or a setting that there is not, what the strategy cannot take.
    """
    try:
        space = Space.of(spec)
        space.cardinality  # noqa: B018  (counts the space: too entangled conditions are found here)
    except SpecError as error:
        return error.problems
    found = list(initial.problems(spec, space))
    found += defaults.problems(space)
    found += _of_strategy(spec, space)
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


def _of_strategy(spec: SweepSpec, space: Space) -> list[Problem]:
    name = spec.strategy.name
    try:
        model = catalog.settings_model(name)
        found = [*settings.problems(model, spec.strategy.settings), *catalog.problems(name, space)]
        if len(spec.objectives) > 1 and not catalog.takes_several_objectives(name):
            message = f"found {name}, which takes one objective; with several, allowed: {', '.join(catalog.OF_SEVERAL)}"
            found.append(Problem("spec.strategy.name", message))
        return found
    except StrategyError as error:
        return [Problem("spec.strategy.name", str(error))]


def effective(spec: SweepSpec, *, ended: int = 0, before: int = 0) -> tuple[str, str]:
    """The strategy that is at work after so many ended trials (with repeats: assignments; `before`: of a warm start), and why."""
    space, count = Space.of(spec), size(spec)
    points = "infinitely many points" if count is None else f"{count:,} point{'s' if count > 1 else ''}"
    if spec.parameter_constraints:
        points += ", fewer by what parameterConstraints rule out"
    about = f"{phases.kind(space)}, {points}" + (f", {before} runs of a warm start" if before else "")
    if spec.strategy.name != "Auto":
        return spec.strategy.name, f"as asked for; {about}"
    startup = settings.AutoSettings.model_validate(spec.strategy.settings).startup
    name, why = phases.told(space, ended, before=before, startup=startup, objectives=len(spec.objectives))
    what = "trial" if spec.repeats.count == 1 else "assignment"
    return name, f"{why}; {about}, {ended} {what}{'' if ended == 1 else 's'} ended"


def size(spec: SweepSpec) -> int | None:
    """How many assignments the strategy can propose, exactly; None: infinitely many.

    With parameterConstraints it is an upper bound: those that they rule out are counted, too.
    """
    space = Space.of(spec)
    return grid.size(space) if spec.strategy.name == "Grid" else space.cardinality
