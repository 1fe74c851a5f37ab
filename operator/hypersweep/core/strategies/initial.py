"""The initial trials: assignments to try first, of which a person may leave parts to chance.

Owns how what they leave out is filled: by its default, or else by a random draw that is a function of (seed, trial,
parameter), such that the whole is an assignment like any other. So a restart fills alike, and so does another process.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.space import Space
from hypersweep.core.spec import InitialTrial
from hypersweep.core.strategies import random
from hypersweep.core.trial import Assignment

REDRAWS = 128  # ways to fill what was left out, until one goes with what was given, and with the constraints


def assignments(space: Space, trials: Sequence[InitialTrial], *, seed: int) -> list[Assignment]:
    """The assignment of each initial trial. SpecError: see `problems`."""
    return [_assignment(space, initial.parameters, seed=seed, trial=i) for i, initial in enumerate(trials)]


def problems(space: Space, trials: Sequence[InitialTrial], *, seed: int) -> Iterator[Problem]:
    """What is wrong with what was given: unknown, of a value that is not allowed, or at odds with each way to fill the rest."""
    for i, initial in enumerate(trials):
        try:
            _assignment(space, initial.parameters, seed=seed, trial=i)
        except SpecError as error:
            yield from (
                Problem(p.path.replace("parameters", f"spec.initialTrials[{i}].parameters", 1), p.message)
                for p in error.problems
            )


def _assignment(space: Space, given: Mapping[str, Any], *, seed: int, trial: int) -> Assignment:
    defaults = {d.name: d.default for d in space.dimensions if d.default is not None}
    ways = (
        {**random.draw(space, seed=seed, trial=trial, redraw=redraw, fixed={**fixed, **given}), **given}
        for fixed in (defaults, {})
        for redraw in range(REDRAWS)
    )
    first = next(ways)
    return space.canonical(next((way for way in (first, *ways) if not space.problems(way)), first))
