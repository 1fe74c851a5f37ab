"""What the end of a training process means: its exit code and its last words. The same in a container and on a laptop.

Owns the codes by which a trial, ours or the user's own, may say more than "failed" (64 to 66, 71 and 75; those that
sysexits.h has are as there). Refuses to decide what follows from a reason: that is decide's.
"""

import json
import re
from collections.abc import Mapping

from hypersweep.core.trial import Reason

LONGEST_MESSAGE = 1024  # characters of an attempt's last words that are kept

CODES: Mapping[int, Reason] = {
    64: Reason.BAD_SETTINGS,  # settings or data cannot work: the same again would fail the same
    65: Reason.NON_FINITE,  # the training diverged
    66: Reason.OUT_OF_MEMORY,  # the host or the device refused memory
    71: Reason.NO_PROGRESS,  # it hung, and ended itself: another attempt, which counts, since it may hang again
    75: Reason.INTERRUPTED,  # trained, but the tracking server did not take the results: no fault of the trial's
    143: Reason.INTERRUPTED,  # ended by SIGTERM, after a checkpoint where there is a place for one
}

# What follows from a reason for the trial's owner, where its last words alone would mislead.
ADVICE: Mapping[str, str] = {
    Reason.WRONG_EXPERIMENT: (
        "HyperSweep: the script calls mlflow.set_experiment with another experiment than the sweep's; "
        "take that call out, or name its experiment in spec.tracking.experiment"
    ),
}

# torchrun ends its ranks on SIGTERM, as it should, and then exits with 1.
_INTERRUPTED = re.compile(r"^[\w.]*SignalException: Process \d+ got signal: 15$", re.MULTILINE)

# MLflow's own refusal, from start_run.
_WRONG_EXPERIMENT = re.compile(r"Cannot start run with ID \S+ because active experiment ID does not match")

# What the libraries say that have no exit code for it: Python, NumPy, torch (CUDA, HIP, MPS, CPU), JAX, TensorFlow.
_NO_MEMORY = re.compile(
    r"^(\[rank\d+\]: ?)?[\w.]*(MemoryError|OutOfMemoryError|ResourceExhaustedError)\b"
    r"|(CUDA|HIP|MPS backend|XPU) out of memory"
    r"|CU(BLAS|DNN)_STATUS_ALLOC_FAILED"
    r"|DefaultCPUAllocator: (not enough|can't allocate) memory"
    r"|RESOURCE_EXHAUSTED: .*[Mm]emory",
    re.MULTILINE,
)


def reason_of(code: int | None, message: str) -> Reason:
    """Why a process that exited with `code`, other than 0, ended. A signal N is the code 128+N."""
    if code is not None and code in CODES:
        return CODES[code]
    if _INTERRUPTED.search(message):
        return Reason.INTERRUPTED
    if _WRONG_EXPERIMENT.search(message):
        return Reason.WRONG_EXPERIMENT
    return Reason.OUT_OF_MEMORY if _NO_MEMORY.search(message) else Reason.CRASHED


def last_words(text: str, *, limit: int = LONGEST_MESSAGE) -> str:
    """The end of a termination message or a log, from the beginning of a line where that leaves anything.

    What the built-in trainer leaves is JSON (`error`, `detail`); of that, what a person would read.
    """
    text = _told(text).strip()
    if len(text) <= limit:
        return text
    end = text[-limit:]
    return end.split("\n", 1)[-1] if "\n" in end else end


def _told(text: str) -> str:
    try:
        left = json.loads(text)
    except (ValueError, RecursionError):  # the latter of a log that ends in thousands of brackets
        return text
    if not isinstance(left, dict) or "exit" not in left:
        return text
    error, detail = str(left.get("error") or ""), str(left.get("detail") or "")
    return detail if error in detail else f"{detail}\n{error}"
