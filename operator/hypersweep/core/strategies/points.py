"""The points of a space when each parameter takes countably many values, in an order shuffled by a key.

Owns "the next point that no trial has had": exhaustive, without duplicates, and nothing is listed. Grid consists of it;
Random falls back on it where redrawing does not help.
"""

from collections.abc import Hashable, Iterable, Sequence
from collections.abc import Set as AbstractSet

from hypersweep.core.domain import Levels
from hypersweep.core.keyed import number, permuted
from hypersweep.core.space import Space
from hypersweep.core.trial import Assignment, Trial

LOOKS = 10_000  # points that are tested against constraints before the search for one is given up: about half a second


class Points:
    """Every assignment of the space, where dimension i takes the values `levels[i]`."""

    def __init__(self, space: Space, levels: Sequence[Levels]) -> None:
        self._space = space
        self._levels = levels
        self._ranking = space.ranking(levels)

    @property
    def size(self) -> int:
        """How many points there are, exactly; those that constraints rule out are among them."""
        return self._ranking.total

    def at(self, rank: int) -> Assignment:
        """The point of that rank, in canonical order and exact types."""
        chosen = self._ranking.at(rank)
        return {d.name: self._levels[i].at(chosen[i]) for i, d in enumerate(self._space.dimensions) if i in chosen}

    def unseen(self, seen: AbstractSet[Hashable], *, start: int, key: tuple[int | str, ...]) -> Assignment | None:
        """The first point not in `seen`, from number `start` of the shuffled order on, and round. None: there is none.

        Looks at no more than len(seen) + 1 points: they are all different. With constraints, which may rule out any of
        them, at LOOKS more: where that is not all, None means that it has given up.
        """
        looks = len(seen) + (LOOKS if self._space.constraints else 1)
        if self._space.constraints:
            start = number(start, *key)  # neighbours would look at the same points before they find one
        for step in range(min(self.size, looks)):
            rank = permuted((start + step) % self.size, size=self.size, key=key)
            point = self.at(rank)
            if self._space.key(point) not in seen and self._space.meets(point):
                return point
        return None


def tried(space: Space, trials: Iterable[Trial]) -> set[Hashable]:
    """Keys of the assignments that these trials have, but for a warm start's: their results are not this sweep's."""
    return {space.key(t.parameters) for t in trials if t.index >= 0}
