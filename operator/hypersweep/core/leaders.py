"""Who leads a sweep: the best trial, the top list or the Pareto front, by what the sweep is after.

Owns the protocol, the choice, and the plain case of one objective. Whoever may win at all (`tally.py` says who) is added
once; the answer depends on the set of those added, never on their order.
"""

from collections.abc import Sequence
from typing import Protocol

from hypersweep.core.aim import Aim
from hypersweep.core.improvement import End
from hypersweep.core.pareto import Front
from hypersweep.core.repeats import TOP, Repeated
from hypersweep.core.trial import Trial


class Leaders(Protocol):
    """The leading trials of those added."""

    @property
    def assignments(self) -> int | None:
        """With repeats: how many assignments those added are of; None: each trial is one of its own."""
        ...

    def add(self, trial: Trial) -> None:
        """Count a trial with a finite value of each objective."""
        ...

    def exclude(self, trial: Trial) -> None:
        """Note a trial that ended and may not win."""
        ...

    @property
    def best(self) -> Trial | None:
        """The one to take."""
        ...

    @property
    def top(self) -> Sequence[Trial]:
        """At most TOP, best first; empty with several objectives."""
        ...

    @property
    def front(self) -> Sequence[Trial]:
        """At most `pareto.SHOWN` of those that no other is better than; empty with one objective."""
        ...

    def reached(self, objective: int, value: float) -> Trial | None:
        """A trial whose objective of that number is as good as `value`, if there is one."""
        ...

    def led_since(self, tolerance: float) -> End | None:
        """The end of the trial from which on the lead has been what it is, up to `tolerance`; None: as single values tell."""
        ...

    def hypervolume(self) -> float | None:
        """How much the front dominates; None with one objective, or before there is a reference point."""
        ...


def leaders(aim: Aim) -> Leaders:
    """Those of an empty sweep."""
    if len(aim.goals) > 1:
        return Front(aim.signs)
    return Repeated(aim.signs[0], aim.repeats) if aim.repeats > 1 else Podium(aim.signs[0])


class Podium:
    """One objective: the trials with the best values; ties go to the earlier trial. `sign`: -1 where larger is better."""

    assignments = None

    def __init__(self, sign: float) -> None:
        self._sign = sign
        self.top: list[Trial] = []
        self.front: Sequence[Trial] = ()

    def add(self, trial: Trial) -> None:
        self.top = sorted([*self.top, trial], key=lambda t: (self._sign * (t.value or 0.0), t.index))[:TOP]

    def exclude(self, trial: Trial) -> None:
        """It tells nothing of others."""

    @property
    def best(self) -> Trial | None:
        return self.top[0] if self.top else None

    def reached(self, objective: int, value: float) -> Trial | None:
        del objective
        best = self.best
        return best if best is not None and self._sign * (best.value or 0.0) <= self._sign * value else None

    def led_since(self, tolerance: float) -> None:
        """`improvement.py` knows."""

    def hypervolume(self) -> float | None:
        return None
