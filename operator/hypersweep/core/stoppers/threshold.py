"""Threshold: a trial that is worse than a value at a budget is stopped, and one that is no number any more, at once."""

import math
from collections.abc import Iterator

from hypersweep.core.spec import Threshold


def budgets(rule: Threshold, reached: float) -> Iterator[int]:
    """The one budget at which it looks, once it was reached."""
    if reached >= rule.at_budget:
        yield rule.at_budget


def judge(rule: Threshold, loss: float, sign: float) -> str | None:
    """Why to stop; None: go on."""
    if not math.isfinite(loss):
        return "its value is not finite any more"
    if loss > sign * rule.value:
        return f"the threshold is {rule.value:g}"
    return None
