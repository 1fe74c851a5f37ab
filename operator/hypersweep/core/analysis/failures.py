"""Which values trials failed at more often than elsewhere, and why: "batch_size 128: 4 of 5 ended OutOfMemory".

Compares each level of each parameter with all other trials (Fisher's exact test, one-sided, Bonferroni over the levels).
Owns bad ends only: crashes, memory, deadlines, non-finite objectives, broken constraints. A trial stopped early is none.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy.stats import hypergeom

from hypersweep.core.analysis.levels import Levels
from hypersweep.core.trial import Outcome, Trial

LEAST = 3  # bad ends of a kind, before a value is blamed
CERTAIN = 0.05


@dataclass(frozen=True, kw_only=True)
class Blame:
    """So many of the trials at these values ended for that reason; elsewhere fewer did."""

    parameter: str
    values: str
    reason: str
    bad: int
    trials: int
    bad_elsewhere: int
    trials_elsewhere: int
    chance: float


def blames(levels: Sequence[Levels], trials: Sequence[Trial]) -> list[Blame]:
    """The surest first. `trials`: any, open ones are left out."""
    ended = [t for t in trials if t.outcome.over]
    reasons = Counter(t.reason for t in ended if t.outcome in (Outcome.FAILED, Outcome.INFEASIBLE) and t.reason)
    looks = sum(each.count for each in levels) * max(1, len(reasons))
    found = [
        blame
        for reason, count in sorted(reasons.items())
        if count >= LEAST
        for each in levels
        for blame in _of(each, ended, reason, looks)
    ]
    return sorted(found, key=lambda b: (b.chance, b.parameter, b.values))


def _of(levels: Levels, ended: Sequence[Trial], reason: str, looks: int) -> Iterator[Blame]:
    at = levels.of([t.parameters for t in ended])
    bad = [t.reason == reason for t in ended]
    for level in range(levels.count):
        here = [b for b, place in zip(bad, at, strict=True) if place == level]
        if sum(here) < LEAST:
            continue
        chance = float(hypergeom.sf(sum(here) - 1, len(ended), sum(bad), len(here))) * looks
        if chance < CERTAIN:
            yield Blame(
                parameter=levels.name,
                values=levels.label(level),
                reason=reason,
                bad=sum(here),
                trials=len(here),
                bad_elsewhere=sum(bad) - sum(here),
                trials_elsewhere=len(ended) - len(here),
                chance=chance,
            )
