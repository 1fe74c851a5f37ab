"""The journal: everything that a run is to receive, written down here before it is sent anywhere.

Owns one file of JSON lines that only grows, and beside it how many of them the server has taken. A process that is
killed leaves both; the next attempt sends what is left. A line that can't be read is left out, and costs no other; a
count that can't be read means that all is sent again. Sending twice does no harm: an entry keeps the time at which it was
measured, and MLflow's databases keep a point with the same step, time and value once (a folder of files that is written
without a server has it twice). Refuses to stop a training: what a full disk refuses is written once there is room, and
costs only what a process that is killed until then would have left.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

log = logging.getLogger(__name__)

# epoch, step, start, load: metrics. details: what the run's results rest on. tags, params: of the run. file: an artifact.
# end: a status.
Kind = Literal["epoch", "step", "start", "load", "details", "tags", "params", "file", "end"]
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

    def __init__(self, directory: Path | None, *, run: str | None, name: str = "journal") -> None:
        """Read what an earlier attempt left in `directory`; with another `run` than its, all of it is to be sent.

        `name` is that of the files, without their ends: two trainings in one directory need two. With None for a
        directory, all of it waits in memory.
        """
        self.directory = directory
        place = directory or Path()
        self._lines, self._progress = place / f"{name}.jsonl", place / f"{name}.sent"
        self._lock = threading.Lock()
        self._refused = False
        self.run, self._sent = run, 0
        self._rest = bytearray()  # what the file refused so far; it begins where the file ends, also within a line
        self._count = 0  # of lines, also of those that can't be read, or are not in the file yet
        self._pending: deque[tuple[int, Entry]] = deque()  # each with the number of lines up to it
        self._last: dict[Kind, int] = {}  # how far each curve has come
        self._try("read", lambda: self._resume(run))
        if self._refused:  # lines that can't be counted get none behind them
            self.directory = None

    def __len__(self) -> int:
        return len(self._pending)

    def append(self, entry: Entry) -> bool:
        """Write down, unless an earlier attempt did: whether it was new."""
        if entry.kind in ONCE and entry.step <= self._last.get(entry.kind, -1):
            return False
        self._last[entry.kind] = entry.step
        self._try("written", lambda: self._write(entry))
        with self._lock:
            self._pending.append((self._count, entry))
        return True

    def first(self, points: int) -> list[Entry]:
        """The entries to send next, with at most so many points of curves (but at least one entry)."""
        with self._lock:
            found = [entry for _, entry in islice(self._pending, points)]
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
                self._sent, _ = self._pending.popleft()
        self._note()

    def belongs_to(self, run: str) -> None:
        """The run that all of it goes to, from now on also in later attempts."""
        if self.run != run:
            self.run = run
            self._note()

    def sync(self) -> None:
        """Have the disk keep what was written, also if the machine goes down."""
        self._try("synced", self._sync)

    def _sync(self) -> None:
        with self._lines.open("ab") as file:
            os.fsync(file.fileno())

    def _write(self, entry: Entry) -> None:
        """Add what the file lacks: in one write, unless a disk is full, so that a kill tears no line."""
        self._rest += (json.dumps(entry) + "\n").encode()
        self._count += 1
        with self._lines.open("ab", buffering=0) as file:
            while self._rest:
                del self._rest[: file.write(self._rest)]

    def _read(self) -> list[Entry | None]:
        """An entry for each line; None for one that can't be read, which stays where it is."""
        self._lines.parent.mkdir(parents=True, exist_ok=True)
        content = self._lines.read_bytes() if self._lines.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:  # a process was killed while writing its last line
            os.truncate(self._lines, len(whole))
        entries = [_parsed(line) for line in whole.splitlines()]
        if lost := entries.count(None):
            log.warning("journal %s: %d of %d lines can't be read and are left out", self._lines, lost, len(entries))
        return entries

    def _resume(self, run: str | None) -> None:
        entries = self._read()
        noted, sent = self._noted()
        self.run = run or noted
        self._count = len(entries)
        self._sent = min(sent, self._count) if noted in (None, self.run) else 0
        for number, entry in enumerate(entries, start=1):
            if entry is None:
                continue
            self._last[entry.kind] = entry.step
            if number > self._sent:
                self._pending.append((number, entry))
        if sent > self._count:  # of lines that the disk never took; new ones come in their place
            self._write_progress()

    def _noted(self) -> tuple[str | None, int]:
        """A run, and how many lines it has; none if that can't be read."""
        if not self._progress.exists():
            return None, 0
        try:
            match json.loads(self._progress.read_bytes()):
                case {"run": str() | None as run, "sent": int(sent)}:
                    return run, sent
        except ValueError:
            pass
        log.warning("journal %s can't be read: all results are sent again", self._progress)
        return None, 0

    def _note(self) -> None:
        self._try("written", self._write_progress)

    def _write_progress(self) -> None:
        temporary = self._progress.with_suffix(".new")
        with temporary.open("w") as file:
            json.dump({"run": self.run, "sent": self._sent}, file)
            file.flush()
            os.fsync(file.fileno())  # a machine that goes down leaves this count, or the one before
        temporary.replace(self._progress)

    def _try(self, done: str, action: Callable[[], None]) -> None:
        if self.directory is None:
            return
        try:
            action()
        except (OSError, ValueError) as error:  # ValueError: what JSON can't spell
            if not self._refused:  # said once
                log.warning("journal %s can't be %s (%s); results wait in memory only", self._lines, done, error)
            self._refused = True


def _parsed(line: bytes) -> Entry | None:
    """The entry that was written as `line`; None if it is torn, or none of ours."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match found:
        case [str() as kind, int(), int(), dict()] if kind in get_args(Kind):
            return Entry(*found)
    return None
