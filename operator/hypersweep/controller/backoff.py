"""Patience: the same thing tried again without effect waits longer each time. Owns no clock: `now` is handed in."""

import random
from collections.abc import Hashable

FIRST, MOST = 0.5, 60.0  # seconds
_FORGET_AFTER = 180.0  # seconds without a try
_CROWDED = 1000  # keys


class Backoff:
    """When each key may be tried again."""

    def __init__(self) -> None:
        self._crowded = _CROWDED
        self._tries: dict[Hashable, tuple[int, float]] = {}  # key -> (tries, when it may be tried next)

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds until the key may be tried; 0 when now."""
        _, due = self._tries.get(key, (0, now))
        return max(0.0, due - now)

    def tried(self, key: Hashable, now: float) -> None:
        """Note a try. The delay after it doubles each time, with jitter, up to a minute."""
        tries, _ = self._tries.get(key, (0, 0.0))
        delay = min(MOST, FIRST * 2**tries) * random.uniform(0.8, 1.2)  # noqa: S311  (spread, not secrecy)
        self._tries[key] = (min(tries + 1, 16), now + delay)
        if len(self._tries) > self._crowded:
            self._tries = {k: v for k, v in self._tries.items() if v[1] > now - _FORGET_AFTER}
            self._crowded = max(_CROWDED, 2 * len(self._tries))  # so that forgetting costs nothing on average

    def forget(self, key: Hashable) -> None:
        """The key had its effect: the next try is a first one."""
        self._tries.pop(key, None)
