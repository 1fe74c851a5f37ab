"""What an analysis rests on: which trials say how good their assignment is, and whether they are enough to speak.

Owns the stated minimum. A trial counts where it ran to its end and its objective is finite; one that was stopped early
counts only as "not among the best", since its value was read at another budget; failures are counted elsewhere
(`failures`). Below the minimum nothing is said, and what is missing is named.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hypersweep.core.aim import Goal
from hypersweep.core.analysis.levels import INACTIVE, Floats, Levels, levels_of
from hypersweep.core.space import Space
from hypersweep.core.trial import Outcome, Trial

RESULTS = 20  # finite results, before anything is said of parameters
PER_PARAMETER = 10  # … in which the parameter is active
ELSEWHERE = 3  # … that lie outside its most frequent level
RARE = 20  # values, from which on the worst 5 % of them may lie outside of a picture
LARGEST = 1e100  # further away, squares overflow
FOR_PAIRS = 40  # finite results, before anything is said of two parameters together


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A sweep's trials for one objective. `which`: the objective's place among the spec's."""

    space: Space
    metric: str
    goal: Goal
    trials: tuple[Trial, ...]  # all that are known, whatever their outcome, by index
    which: int = 0

    @cached_property
    def measured(self) -> tuple[Trial, ...]:
        """Trials whose value says how good their assignment is."""
        return tuple(t for t in self.trials if self._says(t))

    @cached_property
    def stopped(self) -> tuple[Trial, ...]:
        """Trials that were stopped early: they are not among the best."""
        return tuple(t for t in self.trials if t.outcome is Outcome.STOPPED)

    @cached_property
    def values(self) -> Floats:
        """Of the measured trials."""
        values: Floats = np.clip([self.value(t) or 0.0 for t in self.measured], -LARGEST, LARGEST)
        return values

    @cached_property
    def losses(self) -> Floats:
        """The same, less is better."""
        return self.values if self.goal == "Minimize" else -self.values

    @cached_property
    def limits(self) -> tuple[float, float]:
        """What a picture shows of the values: all but those far on the bad side."""
        losses = np.sort(self.losses)
        worst = float(np.quantile(losses, 0.95)) if len(losses) > RARE else float(losses[-1])
        margin = 0.05 * (worst - float(losses[0])) or 1.0
        low, high = float(losses[0]) - margin, worst + margin
        return (low, high) if self.goal == "Minimize" else (-high, -low)

    @cached_property
    def levels(self) -> list[Levels]:
        return levels_of(self.space)

    def value(self, trial: Trial) -> float | None:
        """The trial's value of this objective."""
        values: Sequence[float] = getattr(trial, "values", ())
        if self.which < len(values):
            return values[self.which]
        return trial.value if self.which == 0 else None

    def missing(self) -> str:
        """Why nothing can be said of any parameter; empty: it can."""
        found = len(self.measured)
        if found < RESULTS:
            return f"it takes {RESULTS} finite results of {self.metric}, and there are {found}"
        if np.ptp(self.values) == 0:
            return f"all {found} results of {self.metric} are the same, {self.values[0]:.6g}"
        return ""

    def missing_of(self, levels: Levels) -> str:
        """Why nothing can be said of this parameter; empty: it can."""
        at = levels.of([t.parameters for t in self.measured])
        active = at[at != INACTIVE]
        if len(active) < PER_PARAMETER:
            return f"it takes {PER_PARAMETER} finite results where it is active, and there are {len(active)}"
        others = len(active) - int(np.bincount(active).max())
        if others < ELSEWHERE:
            usual = levels.label(int(np.bincount(active).argmax()))
            return f"it takes {ELSEWHERE} results with other values than {usual}, and there are {others}"
        return ""

    def missing_of_pairs(self) -> str:
        """Why nothing can be said of two parameters together; empty: it can."""
        found = len(self.measured)
        return "" if found >= FOR_PAIRS else f"it takes {FOR_PAIRS} finite results, and there are {found}"

    def _says(self, trial: Trial) -> bool:
        value = self.value(trial)
        ran = trial.outcome in (
            Outcome.SUCCEEDED,
            Outcome.INFEASIBLE,
        )  # infeasible by a constraint: measured all the same
        return ran and value is not None and math.isfinite(value)
