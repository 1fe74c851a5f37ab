"""How a training ends: its exit codes, the errors that lead to them, and the message left for Kubernetes.

Knows no torch, so that whoever starts the trainer can read its answers. Refuses to decide what an exit code means
for a trial: that is the starter's business.

    TrainerError
    ├── BadInputError     what the user wrote (settings, data, checkpoint directory) cannot work
    ├── CheckFailedError  `--check` found something broken
    ├── InfeasibleError   the training diverged
    ├── StalledError      nothing was completed for too long
    ├── UndeliveredError  trained to the end, but the tracking server took no results
    └── Interrupted       asked to stop before the end

Memory that runs out has no class of its own here: libraries raise theirs, and `exit_code` knows them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path

MESSAGE_LIMIT = 4096  # bytes: Kubernetes cuts a container's termination message there
KUBERNETES_MESSAGE = Path("/dev/termination-log")  # the default `terminationMessagePath` of a container


class ExitCode(IntEnum):
    """The exit codes of `python -m hypersweep_trainer`; 64 and up are those of `sysexits.h` where it has one."""

    DONE = 0
    BAD_INPUT = 64
    INFEASIBLE = 65
    OUT_OF_MEMORY = 66
    CHECK_FAILED = 67
    INTERNAL = 70
    STALLED = 71
    UNDELIVERED = 75
    INTERRUPTED = 143


MEANING: Mapping[ExitCode, str] = {
    ExitCode.DONE: "trained to the end, and every result delivered",
    ExitCode.BAD_INPUT: "settings, data or the checkpoint directory cannot work; the same again would fail the same",
    ExitCode.INFEASIBLE: "the loss is not finite any more: these parameters diverge",
    ExitCode.OUT_OF_MEMORY: "the host or the device refused memory (the kernel's own kill is 137)",
    ExitCode.CHECK_FAILED: "of `--check` alone: a check said FAIL",
    ExitCode.INTERNAL: "a defect of the trainer, or of its environment",
    ExitCode.STALLED: "nothing was completed for `stall_seconds`: the log says where each thread stood",
    ExitCode.UNDELIVERED: "trained to the end, but the tracking server took no results; "
    "another attempt with the same checkpoint directory only delivers them",
    ExitCode.INTERRUPTED: "SIGTERM or SIGINT; a checkpoint was written if there is a directory for it",
}


class TrainerError(Exception):
    """What ends a training before its time; `code` is the process's exit code."""

    code = ExitCode.INTERNAL
    detail = ""  # what the log says besides, such as a stack


class BadInputError(TrainerError):
    """The user's mistake: says where, what was found and what is allowed."""

    code = ExitCode.BAD_INPUT


class CheckFailedError(TrainerError):
    """`--check` found what a training would fail by."""

    code = ExitCode.CHECK_FAILED


class InfeasibleError(TrainerError):
    """The loss became NaN or infinite."""

    code = ExitCode.INFEASIBLE


class StalledError(TrainerError):
    """Nothing was completed for too long; `detail` is the stack of the main thread."""

    code = ExitCode.STALLED

    def __init__(self, message: str, *, detail: str = "") -> None:
        """What is said, and where it hung."""
        super().__init__(message)
        self.detail = detail


class UndeliveredError(TrainerError):
    """The tracking server did not take the results within the patience that the settings grant."""

    code = ExitCode.UNDELIVERED


class Interrupted(TrainerError):  # noqa: N818  # not an error: a wish
    """A signal asked the training to stop."""

    code = ExitCode.INTERRUPTED


# What libraries say when they run out of memory without a type of its own for it.
_MEMORY_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "_STATUS_ALLOC_FAILED")


def exit_code(error: BaseException) -> ExitCode:
    """The exit code that `error` leads to, whichever library raised it."""
    if isinstance(error, TrainerError):
        return error.code
    text = str(error)
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in text for words in _MEMORY_WORDS)
    ):
        return ExitCode.OUT_OF_MEMORY
    return ExitCode.INTERNAL


def reason(error: BaseException) -> str:
    """What went wrong, in one line of a log; libraries' messages have many."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


def message_path(environ: Mapping[str, str]) -> Path | None:
    """Where the termination message goes: HYPERSWEEP_TERMINATION_LOG, else the container's, else nowhere."""
    if chosen := environ.get("HYPERSWEEP_TERMINATION_LOG"):
        return Path(chosen)
    # Only where the kubelet has put the file: a laptop's /dev is not ours to fill.
    return KUBERNETES_MESSAGE if os.access(KUBERNETES_MESSAGE, os.W_OK) else None


def termination_message(
    *, code: ExitCode, step: int, metrics: Mapping[str, float], error: str | None = None, detail: str = ""
) -> str:
    """JSON of at most 4 KiB: `exit`, `done`, `step` (epochs completed), `metrics`, `error`, and the end of `detail`.

    `error` loses its end and `detail` (a traceback) its beginning until the whole fits. `metrics` are few: one epoch's.
    """
    fields: dict[str, object] = {"exit": code.name, "done": code is ExitCode.DONE, "step": step}
    fields["metrics"] = {name: value if math.isfinite(value) else repr(value) for name, value in metrics.items()}
    limit = MESSAGE_LIMIT
    while True:
        limit //= 2
        fields["error"] = error and error[:limit]
        if detail:
            fields["detail"] = detail[-limit:]
        text = json.dumps(fields)
        if len(text) <= MESSAGE_LIMIT or limit < 64:  # json.dumps writes ASCII: characters are bytes
            return text
