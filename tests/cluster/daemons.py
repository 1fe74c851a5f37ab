"""Long-running processes that outlive the Python process which started them.

A `Daemon` is a name in a state directory: `daemons/NAME.json` holds its command and process id, `log/NAME.log` its
output. So any later process can look, stop it, or start it again with the same command. A process id counts only
together with the process's start time: ids are reused.
"""

import json
import os
import select
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

STOP_SECONDS = 10.0


class _Record(TypedDict):
    command: list[str]
    environment: dict[str, str]
    pid: int
    started: str


@dataclass(frozen=True)
class Daemon:
    """One named process of the cluster whose state lies in `state`."""

    state: Path
    name: str

    @property
    def log(self) -> Path:
        """The file that gets the process's output; appended to by every start."""
        return self.state / "log" / f"{self.name}.log"

    @property
    def _file(self) -> Path:
        return self.state / "daemons" / f"{self.name}.json"

    def pid(self) -> int | None:
        """The id of the process, if it runs."""
        record = self._read()
        if record is None:
            return None
        state, started = _state_and_start_time(record["pid"])
        if started != record["started"]:
            return None
        if state == "Z":
            _reap(record["pid"])
            return None
        return record["pid"]

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start `command` in a session of its own; nothing happens if the daemon runs already.

        Args:
            command: the program (an absolute path) and its arguments. Paths in it must be absolute.
            environment: variables to add to this process's own.
        """
        if self.pid() is not None:
            return
        for directory in (self.log.parent, self._file.parent):
            directory.mkdir(parents=True, exist_ok=True)
        pid = _spawn(command, {**os.environ, **(environment or {})}, self.log)
        started = _state_and_start_time(pid)[1]
        record = _Record(command=list(command), environment=dict(environment or {}), pid=pid, started=started)
        self._file.write_text(json.dumps(record, indent=1))

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End the process: SIGTERM, and SIGKILL if it still runs after `seconds`."""
        pid = self.pid()
        if pid is None:
            return
        handle = os.pidfd_open(pid)
        try:
            for number in (signal.SIGTERM, signal.SIGKILL):
                signal.pidfd_send_signal(handle, number)
                if select.select([handle], [], [], seconds)[0]:
                    break
        finally:
            os.close(handle)
        _reap(pid)

    def start_again(self) -> None:
        """Start the daemon as it was started last.

        Raises:
            FileNotFoundError: it never was.
        """
        record = self._read()
        if record is None:
            raise FileNotFoundError(f"{self.name} was never started in {self.state}")
        self.start(record["command"], record["environment"])

    def tail(self, lines: int = 20) -> str:
        """The last lines of the log, for an error message."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _read(self) -> _Record | None:
        if not self._file.exists():
            return None
        record: _Record = json.loads(self._file.read_text())
        return record


def _spawn(command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    # posix_spawn rather than Popen: nobody waits for these, and a Popen object warns when it is dropped unwaited.
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(command[0], list(command), dict(environment), file_actions=files, setsid=True)


def _state_and_start_time(pid: int) -> tuple[str, str]:
    """A process's state (Z is a zombie) and its start in clock ticks after boot; two empty strings if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    fields = stat.rpartition(")")[2].split()  # the command's name, in brackets before, may hold anything
    return fields[0], fields[19]


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):  # not ours: another process started it
        os.waitpid(pid, os.WNOHANG)
