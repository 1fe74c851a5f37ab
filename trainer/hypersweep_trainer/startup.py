"""What a process needs before torch and mlflow are imported: signals, a home, short timeouts, no needless imports.

Owns the process's environment and signal handlers. Imports neither torch nor mlflow at module level.
"""

from __future__ import annotations

import getpass
import importlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from types import FrameType, ModuleType
from typing import Any

from hypersweep_trainer.exits import ExitCode

DEFAULTS = {
    # A tracking server that is away may cost each request twice 5 s, not the 4 minutes of mlflow's own defaults.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # a training container has no business with other servers
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it CUDA's matrix products are not reproducible
}


class Interruption:
    """SIGTERM and SIGINT: they end the process at once, or set `requested` once training has turned `graceful` on.

    Installed first of all, because a container's first process ignores a SIGTERM for which it has no handler.
    """

    def __init__(self) -> None:
        """Take over both signals; only the main thread may."""
        self.requested = False
        self.graceful = False
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        if not self.graceful:
            raise SystemExit(int(ExitCode.INTERRUPTED))  # not an Exception, which an import may swallow


def prepare(environ: MutableMapping[str, str]) -> None:
    """Give libraries what they expect of a user account, and our defaults where the user set nothing.

    A container's user often has no passwd entry and no writable home; torch asks for the one, caches go to the other.
    """
    for name, value in DEFAULTS.items():
        environ.setdefault(name, value)
    try:
        getpass.getuser()
    except (KeyError, OSError):  # KeyError up to Python 3.12, OSError since
        environ["USER"] = "hypersweep"
    if not os.access(os.path.expanduser("~"), os.W_OK):  # noqa: PTH111  # Path raises where there is no home
        with suppress(FileNotFoundError):  # nowhere to write at all: the tracker says so
            environ["HOME"] = tempfile.gettempdir()


class CompilerStandIn(ModuleType):
    """Stands for `torch._dynamo` until something of the real one is asked for.

    torch's optimizers import its compiler in each process (4 s of CPU and 100 MB: dynamo, inductor, sympy) for two
    functions that do nothing where nothing is compiled. These two are here; any other name loads the real module.
    """

    @staticmethod
    def disable(function: Callable[..., Any], *_args: object, **_options: object) -> Callable[..., Any]:
        """Nothing is compiled: there is nothing to disable."""
        return function

    @staticmethod
    def graph_break() -> None:
        """Nothing is compiled: there is no graph."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:  # the real one, loaded anew, would lack what it has loaded
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def defer_compiler() -> None:
    """Let a process start without torch's compiler; to be called before the first optimizer is made."""
    sys.modules.setdefault("torch._dynamo", CompilerStandIn("torch._dynamo"))
