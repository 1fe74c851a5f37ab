"""Starts operators by forking: a process that has imported everything makes another in milliseconds, not seconds.

For tests that kill it a hundred times; what starts is what `hypersweep operator --config FILE` runs. As a program it reads
orders from standard input, one JSON object a line, and answers each with the id of the process that it made; at the end of
its input it takes all of them down.
"""

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self


class ForkServer:
    """The server, as a test sees it."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", __name__]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(30)
        self._server.stdout.close()

    def start(self, *, config: Path, environment: dict[str, str], log: Path) -> "Process":
        """Another operator, told what to do by its configuration and environment."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        order = {"config": str(config), "environment": environment, "log": str(log)}
        print(json.dumps(order), file=self._server.stdin, flush=True)
        return Process(int(self._server.stdout.readline()))


class Process:
    """A process that is no child of ours."""

    def __init__(self, pid: int) -> None:
        self.pid, self._fd = pid, os.pidfd_open(pid)

    @property
    def runs(self) -> bool:
        return self._fd >= 0 and not select.select([self._fd], [], [], 0)[0]

    def kill(self) -> None:
        """kill -9, and return when it has ended: nothing of it is on its way any more."""
        if self._fd < 0:
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, signal.SIGKILL)
        select.select([self._fd], [], [], 10)
        os.close(self._fd)
        self._fd = -1


def _operator(order: dict[str, Any]) -> int:
    """The child: the operator, from here to its end."""
    from hypersweep.controller.config import load
    from hypersweep.controller.operator import run

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(order["environment"])
    with Path(order["log"]).open("ab") as log, Path(os.devnull).open("rb") as nothing:
        for target, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source.fileno(), target)
    return run(load(Path(order["config"])))


def main() -> None:
    """Serve until the end of the input."""
    import gc

    import hypersweep.controller.operator  # noqa: F401  (for its children)

    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead need no burial
    children = []
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                code = _operator(json.loads(line))
            except BaseException:  # noqa: BLE001  (said in the log; nothing of the parent may go on in the child)
                sys.excepthook(*sys.exc_info())
                code = 1
            os._exit(code)
        children.append(pid)
        print(pid, flush=True)
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
