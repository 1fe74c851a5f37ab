"""A circuit breaker: a server that is down is asked now and then, not by every sweep at every look.

Closed, every request passes. After `failures` transient failures in a row it opens: requests fail at once, until a
jittered pause has gone by; then one probe passes, and its end decides. Knows no HTTP; time comes from outside.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypersweep.core.errors import TrackingRefused, TrackingUnavailable


class Breaker:
    """One server's health. `down_since` (seconds since the epoch) and `error` speak of the present failure, if any."""

    def __init__(
        self,
        *,
        failures: int = 3,
        first: float = 1.0,
        longest: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.down_since: float | None = None
        self.error = ""
        self._allowed, self._first, self._longest = failures, first, longest
        self._clock, self._jitter = clock, jitter
        self._failures = 0
        self._pause = first
        self._next_probe: float | None = None  # None: closed
        self._probing = False

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around one request: refuses it while open, and learns from how it ends."""
        probe = self._enter()
        try:
            yield
        except TrackingUnavailable as failure:
            self._failed(str(failure), probe=probe)
            raise
        except TrackingRefused:
            self._answered()
            raise
        else:
            self._answered()
        finally:
            if probe:  # also when cancelled: the next request probes instead
                self._probing = False

    def note(self, error: str) -> None:
        """Record a failure that no pause will mend, such as refused credentials; the breaker stays closed."""
        self.down_since = self.down_since or time.time()
        self.error = error

    def _enter(self) -> bool:
        """Let a request pass; True when it is the probe of an open breaker."""
        if self._next_probe is None:
            return False
        if self._probing or self._clock() < self._next_probe:
            raise TrackingUnavailable(self.error)
        self._probing = True
        return True

    def _answered(self) -> None:
        self.down_since, self.error = None, ""
        self._failures, self._pause, self._next_probe = 0, self._first, None

    def _failed(self, error: str, *, probe: bool) -> None:
        self.note(error)
        self._failures += 1
        if self._failures < self._allowed or (self._next_probe is not None and not probe):
            return
        self._next_probe = self._clock() + self._pause * self._jitter(0.5, 1.0)
        self._pause = min(self._pause * 2, self._longest)
