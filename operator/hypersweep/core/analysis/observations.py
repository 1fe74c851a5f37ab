"""What an analysis counts as one observation: a trial, or all repeats of an assignment.

Owns the step from trials to observations. Repeats of an assignment lie at one point of the space: taken singly they would
pass for evidence that several points had given. Failures are counted by trial elsewhere: each repeat can fail by itself.
"""

from collections.abc import Sequence

from hypersweep.core.aim import Aim
from hypersweep.core.repeats import Standings, as_one, grouped
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Trial


def observations(spec: SweepSpec, trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """One trial for each assignment, with the mean and its interval, where the spec has repeats; else the trials themselves."""
    if spec.repeats.count == 1:
        return tuple(trials)
    sign = Aim.of(spec).signs[0]
    groups = grouped(trials, sign=sign)
    standings = Standings(groups, sign)
    return tuple(standings.as_trial(group) if group.may_win else as_one(group) for group in groups)


def worse_end(trial: Trial, loss: float) -> float:
    """What an observation is ranked by: its loss, or the worse end of the interval around it."""
    return loss if trial.interval is None else loss + (trial.interval[1] - trial.interval[0]) / 2
