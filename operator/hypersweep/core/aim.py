"""What a sweep is after: the direction of each objective, and of how many trials a result is made. Plain data."""

from dataclasses import dataclass
from typing import Literal, Self

from hypersweep.core.spec import SweepSpec

Goal = Literal["Minimize", "Maximize"]


@dataclass(frozen=True, kw_only=True)
class Aim:
    """How results are compared."""

    goals: tuple[Goal, ...]  # of each objective, in the spec's order
    repeats: int = 1  # trials of each assignment, which are judged as one

    @classmethod
    def of(cls, spec: SweepSpec) -> Self:
        return cls(goals=tuple(o.goal for o in spec.objectives), repeats=spec.repeats.count)

    @property
    def signs(self) -> tuple[float, ...]:
        """What each objective is multiplied with, so that smaller is better."""
        return tuple(-1.0 if goal == "Maximize" else 1.0 for goal in self.goals)
