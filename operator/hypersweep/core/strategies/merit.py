"""What the trials of a history are worth, as numbers to minimize: the one policy of the strategies that calculate.

| how the trial ended | its number |
|---|---|
| Succeeded, finite | its value (to maximize: the negative) |
| Stopped, finite | its last value, or the median of the succeeded ones where that is worse: it was stopped for a reason |
| beyond an outcome constraint | behind all that meet them, the nearest first |
| anything else | the worst number of all: what fails or comes out NaN is avoided, not asked for again |

Numbers are finite, whatever the values are. Without one finite value or violation nothing is known, and there are no numbers.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hypersweep.core.aim import Goal
from hypersweep.core.trial import Outcome, Trial

_LARGEST = 1e150  # squares of larger numbers are infinite


def measured(trial: Trial) -> bool:
    """Whether its value says how good the assignment is. A stopped trial's last value does, a NaN does not."""
    known = trial.outcome in (Outcome.SUCCEEDED, Outcome.STOPPED)
    return known and trial.value is not None and all(map(math.isfinite, trial.values))


def informs(history: Sequence[Trial]) -> bool:
    """Whether any of these trials says where to look."""
    return any(measured(t) or 0 < t.violation < math.inf for t in history)


def merits(history: Sequence[Trial], goal: Goal) -> NDArray[np.float64] | None:
    """A number for each trial, smaller is better; None: no trial says where to look (`informs`)."""
    sign = -1.0 if goal == "Maximize" else 1.0
    given = [sign * t.value if measured(t) and t.value is not None else math.nan for t in history]
    values: NDArray[np.float64] = np.clip(np.array(given, dtype=float), -_LARGEST, _LARGEST)
    violations = np.array([t.violation for t in history], dtype=float)
    known, violated = np.isfinite(values), np.isfinite(violations) & (violations > 0)
    if not (known | violated).any():
        return None
    succeeded = np.array([t.outcome is Outcome.SUCCEEDED for t in history])
    if (known & succeeded).any():
        middle = float(np.median(values[known & succeeded]))
        values[~succeeded] = np.maximum(values[~succeeded], middle)  # a NaN stays one
    values[violated] = _beyond(values[known & ~violated], violations[violated])
    values[~(known | violated)] = values[known | violated].max()
    return values


def _beyond(feasible: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers behind all feasible ones, the smallest violation first; at most as far behind as those are apart."""
    worst, best = (float(feasible.max()), float(feasible.min())) if len(feasible) else (0.0, 0.0)
    return worst + ((worst - best) or 1.0) * violations / (1.0 + violations)
