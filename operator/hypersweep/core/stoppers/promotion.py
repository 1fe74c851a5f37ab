"""Which paused trials may go on: those that are among the best of their rung by now.

Owns the order: the furthest rung first, and the best first there. What counts at a rung are the marks that all trials have
left there, paused, promoted, running and ended ones. Li et al., A System for Massively Parallel Hyperparameter Tuning, 2020.
"""

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hypersweep.core.stoppers.marks import Table


@dataclass(frozen=True, order=True)
class Waiting:
    """A paused trial: its loss at the rung where it waits."""

    loss: float
    trial: int


class Queues:
    """Those that wait, by rung, the best first: however many there are, only the first of each rung are looked at."""

    def __init__(self) -> None:
        self._rungs: dict[int, list[Waiting]] = defaultdict(list)

    def put(self, rung: int, one: Waiting) -> None:
        """A trial was paused."""
        insort(self._rungs[rung], one)

    def take_back(self, rung: int, one: Waiting) -> None:
        """It waits no more."""
        queue = self._rungs[rung]
        del queue[bisect_left(queue, one)]

    @property
    def furthest_first(self) -> Sequence[tuple[int, Sequence[Waiting]]]:
        """The rungs at which any waits."""
        return sorted(((rung, queue) for rung, queue in self._rungs.items() if queue), reverse=True)


def promotable(queues: Queues, table: Table, running: Mapping[int, Sequence[float]], *, factor: int) -> tuple[int, ...]:
    """The trials that may go on. `table`: the marks of ended and paused trials; `running`: the losses of open ones, by rung."""
    found: list[int] = []
    for rung, queue in queues.furthest_first:
        others = running.get(rung, ())
        best = max(1, (table.size(rung) + len(others)) // factor)
        for one in queue:
            if not math.isfinite(one.loss) or table.better(rung, one.loss) + sum(o < one.loss for o in others) >= best:
                break
            found.append(one.trial)
    return tuple(found)
