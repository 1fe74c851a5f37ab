"""Median: a trial that is worse than half of those before it, at the same budget, is stopped.

Owns where it looks (`startAfter`, twice that, four times, …) and the comparison.
Golovin et al., Google Vizier, KDD 2017 (which compares running averages; one value per budget needs no curve but its own).
"""

from collections.abc import Iterator, Sequence

from hypersweep.core.spec import Median


def budgets(rule: Median, reached: float) -> Iterator[int]:
    """Where a trial is looked at, as far as it has come."""
    budget = rule.start_after
    while budget <= reached:
        yield budget
        budget *= 2


def judge(rule: Median, loss: float, peers: Sequence[float]) -> str | None:
    """Why to stop; None: go on, as all do until `minTrials` others have come so far. `peers` ascend."""
    if len(peers) < rule.min_trials or not loss > (peers[(len(peers) - 1) // 2] + peers[len(peers) // 2]) / 2:
        return None
    return f"it was worse than the median of {len(peers)} trials there"
