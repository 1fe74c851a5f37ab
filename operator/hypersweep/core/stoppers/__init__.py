"""Stoppers end hopeless trials early: one rule a file, each pure over the marks that trials' curves have left.

Owns the choice of the rule, and the verdict. A verdict is a function of what was logged, and when: not of when somebody
looked, in which order, or in which process. Trials that have no curve are never judged.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hypersweep.core.spec import Asha, EarlyStopping, Median, SweepSpec
from hypersweep.core.stoppers import asha, median, threshold
from hypersweep.core.stoppers.marks import Mark, Marks, Point, Table, broken, curve_since, loss, marks_of
from hypersweep.core.stoppers.promotion import Queues, Waiting, promotable
from hypersweep.core.stoppers.replay import Verdict, counted, replay

__all__ = [
    "Mark",
    "Marks",
    "Point",
    "Queues",
    "Table",
    "Verdict",
    "Waiting",
    "counted",
    "curve_since",
    "due",
    "loss",
    "metric_of",
    "promotable",
    "promotes",
    "read",
    "sign_of",
    "verdicts",
]

_NONE: Mapping[int, int] = MappingProxyType({})


def metric_of(spec: SweepSpec) -> str:
    """The objective's metric that the rule looks at."""
    chosen = spec.early_stopping.metric if spec.early_stopping else None
    return chosen or spec.objectives[0].metric


def sign_of(spec: SweepSpec) -> float:
    """What a value is multiplied with so that smaller is better."""
    goal = next(o.goal for o in spec.objectives if o.metric == metric_of(spec))
    return -1.0 if goal == "Maximize" else 1.0


def promotes(spec: SweepSpec) -> bool:
    """Whether a verdict pauses a trial, which may be promoted later, instead of stopping it."""
    rule = spec.early_stopping
    return rule is not None and rule.type == "ASHA" and rule.asha is not None and rule.asha.mode == "Promote"


def due(rule: EarlyStopping, known: Marks, *, reached: float, value: float) -> bool:
    """Whether a trial that has come to `reached`, with this newest value, left a mark that is not known yet."""
    if rule.type == "Threshold" and not math.isfinite(value):
        return all(math.isfinite(mark.value) for mark in known.values())
    return any(budget not in known for budget in _budgets(rule, reached))


def read(rule: EarlyStopping, points: Sequence[Point], *, reached: float) -> Marks:
    """All marks of a curve that has come to `reached`."""
    marks = marks_of(points, _budgets(rule, reached))
    return marks | broken(points, marks) if rule.type == "Threshold" else marks


def verdicts(
    rule: EarlyStopping,
    marks: Mapping[int, Marks],
    table: Table,
    *,
    sign: float,
    since: float | None,
    passed: Mapping[int, int] = _NONE,
) -> Mapping[int, Verdict]:
    """Who of these open trials is to stop (or to pause). `since`: when the metric was first seen to have curves; None: it was
    not, yet. `passed`: the rung from which a trial was promoted.
    """
    if since is None:
        return {}

    def judge(own: float, peers: Sequence[float]) -> str | None:
        return _judge(rule, own, peers, sign)

    return replay(judge, marks, table, rule=rule.type, sign=sign, since=since, passed=passed)


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
