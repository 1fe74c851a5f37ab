"""What a strategy is asked: everything that its answer may depend on, and nothing else.

Plain data, frozen. A strategy is a function `suggest(question) -> Assignment | None`; None means that all of the space has
been tried. Fields are only ever added, each with a default, so that strategies which others wrote go on working.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypersweep.core.aim import Goal
from hypersweep.core.space import Space
from hypersweep.core.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Question:
    """The assignment of trial number `trial` is wanted. The order of `history` and of `pending` has no meaning."""

    space: Space
    goals: tuple[Goal, ...]  # of each objective, in the spec's order
    history: Sequence[
        Trial
    ]  # trials that have ended, whatever their outcome; indices may have gaps, and those of a warm start
    # are below 0: runs of others, which tell what to expect and have not been tried here
    pending: Sequence[Trial]  # trials whose assignment is given and whose end is not known
    seed: int
    trial: int
    settings: Mapping[str, Any] = field(default_factory=dict)  # the strategy's own, checked; defaults are filled in

    @property
    def before(self) -> int:
        """How many of the history a warm start has brought."""
        return sum(t.index < 0 for t in self.history)

    @property
    def goal(self) -> Goal:
        """Of the first objective."""
        return self.goals[0]
