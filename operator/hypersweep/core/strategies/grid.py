"""Grid: every point once, in an order that the seed shuffles, so that a part of the grid tells of all of it.

Owns what the values of a parameter on a grid are. Lists nothing: grids of 10^12 points cost no more than small ones.
"""

from hypersweep.core.domain import Interval, Levels
from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.space import Dimension, Space
from hypersweep.core.strategies.points import Points, tried
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment


def suggest(question: Question) -> Assignment | None:
    """Point number `trial` of the shuffled grid, or the next that no trial has had. None: there is none left."""
    seen = tried(question.space, (*question.history, *question.pending))
    return points(question.space).unseen(seen, start=question.trial, key=("Grid", question.seed))


def size(space: Space) -> int:
    """How many points the grid has, exactly. SpecError: see `problems`; or `when` is too entangled to count."""
    return points(space).size


def problems(space: Space) -> list[Problem]:
    """Parameters that a grid cannot take: a Float must say which of its values."""
    return [
        Problem(d.path, "a Float on a grid needs `points` (how many values) or `step`; found neither")
        for d in space.dimensions
        if d.domain.size is None and d.points is None
    ]


def points(space: Space) -> Points:
    """All points of the grid, by rank. SpecError: see `problems`."""
    if found := problems(space):
        raise SpecError(found)
    return Points(space, [_levels(d) for d in space.dimensions])


def _levels(dimension: Dimension) -> Levels:
    domain = dimension.domain
    if isinstance(domain, Interval) and dimension.points is not None:
        values = domain.points(dimension.points)
        return Levels(len(values), values.__getitem__)
    return Levels(domain.size or 0, domain.at)
