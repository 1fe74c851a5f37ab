"""The running account of a sweep's ended trials: counts, best, top, groups of failures, streak, smallest free index.

Append-only: `add` costs O(top) whatever the length of the history, and the order of additions matters only to the streak.
A retried trial is taken back by counting anew (`Tally.of`). Owns no open trial's progress and decides nothing.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from hypersweep.core.aim import Aim
from hypersweep.core.improvement import Improvement
from hypersweep.core.leaders import leaders
from hypersweep.core.resources import Hours, total
from hypersweep.core.trial import Outcome, Reason, Trial

FAILURE_GROUPS = 5
_REMEMBERED_GROUPS = 50  # beyond these, further kinds of failure are counted together
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+(\.\d+)?")


@dataclass(kw_only=True)
class FailureGroup:
    """Trials that ended alike: same reason, same last line but for its numbers."""

    reason: str
    message: str
    where: str
    trial: int  # the newest example
    count: int = 0


def likeness(trial: Trial) -> tuple[str, str]:
    """What makes two bad ends the same: the reason, and the message's last line without its numbers."""
    lines = trial.message.strip().splitlines()
    return trial.reason, _NUMBERS.sub("#", lines[-1])[:200] if lines else ""


def _may_win(trial: Trial) -> bool:
    """A trial wins only by finite values."""
    return trial.outcome is Outcome.SUCCEEDED and trial.value is not None and all(map(math.isfinite, trial.values))


class Tally:
    """Counts of trials by outcome, and what must be known of them without looking at each."""

    def __init__(self, aim: Aim) -> None:
        self.aim = aim
        self.counts: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
        self.leaders = leaders(aim)
        self.groups: dict[tuple[str, str], FailureGroup] = {}
        self.failed: dict[int, str] = {}  # index of each trial that a retry would run -> token under which it ran
        self.improvement = Improvement()
        self.spent: Hours = {}
        self.reused = 0  # trials that took an equal one's result
        self.flat = 0  # trials that early stopping could not have judged
        self.streak = 0  # how many of the newest trials ended badly and alike
        self._alike: tuple[str, str] | None = None
        self._taken: set[int] = set()
        self.next = 0  # smallest index that no trial has

    @classmethod
    def of(cls, aim: Aim, trials: Iterable[Trial]) -> Self:
        """The tally of these trials; ended ones are added in the order in which they ended."""
        tally = cls(aim)
        known = list(trials)
        for trial in known:
            tally.take(trial.index)
        for trial in sorted((t for t in known if t.outcome.over), key=lambda t: (t.ended or 0.0, t.index)):
            tally.add(trial)
        return tally

    @property
    def best(self) -> Trial | None:
        return self.leaders.best

    @property
    def streak_group(self) -> FailureGroup | None:
        """The failures that the newest streak is made of."""
        return self.groups.get(self._alike) if self._alike else None

    @property
    def ended(self) -> int:
        return sum(self.counts.values())

    @property
    def observed(self) -> int:
        """How many of them a strategy sees: with repeats, one for each assignment."""
        assignments = self.leaders.assignments
        return self.ended if assignments is None else assignments

    def unimproved(self, tolerance: float) -> int:
        """How many of the newest trials, all of them taken together, improved the lead by no more than `tolerance`."""
        since = self.leaders.led_since(tolerance)
        return self.improvement.trials_since(tolerance) if since is None else self.improvement.trials_after(since)

    def take(self, index: int) -> None:
        """Mark an index as used, by an open trial or an ended one."""
        self._taken.add(index)
        while self.next in self._taken:
            self.next += 1

    def release(self, index: int) -> None:
        """Mark an index as free again: its run is gone from the ledger."""
        self._taken.discard(index)
        self.next = min(self.next, index)

    def free(self, count: int, *, besides: frozenset[int] = frozenset()) -> list[int]:
        """The `count` smallest free indices, leaving out those in `besides`."""
        found: list[int] = []
        index = self.next
        while len(found) < count:
            if index not in self._taken and index not in besides:
                found.append(index)
            index += 1
        return found

    def add(self, trial: Trial) -> None:
        """Count an ended trial."""
        self.take(trial.index)
        self.counts[trial.outcome] += 1
        self.flat += trial.reason == Reason.NO_CURVE
        self.reused += trial.reason == Reason.REUSED
        self.spent = total([self.spent, *trial.spent.values()])
        (self.leaders.add if _may_win(trial) else self.leaders.exclude)(trial)
        self._judge(trial)
        self._count_streak(trial)
        if trial.outcome is Outcome.FAILED or trial.reason == Reason.OUT_OF_MEMORY:
            self.failed[trial.index] = trial.retry  # out of memory as well: the template may have more by then
            self._group(trial)

    def _judge(self, trial: Trial) -> None:
        """Note whether the trial improved the best. Crashes, and trials that the sweep's end cut off, tell nothing of that."""
        if trial.outcome is Outcome.FAILED or trial.reason == Reason.SWEEP_ENDED:
            return
        value = self.aim.signs[0] * trial.value if _may_win(trial) and trial.value is not None else None
        self.improvement.add((trial.ended or 0.0, trial.index), value)

    def _count_streak(self, trial: Trial) -> None:
        """Failures count anywhere in the history; running out of memory only from its very start, since later it tells of a
        region of the space rather than of the sweep.
        """
        if trial.outcome is Outcome.STOPPED:
            return
        alike = likeness(trial)
        starting = trial.reason == Reason.OUT_OF_MEMORY and self.streak == self.ended - self.counts[Outcome.STOPPED] - 1
        if trial.outcome is not Outcome.FAILED and not starting:
            self.streak, self._alike = 0, None
            return
        self.streak = self.streak + 1 if alike == self._alike else 1
        self._alike = alike

    def _group(self, trial: Trial) -> None:
        key = likeness(trial)
        if key not in self.groups and len(self.groups) >= _REMEMBERED_GROUPS:
            key = ("Other", "")
        group = self.groups.setdefault(key, FailureGroup(reason=key[0], message="", where="", trial=trial.index))
        group.message, group.where, group.trial = trial.message, trial.where, trial.index
        group.count += 1
