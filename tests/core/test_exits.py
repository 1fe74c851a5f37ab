"""What an exit code and a process's last words are taken for."""

import json

import pytest

from hypersweep.core.exits import LONGEST_MESSAGE, last_words, reason_of
from hypersweep.core.trial import Reason
from hypersweep_trainer.exits import ExitCode, termination_message

TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\n'


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        pytest.param(1, TRACEBACK + "ModuleNotFoundError: No module named 'x'", Reason.CRASHED, id="import error"),
        pytest.param(None, "", Reason.CRASHED, id="unknown code"),
        pytest.param(
            1,
            f"{TRACEBACK}mlflow.exceptions.MlflowException: Cannot start run with ID 0a1b because active experiment ID does "
            "not match environment run ID. Make sure --experiment-name or --experiment-id matches experiment set with …",
            Reason.WRONG_EXPERIMENT,
            id="MLflow, after set_experiment",
        ),
        pytest.param(137, "", Reason.CRASHED, id="killed, and nobody says that memory was the reason"),
        pytest.param(139, "", Reason.CRASHED, id="segmentation fault"),
        pytest.param(143, "", Reason.INTERRUPTED, id="SIGTERM"),
        pytest.param(
            1,
            f"{TRACEBACK}torch.distributed.elastic.multiprocessing.api.SignalException: Process 12 got signal: 15",
            Reason.INTERRUPTED,
            id="SIGTERM, by torchrun",
        ),
        pytest.param(
            1,
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
            Reason.OUT_OF_MEMORY,
            id="torch",
        ),
        pytest.param(
            1, "[rank1]: torch.cuda.OutOfMemoryError: CUDA", Reason.OUT_OF_MEMORY, id="torch, one of several ranks"
        ),
        pytest.param(1, TRACEBACK + "MemoryError", Reason.OUT_OF_MEMORY, id="Python"),
        pytest.param(
            1, "numpy._core._exceptions._ArrayMemoryError: Unable to allocate", Reason.OUT_OF_MEMORY, id="NumPy"
        ),
        pytest.param(1, "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when", Reason.OUT_OF_MEMORY, id="cuBLAS"),
        pytest.param(
            1,
            "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you",
            Reason.OUT_OF_MEMORY,
            id="torch on a CPU",
        ),
        pytest.param(1, "XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while", Reason.OUT_OF_MEMORY, id="JAX"),
        pytest.param(
            1, "ValueError: cannot set MemoryError as a label", Reason.CRASHED, id="speaks of it without having it"
        ),
    ],
)
def test_the_end_of_a_process_has_a_reason(code, message, reason):
    """Each way in which real libraries end is told apart."""
    assert reason_of(code, message) == reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ExitCode.BAD_INPUT, Reason.BAD_SETTINGS),
        (ExitCode.INFEASIBLE, Reason.NON_FINITE),
        (ExitCode.OUT_OF_MEMORY, Reason.OUT_OF_MEMORY),
        (ExitCode.INTERNAL, Reason.CRASHED),
        (ExitCode.STALLED, Reason.NO_PROGRESS),
        (ExitCode.UNDELIVERED, Reason.INTERRUPTED),
        (ExitCode.INTERRUPTED, Reason.INTERRUPTED),
    ],
)
def test_the_built_in_trainer_is_understood(code, reason):
    """The trainer and the operator share no code, but agree on what its exit codes mean."""
    assert reason_of(int(code), "") == reason


def test_last_words_begin_at_a_line_and_keep_the_end():
    """Of a long log the last whole lines are kept."""
    text = "\n".join(f"line {number}" for number in range(1000))
    words = last_words(text)
    assert len(words) <= LONGEST_MESSAGE
    assert words.startswith("line ")
    assert words.endswith("line 999")


def test_a_single_long_line_keeps_its_end():
    """A line longer than the limit is cut at its beginning, not dropped."""
    assert last_words("a" * 2000 + "the end") == "a" * (LONGEST_MESSAGE - 7) + "the end"


def test_the_built_in_trainers_message_is_told_in_words():
    """A person reads the error and the traceback, not the JSON around them."""
    message = termination_message(
        code=ExitCode.BAD_INPUT, step=0, metrics={}, error="settings.epochs: found -1, allowed 1 to 1000"
    )
    assert last_words(message) == "settings.epochs: found -1, allowed 1 to 1000"
    message = termination_message(
        code=ExitCode.INTERNAL, step=0, metrics={}, error="boom", detail=TRACEBACK + "RuntimeError: boom"
    )
    assert last_words(message) == (TRACEBACK + "RuntimeError: boom")


@pytest.mark.parametrize("text", ["{", "[1]", '"a"', "12", json.dumps({"error": "not the trainer's"})])
def test_other_json_is_left_as_it_is(text):
    """A user's program may end on JSON of its own."""
    assert last_words(text) == text


def test_last_words_of_nothing_but_brackets_are_last_words() -> None:
    """What looks like JSON thousands of levels deep ended the reading of the pod, and so the attempt never."""
    assert last_words("[" * 8192, limit=100) == "[" * 100
