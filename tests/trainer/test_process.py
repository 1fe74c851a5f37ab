"""The trainer as a process: signals, memory limits, an account without a home, and what its start costs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hypersweep_trainer.checkpoint import Checkpoints
from hypersweep_trainer.exits import ExitCode
from tests.tracking.server import free_port
from tests.trainer.runs import PROCESS_SECONDS, command, run
from tests.trainer.test_resume import assert_equal, attempt, final

SETTINGS = {"width": 8, "dropout": 0.1, "optimizer": "sgd", "schedule": "constant"}
FLAGS = [f"--{name}={value}" for name, value in SETTINGS.items()]


def epoch_of(directory: Path) -> int:
    state = Checkpoints(directory).latest()
    assert state is not None
    epoch: int = state["training"]["epoch"]
    return epoch


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, ExitCode.INTERRUPTED), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_stopped_process_goes_on_and_ends_the_same(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """Stopped in the middle by a real signal, the trial ends with the weights of one that never was."""
    environment = {**os.environ, "HYPERSWEEP_CHECKPOINT_DIR": str(tmp_path / "trial")}
    with subprocess.Popen(
        command(*FLAGS, "--epochs=100000"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout
            next(line for line in process.stdout if line.startswith("epoch 3:"))
            process.send_signal(number)
            process.stdout.read()
            assert process.wait(PROCESS_SECONDS) == code
        finally:
            process.kill()
    budget = epoch_of(tmp_path / "trial") + 2
    attempt(tmp_path / "trial", budget=budget, **SETTINGS)
    attempt(tmp_path / "whole", budget=budget, **SETTINGS)
    one, other = final(tmp_path / "trial"), final(tmp_path / "whole")
    del one["training"]["settings"], other["training"]["settings"]  # the first attempt's `epochs` is another
    assert_equal(one, other)


def test_a_memory_limit_is_infeasible_not_a_crash() -> None:
    """A model that the host's memory can't hold ends with 66: nobody should repeat it unchanged."""
    limited = ["sh", "-c", 'ulimit -v 8000000; exec "$@"', "sh", *command("--width=65536", "--epochs=1")]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=PROCESS_SECONDS, check=False)
    assert done.returncode == ExitCode.OUT_OF_MEMORY, done.stderr
    assert "out_of_memory: RuntimeError" in done.stderr


def test_bad_settings_end_the_process_before_torch_is_imported() -> None:
    """64 and one line, in the time that a look takes."""
    done = run("--optimizer=adamm")
    assert (done.returncode, done.stdout) == (ExitCode.BAD_INPUT, "")
    assert done.stderr == (
        "ERROR: bad_input: command line: argument --optimizer: found 'adamm', allowed: sgd | adam | adamw | nadam | "
        "radam | rmsprop | rprop | lbfgs | adafactor | muon\n"
    )


LEAN = """
import sys
from hypersweep_trainer.__main__ import main
code = main(["--epochs=1", "--optimizer=rprop"])
print(code, sorted({"sympy", "torch._inductor", "sklearn", "pandas", "mlflow"} & set(sys.modules)))
import torch
print(torch._dynamo.explain.__module__, sys.modules["torch._dynamo"].__file__)
"""


def test_training_starts_without_what_it_does_not_use() -> None:
    """torch's compiler, scikit-learn and mlflow take 4 s of CPU each; and who asks for the compiler still gets it."""
    done = subprocess.run(
        [sys.executable, "-c", LEAN], capture_output=True, text=True, timeout=PROCESS_SECONDS, check=True
    )
    *_, imported, compiler = done.stdout.splitlines()
    assert imported == "0 []"
    assert re.fullmatch(r"torch\._dynamo\.\w+ .*/torch/_dynamo/__init__\.py", compiler)


STALE = """
import sys
import torch
from hypersweep_trainer.startup import defer_compiler
defer_compiler()
stand_in = sys.modules["torch._dynamo"]
torch._dynamo.exc
print(hasattr(stand_in, "no_such_name"), hasattr(sys.modules["torch._dynamo"], "exc"))
"""


def test_the_compiler_stays_whole_when_something_still_holds_its_stand_in() -> None:
    """Once loaded, the real one is not loaded a second time: that one would lack its parts."""
    done = subprocess.run(
        [sys.executable, "-c", STALE], capture_output=True, text=True, timeout=PROCESS_SECONDS, check=True
    )
    assert done.stdout.split() == ["False", "True"]


# A container as strict as they come: root file system read-only, /tmp alone writable, a user that no file knows, no
# capability but to read what the tests' user can read (its Python may lie in a closed home).
BARE = """
mount --make-rprivate / && mount --rbind / /mnt && mount -o remount,bind,ro /mnt && mount -o remount,bind,ro / &&
mount -t tmpfs -o size=256m tmpfs /tmp && for place in $OURS; do mkdir -p "$place" && mount --bind "/mnt$place" "$place"; done &&
exec setpriv --reuid=65532 --regid=65532 --clear-groups \
    --inh-caps=+dac_read_search --ambient-caps=+dac_read_search "$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a read-only root and another user")
@pytest.mark.skipif(not (shutil.which("unshare") and shutil.which("setpriv")), reason="needs unshare and setpriv")
def test_a_read_only_root_and_a_user_without_name_or_home_suffice() -> None:
    """It trains, writes checkpoints to /tmp, and mlflow gets as far as the server, which is not there."""
    variables = {
        "HYPERSWEEP_CHECKPOINT_DIR": "/tmp/checkpoints",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    ours = [Path(__file__).parents[2], Path(sys.prefix)]  # still to be seen where they lie in /tmp
    seen = " ".join(str(place) for place in ours if place.is_relative_to("/tmp"))
    bare = [
        "env",
        f"OURS={seen}",
        "unshare",
        "--mount",
        "sh",
        "-c",
        BARE,
        "sh",
        "env",
        "-i",
        *(f"{k}={v}" for k, v in variables.items()),
    ]
    done = subprocess.run(
        [*bare, *command("--epochs=2", "--tracking_patience=0")],
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS,
        check=False,
    )
    assert done.stdout.count("val_accuracy=") == 2, done.stderr
    assert done.returncode == ExitCode.UNDELIVERED, done.stderr
    assert "Connection refused" in done.stderr
    assert "checkpoint of epoch" not in done.stderr
