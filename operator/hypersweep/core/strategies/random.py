"""Random: each parameter uniform on its own scale, a function of (seed, trial) and of what has been tried.

Owns no generator: a value is a hash of (seed, trial, redraw, parameter), so that neither the order of the history nor
another parameter changes it.
"""

from collections.abc import Hashable
from collections.abc import Set as AbstractSet
from types import MappingProxyType

from hypersweep.core.domain import Levels
from hypersweep.core.keyed import number
from hypersweep.core.space import Dimension, Space
from hypersweep.core.strategies.points import Points, tried
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment, Value

REDRAWS = 64  # then unseen points are looked for by rank: all of them have a turn
_FINE = 53  # bits: the levels that stand for the numbers of an interval when ranks are needed


def suggest(question: Question) -> Assignment | None:
    """An assignment that no trial has had. None: the space is finite, and all of it has been tried."""
    seen = tried(question.space, (*question.history, *question.pending))
    return unseen(question.space, seen=seen, seed=question.seed, trial=question.trial)


def unseen(space: Space, *, seen: AbstractSet[Hashable], seed: int, trial: int) -> Assignment | None:
    """A random assignment that meets the constraints and whose key is not in `seen`. None: none was found (`Points.unseen`)."""
    for redraw in range(REDRAWS):
        assignment = draw(space, seed=seed, trial=trial, redraw=redraw)
        if space.key(assignment) not in seen and space.meets(assignment):
            return assignment
    return points(space).unseen(seen, start=trial, key=("Random", seed))


def points(space: Space) -> Points:
    """All points of a finite space by rank; of an interval, more values than anybody will try."""
    return Points(space, [_levels(d) for d in space.dimensions])


def draw(
    space: Space, *, seed: int, trial: int, redraw: int = 0, fixed: Assignment = MappingProxyType({})
) -> Assignment:
    """A random assignment: parents first, then those of their children that are active; what is `fixed` has its value."""
    values: dict[str, Value] = {}
    for d in space.dimensions:
        if d.active(values):
            values[d.name] = (
                fixed[d.name] if d.name in fixed else d.domain.draw(number("Random", seed, trial, redraw, d.name))
            )
    return values


def _levels(dimension: Dimension) -> Levels:
    domain = dimension.domain
    if domain.size is not None:
        return Levels(domain.size, domain.at)
    return Levels(1 << _FINE, lambda level: domain.draw(level << (64 - _FINE)))
