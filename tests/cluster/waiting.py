"""Waiting for a state with a deadline: what tests use where others sleep and hope.

Synchronous, for code that drives processes and command-line tools.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], *, what: str, seconds: float = 30.0, every: float = 0.1) -> T:
    """Call `look` until it returns something true, and return that.

    Args:
        look: observes; a false value means "not yet". What it raises is not caught.
        what: the awaited state in words, for the error.
        seconds: how long to wait at most.
        every: seconds between two looks.

    Raises:
        TimeoutError: the state did not come; the message holds `what` and the last thing seen.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}; last seen: {seen!r}")
        time.sleep(every)
