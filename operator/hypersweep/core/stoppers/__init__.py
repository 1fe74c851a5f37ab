"""Stoppers end hopeless trials early: one rule a file, each pure over the marks that trials' curves have left.

Owns the choice of the rule, and the verdict. A verdict is a function of what was logged, and when: not of when somebody
looked, in which order, or in which process. Trials that have no curve are never judged.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hypersweep.core.spec import Asha, EarlyStopping, Median, SweepSpec
from hypersweep.core.stoppers import asha, median, threshold
from hypersweep.core.stoppers.marks import Mark, Marks, Point, Table, loss, marks_of

__all__ = ["Mark", "Marks", "Point", "Table", "Verdict", "due", "marks_of", "metric_of", "sign_of", "verdict"]


@dataclass(frozen=True)
class Verdict:
    """A trial is to be stopped: the rule, the budget at which it was judged, the value there, and why, for people."""

    rule: str
    budget: int
    value: float
    message: str


def metric_of(spec: SweepSpec) -> str:
    """The objective's metric that the rule looks at."""
    chosen = spec.early_stopping.metric if spec.early_stopping else None
    return chosen or spec.objectives[0].metric


def sign_of(spec: SweepSpec) -> float:
    """What a value is multiplied with so that smaller is better."""
    goal = next(o.goal for o in spec.objectives if o.metric == metric_of(spec))
    return -1.0 if goal == "Maximize" else 1.0


def due(rule: EarlyStopping, known: Marks, *, reached: float, value: float) -> Sequence[int]:
    """Budgets at which a trial that has come to `reached`, with this newest value, has no mark yet."""
    budgets = list(_budgets(rule, reached))
    if rule.type == "Threshold" and not math.isfinite(value):
        budgets.append(math.floor(reached))
    return [budget for budget in budgets if budget not in known]


def verdict(rule: EarlyStopping, trial: int, marks: Marks, table: Table, *, sign: float) -> Verdict | None:
    """The first budget at which the rule would have stopped the trial; None: it goes on."""
    for budget, mark in sorted(marks.items()):
        why = _judge(rule, loss(mark.value, sign), table.peers(budget, mark, trial), sign)
        if why is not None:
            message = f"stopped at budget {budget} with {mark.value:.6g}: {why}"
            return Verdict(rule.type, budget, mark.value, message)
    return None


def _budgets(rule: EarlyStopping, reached: float) -> Sequence[int]:
    match rule.type:
        case "ASHA":
            return list(asha.budgets(rule.asha or Asha(), reached))
        case "Median":
            return list(median.budgets(rule.median or Median(), reached))
    return list(threshold.budgets(rule.threshold, reached)) if rule.threshold else []


def _judge(rule: EarlyStopping, own: float, peers: Sequence[float], sign: float) -> str | None:
    match rule.type:
        case "ASHA":
            return asha.judge(rule.asha or Asha(), own, peers)
        case "Median":
            return median.judge(rule.median or Median(), own, peers)
    return threshold.judge(rule.threshold, own, sign) if rule.threshold else None
