"""Repeats: an assignment that is run with several seeds, and judged as one.

Owns the groups of equal assignments, what each is worth with which confidence, which of them leads, and which is to have its
next seed. Pure, and a function of the set of trials: nothing but their assignments says which belong together.

| of an assignment's repeats | then |
|---|---|
| some succeeded | its value is their mean |
| one failed | left out of the mean; the assignment gets no further seeds |
| one was stopped early | counts as the worst of those, or as its last value where that is worse; no further seeds |
| one is infeasible | the assignment is: who diverges with one seed of three is not to be relied on |
| one was cut off by the sweep's end | as if it had never been: it tells nothing, and is made up for if the sweep goes on |

Leaving out what was stopped would have an assignment judged by its lucky seeds alone.

The interval is Student's, of 95 %. A few repeats tell little of how far seeds scatter, so an assignment's own variance is shrunk
to that of all assignments, which counts as PRIOR more degrees of freedom (Smyth, 2004). So an assignment with a single seed has
an interval as well, a wide one; while no assignment has two, there is none.
"""

import math
from bisect import insort
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count as counting
from statistics import fmean

from hypersweep.core.improvement import End
from hypersweep.core.trial import Assignment, Outcome, Reason, Trial

TOP = 10
PRIOR = 3
# Student's t for 97.5 %, from one degree of freedom on.
_FEW = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281, 2.201)
_MORE = (2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.093, 2.086, 2.0796, 2.0739)
QUANTILES = (*_FEW, *_MORE)


@dataclass(frozen=True)
class Group:
    """The trials of one assignment. `number` orders groups; `sign`: -1 where larger is better."""

    number: int
    trials: tuple[Trial, ...]  # by index
    sign: float = 1.0

    @property
    def parameters(self) -> Assignment:
        return self.trials[0].parameters

    @property
    def good(self) -> tuple[Trial, ...]:
        """Those that count for the mean."""
        return tuple(t for t in self.trials if t.outcome is Outcome.SUCCEEDED)

    @property
    def told(self) -> tuple[Trial, ...]:
        """Those that tell something of the assignment, or will."""
        return tuple(t for t in self.trials if t.reason != Reason.SWEEP_ENDED)

    @property
    def open(self) -> bool:
        """Whether a repeat has not ended."""
        return any(t.outcome is Outcome.OPEN for t in self.trials)

    @property
    def sound(self) -> bool:
        """Whether no repeat ended otherwise than well."""
        return all(t.outcome in (Outcome.OPEN, Outcome.SUCCEEDED) for t in self.told)

    @property
    def may_win(self) -> bool:
        return bool(self.good) and not any(t.outcome is Outcome.INFEASIBLE for t in self.trials)

    @cached_property
    def mean(self) -> float:
        """Of those that succeeded or were stopped early."""
        results = [t.value or 0.0 for t in self.good]
        worst = max(results, key=lambda value: self.sign * value)
        return _mean([*results, *(self._at_worst(t, worst) for t in self.told if t.outcome is Outcome.STOPPED)])

    @cached_property
    def squares(self) -> float:
        """The squared deviations of those that succeeded from their mean, added up; infinite where they are too large."""
        results = [t.value or 0.0 for t in self.good]
        mean = _mean(results)
        return sum((value - mean) * (value - mean) for value in results)  # `**` would raise

    def _at_worst(self, stopped: Trial, worst: float) -> float:
        """What a stopped repeat counts as: it would hardly have become better than the worst of the others."""
        if stopped.value is None or not math.isfinite(stopped.value):
            return worst
        return max(worst, stopped.value, key=lambda value: self.sign * value)


def _mean(values: Sequence[float]) -> float:
    """Scaled by a power of two, which is exact: a sum of large values would overflow."""
    scale = 2.0 ** len(values).bit_length()
    return scale * fmean(value / scale for value in values)


def grouped(trials: Iterable[Trial], *, sign: float = 1.0, first: Sequence[Assignment] = ()) -> list[Group]:
    """Trials by equal assignments. Those in `first` are numbered by their place there, others after them, as first tried."""
    places = {_key(assignment): place for place, assignment in enumerate(first)}
    found: dict[Hashable, list[Trial]] = {}
    for trial in sorted(trials, key=lambda t: (t.index, t.run)):
        found.setdefault(_key(trial.parameters), []).append(trial)
    later = counting(len(first))
    numbered = [(places[key] if key in places else next(later), tuple(members)) for key, members in found.items()]
    return [Group(number, members, sign) for number, members in sorted(numbered, key=lambda n: n[0])]


def _key(assignment: Assignment) -> Hashable:
    return frozenset(assignment.items())


class Standings:
    """What groups are worth beside each other. `sign`: -1 where larger is better."""

    def __init__(self, groups: Sequence[Group], sign: float) -> None:
        self._sign = sign
        able = sorted((g for g in groups if g.may_win), key=lambda g: g.number)  # a sum depends on its order
        freedom = sum(len(group.good) - 1 for group in able)
        self._variance = sum(group.squares for group in able) / freedom if freedom else None
        self.ranked = sorted(able, key=lambda g: (self.pessimistic(g), sign * g.mean, g.number))

    def reach(self, group: Group) -> float:
        """Half the width of its interval; 0 while there is none."""
        if self._variance is None:
            return 0.0
        count = len(group.good)
        freedom = count - 1 + PRIOR
        variance = (group.squares + PRIOR * self._variance) / freedom
        return QUANTILES[min(freedom, len(QUANTILES)) - 1] * math.sqrt(variance / count)

    def pessimistic(self, group: Group) -> float:
        """The worse end of its interval, signed so that smaller is better: what it is ranked by."""
        return self._sign * group.mean + self.reach(group)

    def optimistic(self, group: Group) -> float:
        """The better end."""
        return self._sign * group.mean - self.reach(group)

    def as_trial(self, group: Group) -> Trial:
        """The group as one trial: the mean for its value, in the name of its first repeat that succeeded."""
        reach = self.reach(group)
        interval = (group.mean - reach, group.mean + reach) if self._variance is not None else None
        return replace(group.good[0], value=group.mean, repeats=len(group.good), interval=interval)


class Repeated:
    """Leaders (`leaders.py`) of a sweep with repeats, one objective. The first answer after an end costs O(assignments)."""

    front: Sequence[Trial] = ()

    def __init__(self, sign: float, count: int) -> None:
        self._sign, self._count = sign, count
        self._trials: dict[Hashable, list[Trial]] = {}
        self._groups: dict[Hashable, Group] = {}
        self._standings: Standings | None = None

    def add(self, trial: Trial) -> None:
        key = _key(trial.parameters)
        members = self._trials.setdefault(key, [])
        insort(members, trial, key=lambda t: t.index)
        self._groups[key] = Group(members[0].index, tuple(members), self._sign)
        self._standings = None

    exclude = add  # what may not win tells of its assignment all the same

    @property
    def assignments(self) -> int:
        return len(self._groups)

    @property
    def best(self) -> Trial | None:
        return next(iter(self.top), None)

    @property
    def top(self) -> Sequence[Trial]:
        standings = self._now()
        return [standings.as_trial(group) for group in standings.ranked[:TOP]]

    def reached(self, objective: int, value: float) -> Trial | None:
        """Only by the mean of an assignment that has all its repeats."""
        del objective
        standings = self._now()
        whole = (group for group in standings.ranked if len(group.good) >= self._count)
        found = next((group for group in whole if self._sign * group.mean <= self._sign * value), None)
        return standings.as_trial(found) if found is not None else None

    def led_since(self, tolerance: float) -> End | None:
        """When the best assignment, or an earlier one that is as good up to `tolerance`, had its first end. (Further seeds of
        it make its value surer, and are no improvement.)
        """
        standings = self._now()
        if not standings.ranked:
            return None
        bar = standings.pessimistic(standings.ranked[0]) + tolerance
        close = (group for group in standings.ranked if standings.pessimistic(group) <= bar)
        return min((trial.ended or 0.0, trial.index) for group in close for trial in group.told)

    def hypervolume(self) -> float | None:
        return None

    def _now(self) -> Standings:
        if self._standings is None:
            self._standings = Standings(list(self._groups.values()), self._sign)
        return self._standings


def next_repeat(
    groups: Sequence[Group], *, sign: float, count: int, racing: bool, exhausted: bool = False
) -> Group | None:
    """The assignment that is to be run with a further seed now; None: a new one is to be tried.

    Without racing, every assignment gets all its seeds at once. When racing, one seed after the other, and only a contender,
    whose interval reaches that of the best; no more trials are spent on further seeds than on new assignments, while
    there are any.
    """
    lacking = [group for group in groups if group.sound and len(group.told) < count]
    if not racing:
        return lacking[0] if lacking else None
    standings = Standings(groups, sign)
    spent = sum(len(group.trials) - 1 for group in groups)
    if not standings.ranked or (spent >= len(groups) and not exhausted):
        return None
    bar = standings.pessimistic(standings.ranked[0])
    contenders = [g for g in lacking if g.good and not g.open and standings.optimistic(g) <= bar]
    return min(contenders, key=lambda g: (sign * g.mean, g.number), default=None)


def as_one(group: Group) -> Trial:
    """A group as one trial, for whoever counts assignments: the mean for its value, or how it ended otherwise."""
    infeasible = [t for t in group.trials if t.outcome is Outcome.INFEASIBLE]
    if infeasible:
        return max(infeasible, key=lambda t: (t.violation, -t.index))
    if group.good:
        return replace(group.good[0], value=group.mean)
    if group.open:
        return next(t for t in group.trials if t.outcome is Outcome.OPEN)
    return max(group.trials, key=lambda t: (t.value is not None, t.index))
