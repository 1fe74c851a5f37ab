"""Where on its curves a trial is read: which metrics judge it, and the one step at which all of them are taken.

Pure. A result must be a model that existed: the values of several metrics are never taken from different steps. A metric
that was logged at one step only (a latency measured at the end, a number of weights) is a fact of the whole trial, and
holds at every step.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from hypersweep.core.objective import Curve, reduce
from hypersweep.core.spec import Constraint, Objective, SweepSpec

Points = Mapping[int, float]  # step -> the newest value there


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The question to a trial's run: its objectives and constraints."""

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    at: str | None = None  # the objective whose best step is the one, of several

    @classmethod
    def of(cls, spec: SweepSpec) -> Self:
        at = spec.read_at.metric if spec.read_at is not None else None
        return cls(objectives=tuple(spec.objectives), constraints=tuple(spec.constraints), at=at)

    @property
    def metrics(self) -> tuple[str, ...]:
        """All names, each once, objectives first."""
        return tuple(dict.fromkeys([o.metric for o in self.objectives] + [c.metric for c in self.constraints]))

    @property
    def guide(self) -> Objective | None:
        """The objective whose best step is the one; None: the last step is."""
        return next((o for o in self.objectives if o.metric == self.at or o.reduction == "Best"), None)

    @property
    def is_last(self) -> bool:
        """Whether the last step is the one."""
        return self.guide is None and self.objectives[0].reduction != "MeanOfLast"


def read(curves: Mapping[str, Curve], reading: Reading) -> Mapping[str, float] | None:
    """Each metric's value, all at one step. None: no step has them all. Every curve has a point.

    With MeanOfLast there is no such step: every metric is the mean of its own last points.
    """
    first = reading.objectives[0]
    if len(curves) == 1 or first.reduction == "MeanOfLast":
        return {name: value for name, curve in curves.items() if (value := reduce(curve, first)) is not None}
    points = {name: dict(curve) for name, curve in curves.items()}
    moving = [set(steps) for steps in points.values() if len(steps) > 1]
    shared = set.intersection(*moving) if moving else {0}
    if not shared:
        return None
    step = _step(shared, points, reading.guide)
    return {name: at[step] if len(at) > 1 else next(iter(at.values())) for name, at in points.items()}


def apart_message(spec: SweepSpec) -> str:
    """What to tell the owner of a trial whose metrics share no step."""
    names = ", ".join(Reading.of(spec).metrics)
    return f"no step has all of {names}: log them together, with the same step (one that is logged once counts at every step)"


def _step(shared: set[int], points: Mapping[str, Points], guide: Objective | None) -> int:
    """The last of these steps, or the first at which the guide is best; where it is nowhere finite, the last."""
    at = points[guide.metric] if guide is not None else {}
    if guide is None or len(at) == 1:
        return max(shared)
    sign = -1.0 if guide.goal == "Maximize" else 1.0
    return min(((sign * at[step], step) for step in shared if math.isfinite(at[step])), default=(0.0, max(shared)))[1]
