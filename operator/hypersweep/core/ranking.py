"""Counting the assignments of a conditional space, and finding the one of a given rank, without listing any.

Owns the dynamic programme over the `when` graph. Knows levels (0, 1, … of each parameter), never values.

Parameters are visited parents first. What the choices so far mean to the rest is a bit mask, of the parameters still to
come that some condition has ruled out; the number of ways to go on is a function of (place in the order, mask).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from operator import or_

from hypersweep.core.errors import Problem, SpecError

MOST_STATES = 100_000  # half a second's work; what people write needs a few hundred

Rule = tuple[int, Sequence[range]]  # (parent, its levels for which the condition holds)
Segment = tuple[
    range, int
]  # neighbouring levels of a parent, and the later places (bits of a mask) that each rules out


@dataclass(frozen=True)
class _Place:
    """A parameter in visiting order, and the later places that its levels rule out."""

    parameter: int
    levels: int
    segments: tuple[Segment, ...]  # all levels, ascending; empty: the parameter is nobody's parent
    absent: int  # ruled out where the parameter is inactive itself: all that have a condition on it

    @cached_property
    def groups(self) -> Mapping[int, int]:
        """How many levels rule out the same."""
        groups: Counter[int] = Counter()
        for levels, ruled_out in self.segments:
            groups[ruled_out] += _length(levels)
        return groups


class Ranking:
    """Ranks of the assignments in which parameter i, where all of `rules[i]` hold, takes one of `levels[i]` levels."""

    def __init__(self, levels: Sequence[int], rules: Sequence[Sequence[Rule]]) -> None:
        order = _visiting_order(rules)
        self._places = [_place(parameter, order, levels, rules) for parameter in order]
        self._ways: dict[tuple[int, int], int] = {}

    @cached_property
    def total(self) -> int:
        """How many assignments there are. SpecError: the conditions are too entangled to count."""
        return self._count(0, 0)

    def at(self, rank: int) -> dict[int, int]:
        """The assignment of that rank, 0 ≤ rank < total: the level of each active parameter."""
        if not 0 <= rank < self.total:
            raise IndexError(f"no rank {rank}: there are {self.total}")
        levels: dict[int, int] = {}
        mask = 0
        for number, place in enumerate(self._places):
            if mask >> number & 1:
                mask |= place.absent
            elif not place.segments:
                levels[place.parameter], rank = divmod(rank, self._count(number + 1, mask))
            else:
                levels[place.parameter], mask, rank = self._descend(number, mask, rank)
        return levels

    def _descend(self, number: int, mask: int, rank: int) -> tuple[int, int, int]:
        """The level of a parent at which the rank lies, the mask with it, and the rank within it."""
        for levels, ruled_out in self._places[number].segments:
            ways = self._count(number + 1, mask | ruled_out)
            if rank < ways * _length(levels):
                return levels.start + rank // ways, mask | ruled_out, rank % ways
            rank -= ways * _length(levels)
        raise IndexError(f"rank {rank} is beyond the last level of parameter {self._places[number].parameter}")

    def _count(self, number: int, mask: int) -> int:
        """Ways to go on from a place. Bits behind it are dropped, so that equal futures share one entry."""
        if number == len(self._places):
            return 1
        state = number, mask >> number
        if state not in self._ways:
            ways = self._sum(number, mask)
            if len(self._ways) >= MOST_STATES:
                raise SpecError([Problem("spec.parameters", _ENTANGLED)])
            self._ways[state] = ways
        return self._ways[state]

    def _sum(self, number: int, mask: int) -> int:
        place = self._places[number]
        if mask >> number & 1:
            return self._count(number + 1, mask | place.absent)
        if not place.segments:
            return place.levels * self._count(number + 1, mask)
        return sum(times * self._count(number + 1, mask | out) for out, times in place.groups.items())


_ENTANGLED = (
    f"found conditions that depend on each other in more than {MOST_STATES:,} ways, too many to count the space; "
    "allowed: fewer parents that share children"
)


def _place(parameter: int, order: Sequence[int], levels: Sequence[int], rules: Sequence[Sequence[Rule]]) -> _Place:
    children = [
        (1 << number, holds)
        for number, child in enumerate(order)
        for parent, holds in rules[child]
        if parent == parameter
    ]
    return _Place(
        parameter=parameter,
        levels=levels[parameter],
        segments=tuple(_segments(levels[parameter], children)) if children else (),
        absent=_union(bit for bit, _ in children),
    )


def _segments(levels: int, children: Sequence[tuple[int, Sequence[range]]]) -> Iterator[Segment]:
    """The levels, cut where a condition begins or ceases to hold: few pieces, also of 2^53 levels."""
    edges = {edge for _, holds in children for part in holds for edge in (part.start, part.stop) if 0 < edge < levels}
    for start, stop in pairwise([0, *sorted(edges), levels]):
        yield range(start, stop), _union(bit for bit, holds in children if not any(start in part for part in holds))


def _length(levels: range) -> int:
    """`len` cannot tell more than 2^63."""
    return levels.stop - levels.start


def _union(bits: Iterable[int]) -> int:
    return reduce(or_, bits, 0)


def _visiting_order(rules: Sequence[Sequence[Rule]]) -> list[int]:
    """Parents before children, and each family finished before the next, so that few conditions are open at a time."""
    parents = [{parent for parent, _ in rule} for rule in rules]
    waiting = set(range(len(rules)))
    order: list[int] = []
    while waiting:
        visited = set(order)
        ready = [i for i in waiting if parents[i] <= visited]
        begun = Counter(p for i in waiting if parents[i] & visited for p in parents[i])  # whose children are half known
        _, _, chosen = min((not parents[i], -begun[i], i) for i in ready)
        order.append(chosen)
        waiting.remove(chosen)
    return order
