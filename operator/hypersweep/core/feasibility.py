"""Outcome constraints: whether a measured trial keeps them, how far it is beyond them, and how that is said.

Pure. The amount is relative to each bound, so that milliseconds and megabytes may be added: 22 where 20 is allowed is 0.1
beyond. A value that is not finite is infinitely far beyond.
"""

import math
from collections.abc import Mapping, Sequence

from hypersweep.core.spec import Constraint


def violation(constraints: Sequence[Constraint], found: Mapping[str, float]) -> float:
    """How far beyond the constraints, all together; 0 when all are met. `found` has every constraint's metric."""
    return sum(_beyond(constraint, found[constraint.metric]) for constraint in constraints)


def breaches(constraints: Sequence[Constraint], found: Mapping[str, float]) -> list[str]:
    """Each constraint that is not met: the metric, its value, what is allowed."""
    return [
        f"{c.metric} is {found[c.metric]:.6g}; allowed: {_allowed(c)}"
        for c in constraints
        if _beyond(c, found[c.metric]) > 0
    ]


def _beyond(constraint: Constraint, value: float) -> float:
    low, high = constraint.min, constraint.max
    if not math.isfinite(value):
        return math.inf
    if high is not None and value > high:
        return (value - high) / (abs(high) or 1.0)
    if low is not None and value < low:
        return (low - value) / (abs(low) or 1.0)
    return 0.0


def _allowed(constraint: Constraint) -> str:
    edges = (("at least", constraint.min), ("at most", constraint.max))
    return " and ".join(f"{words} {edge:g}" for words, edge in edges if edge is not None)
