"""ASHA, stopping variant: at each rung, only the best of those that got there go on.

Owns the rungs and the comparison. Asynchronous: a trial is compared with those that reached the rung before it, and never
waits for others. The best so far always goes on. Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from hypersweep.core.spec import Asha


def budgets(rule: Asha, reached: float) -> Iterator[int]:
    """The rungs that a trial has come to: minBudget, and each `reductionFactor` times the one before, below maxBudget."""
    rung = rule.min_budget
    while rung <= reached and (rule.max_budget is None or rung < rule.max_budget):
        yield rung
        rung *= rule.reduction_factor


def judge(rule: Asha, loss: float, peers: Sequence[float]) -> str | None:
    """Why to stop; None: go on. One in `reductionFactor` goes on, at least one. `peers` ascend."""
    kept = max(1, (len(peers) + 1) // rule.reduction_factor)
    better = bisect_left(peers, loss)
    if better < kept and math.isfinite(loss):
        return None
    return f"{better} of {len(peers)} trials were better there, and the best {kept} go on"
