"""How long ago the best improved: counted in trials, by when they ended, whatever the order in which they are told.

Owns the records, which are the trials better than all that ended before them, and the ends of all trials. Both are
functions of the set of trials, so that a ledger read anew gives the same answer as a loop that was told one by one.
"""

from bisect import bisect_right, insort

End = tuple[float, int]
"""When a trial ended (seconds since the epoch), and its index: no two are alike."""


class Improvement:
    """The records of one direction. Values are signed by the caller: smaller is better."""

    def __init__(self) -> None:
        self._ends: list[End] = []  # of all trials, in order
        self._records: list[End] = []  # of those that were better than all before them …
        self._values: list[float] = []  # … and how good they were: each better than the one before

    def add(self, end: End, value: float | None) -> None:
        """Count a trial; `value` is None where it ended without one that may win."""
        insort(self._ends, end)
        place = bisect_right(self._records, end)
        if value is None or (place > 0 and value >= self._values[place - 1]):
            return
        beaten = next((i for i in range(place, len(self._values)) if self._values[i] < value), len(self._values))
        self._records[place:beaten], self._values[place:beaten] = [end], [value]

    def trials_after(self, end: End) -> int:
        """How many have ended after that one."""
        return len(self._ends) - bisect_right(self._ends, end)

    def trials_since(self, tolerance: float) -> int:
        """How many of the newest trials improved the best by no more than `tolerance`, all of them taken together.

        Counted from the earliest trial that was already that close to the best; 0 while none has a value.
        """
        for end, value in zip(self._records, self._values, strict=True):
            if value <= self._values[-1] + tolerance:
                return self.trials_after(end)
        return 0
