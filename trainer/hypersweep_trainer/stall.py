"""The no-progress deadline: ends a process in which nothing is completed any more.

A data loader that hangs, a network file system that is gone, processes that wait for one that died: nothing raises an
error, and a trial would keep its place and its GPU for ever. A thread counts, and at the deadline says where every thread
stands and ends the process. Refuses to clean up without a bound, since what hung the training may hang that, too; and to
judge how long a step may take: the deadline is the user's.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypersweep_trainer.exits import StalledError

log = logging.getLogger(__name__)

TICK = 5.0  # seconds between looks, at most
CLEANUP_SECONDS = (
    25.0  # for last words and last results: a part of Kubernetes' grace period, though nobody waits for it
)


class Watchdog:
    """Counts the seconds since the last `beat`; without `seconds`, it does nothing."""

    def __init__(self, seconds: float = 0.0, *, ended: Callable[[StalledError], None] = lambda _: None) -> None:
        """Begin. At the deadline `ended` is called, once, from a thread of its own."""
        self._seconds, self._ended = seconds, ended
        self._beats = 0
        self._closed = threading.Event()
        if seconds:
            threading.Thread(target=self._work, name="watchdog", daemon=True).start()

    def beat(self) -> None:
        """Something was completed."""
        self._beats += 1

    def close(self) -> None:
        """Nothing is watched any more."""
        self._closed.set()

    def _work(self) -> None:
        tick = min(TICK, self._seconds / 4)
        idle, seen = 0.0, self._beats
        # Looks are counted, not the clock read: a process that was paused meanwhile has not hung.
        while idle < self._seconds:
            if self._closed.wait(tick):
                return
            idle, seen = (idle + tick if self._beats == seen else 0.0), self._beats
        where = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001  # documented, and the only way
        stack = "".join(traceback.format_stack(where))
        self._ended(StalledError(f"nothing was completed for {self._seconds:g} s (stall_seconds)", detail=stack))


@contextmanager
def watchdog(seconds: float, *, last_words: Callable[[StalledError], None]) -> Iterator[Watchdog]:
    """One for as long as the block runs. At the deadline the process ends, after `last_words`, with StalledError's code."""

    def end(error: StalledError) -> None:
        faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)
        within(CLEANUP_SECONDS, lambda: last_words(error))
        os._exit(int(error.code))  # sys.exit would wait for the threads that hang

    made = Watchdog(seconds, ended=end)
    try:
        yield made
    finally:
        made.close()


def within(seconds: float, action: Callable[[], None]) -> bool:
    """Whether `action` came to its end in so many seconds; after them it is left alone."""
    thread = threading.Thread(target=action, name="last words", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()
