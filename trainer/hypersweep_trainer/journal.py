"""The journal: everything that a run is to receive, written down here before it is sent anywhere.

Owns one file of JSON lines that only grows, and beside it how many of them the server has taken. A process that is
killed leaves both; the next attempt sends what is left. Sending twice does no harm: MLflow keeps a point of a curve
once, since the time at which it was measured is a part of it. Refuses to stop a training: a disk that takes nothing
costs only what a killed process would have left.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

log = logging.getLogger(__name__)

# epoch, step, start, load: metrics. details: what the run's results rest on. file: an artifact. end: a status.
Kind = Literal["epoch", "step", "start", "load", "details", "file", "end"]
METRICS = frozenset({"epoch", "step", "start", "load"})
ONCE = METRICS - {"load"} | {"details"}  # an attempt that repeats a step does not report it again


class Entry(NamedTuple):
    """One line: `when` in milliseconds since the epoch of Unix, `content` as its kind has it."""

    kind: Kind
    step: int
    when: int
    content: Mapping[str, Any]


class Journal:
    """What is to be sent, in order. One thread appends, another takes from the front."""

    def __init__(self, directory: Path, *, run: str | None, name: str = "journal") -> None:
        """Read what an earlier attempt left in `directory`; with another `run` than its, all of it is to be sent.

        `name` is that of the files, without their ends: two trainings in one directory need two.
        """
        self.directory = directory
        self._lines, self._progress = directory / f"{name}.jsonl", directory / f"{name}.sent"
        self._lock = threading.Lock()
        self._refused = False
        entries, self.run, self._sent = [], run, 0
        with self._tolerant("read"):
            entries = self._read()
            self._resume(run)
        self._pending = deque(entries[self._sent :])
        self._last = {entry.kind: entry.step for entry in entries}  # how far each curve has come

    def __len__(self) -> int:
        return len(self._pending)

    def append(self, entry: Entry) -> bool:
        """Write down, unless an earlier attempt did: whether it was new."""
        if entry.kind in ONCE and entry.step <= self._last.get(entry.kind, -1):
            return False
        self._last[entry.kind] = entry.step
        with self._tolerant("written"), self._lines.open("ab", buffering=0) as file:
            file.write((json.dumps(entry) + "\n").encode())  # one write: whole, or torn only by the machine's end
        with self._lock:
            self._pending.append(entry)
        return True

    def first(self, points: int) -> list[Entry]:
        """The entries to send next, with at most so many points of curves (but at least one entry)."""
        with self._lock:
            found = list(islice(self._pending, points))
        total = 0
        for index, entry in enumerate(found):
            total += len(entry.content) if entry.kind in METRICS else 0
            if index and total > points:
                return found[:index]
        return found

    def taken(self, count: int) -> None:
        """The first `count` entries have arrived."""
        with self._lock:
            for _ in range(count):
                self._pending.popleft()
        self._sent += count
        self._note()

    def belongs_to(self, run: str) -> None:
        """The run that all of it goes to, from now on also in later attempts."""
        if self.run != run:
            self.run = run
            self._note()

    def sync(self) -> None:
        """Have the disk keep what was written, also if the machine goes down."""
        with self._tolerant("synced"), self._lines.open("ab") as file:
            os.fsync(file.fileno())

    def _read(self) -> list[Entry]:
        self.directory.mkdir(parents=True, exist_ok=True)
        content = self._lines.read_bytes() if self._lines.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:  # a process was killed while writing its last line
            os.truncate(self._lines, len(whole))
        return [Entry(*json.loads(line)) for line in whole.splitlines()]

    def _resume(self, run: str | None) -> None:
        if self._progress.exists():
            noted = json.loads(self._progress.read_text())
            self.run = run or noted["run"]
            self._sent = noted["sent"] if noted["run"] in (None, self.run) else 0

    def _note(self) -> None:
        with self._tolerant("written"):
            temporary = self._progress.with_suffix(".new")
            temporary.write_text(json.dumps({"run": self.run, "sent": self._sent}))
            temporary.replace(self._progress)

    @contextmanager
    def _tolerant(self, done: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: lines that are not ours
            if not self._refused:  # said once
                log.warning("journal %s can't be %s (%s); results wait in memory only", self._lines, done, error)
            self._refused = True
