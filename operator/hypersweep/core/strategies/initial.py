"""The initial trials: assignments to try first, of which a person may leave parts to chance.

Owns how what they leave out is filled: by what is published (where that is asked for), by its default, or else by a random
draw that is a function of (seed, trial, parameter), such that the whole is an assignment like any other. So a restart fills
alike, and so does another process.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.space import Space
from hypersweep.core.spec import InitialTrial, SweepSpec
from hypersweep.core.strategies import published, random
from hypersweep.core.trial import Assignment

REDRAWS = 128  # ways to fill what was left out, until one goes with what was given, and with the constraints


def assignments(spec: SweepSpec) -> list[Assignment]:
    """The assignment of each initial trial. SpecError: see `problems`."""
    space = Space.of(spec)
    return [_assignment(spec, space, initial, trial=i) for i, initial in enumerate(spec.initial_trials)]


def problems(spec: SweepSpec, space: Space) -> Iterator[Problem]:
    """What is wrong with what was given: unknown, of a value that is not allowed, or at odds with each way to fill the rest."""
    for i, initial in enumerate(spec.initial_trials):
        try:
            _assignment(spec, space, initial, trial=i)
        except SpecError as error:
            yield from (
                Problem(p.path.replace("parameters", f"spec.initialTrials[{i}].parameters", 1), p.message)
                for p in error.problems
            )


def _assignment(spec: SweepSpec, space: Space, initial: InitialTrial, *, trial: int) -> Assignment:
    known = published.values(spec, space, initial.parameters) if initial.defaults else {}
    return complete(space, initial.parameters, known=known, seed=spec.strategy.seed, trial=trial)


def complete(space: Space, given: Mapping[str, Any], *, known: Mapping[str, Any], seed: int, trial: int) -> Assignment:
    """What was given, and a way to fill the rest that goes with it: by what is `known`, its default, or a draw.

    If there is none, the first that was tried.
    """
    defaults = {d.name: d.default for d in space.dimensions if d.default is not None}
    ways = (
        {**random.draw(space, seed=seed, trial=trial, redraw=redraw, fixed={**fixed, **given}), **given}
        for fixed in ({**defaults, **known}, defaults, {})
        for redraw in range(REDRAWS)
    )
    first = next(ways)
    return space.canonical(next((way for way in (first, *ways) if not space.problems(way)), first))
