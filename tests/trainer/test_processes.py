"""Several processes train what one trains: the same curve, one voice, and all stop together."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch

from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.options import read_job
from hypersweep_trainer.processes import join
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.tracking import MlflowTracker, open_tracker
from tests.trainer.runs import PROCESS_SECONDS, command, learn

# A last batch of 5, so that the parts of the two processes differ in size; and a batch in two parts besides.
SETTINGS = {"epochs": 12, "lr": 0.005, "batch_size": 52, "accumulate": 2, "weight_decay": 0.01, "ema": 0.9}
FLAGS = [f"--{name}={value}" for name, value in SETTINGS.items()]
THREADS_AT_THE_END = """
import sys
from pathlib import Path

from hypersweep_trainer.__main__ import main
from hypersweep_trainer.processes import Processes


def threads(when):
    names = sorted(file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm"))
    print(f"{when} {' '.join(names)}\\n", end="", flush=True)


leave = Processes.leave
Processes.leave = lambda processes: (threads("before"), leave(processes))
code = main(sys.argv[1:])
threads("after")
sys.exit(code)
"""
TOGETHER = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


def test_two_processes_have_the_curve_of_one_with_the_whole_batch_across_a_signal_to_either(tmp_path: Path) -> None:
    """As an Indexed Job whose second pod is told to stop, and then by torchrun: one curve, printed once.

    Both processes of the Job stop, and say so with their exit codes; the first has written the checkpoint.
    """
    first, second = pod(tmp_path, "0"), pod(tmp_path, "1")
    assert first.stdout is not None
    begun = "".join(heard_until(first.stdout, "epoch 2:"))
    second.send_signal(signal.SIGTERM)
    begun += first.communicate(timeout=PROCESS_SECONDS)[0]
    assert second.communicate(timeout=PROCESS_SECONDS)[0] == ""
    assert (first.returncode, second.returncode) == (143, 143)

    rest = by_torchrun(tmp_path)
    together, alone = epochs(begun + rest), learn(**SETTINGS)
    assert [both["epoch"] for both in together] == list(range(1, len(alone) + 1))
    assert 2 <= len(epochs(begun)) < len(alone)
    for one, both in zip(alone, together, strict=True):
        for name in ("train_loss", "val_loss", "val_accuracy", "val_auc", "lr"):
            assert both[name] == pytest.approx(one[name], rel=2e-4), name
    assert (begun + rest).count("baselines:") == 1


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads of torch have names in /proc alone")
def test_no_thread_of_the_group_is_left_when_the_training_is_over(tmp_path: Path) -> None:
    """It could abort the process while the interpreter ends: what was trained would count as a crash."""
    script = tmp_path / "train.py"
    script.write_text(THREADS_AT_THE_END)
    done = torchrun(str(script), "--epochs=2", "--baselines=false")
    assert done.returncode == 0, done.stderr
    before, after = (re.findall(rf"{when} .*", done.stdout) for when in ("before", "after"))
    assert len(before) == len(after) == 2
    assert all("gloo" in line for line in before)
    assert not any("gloo" in line for line in after), after


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param(
            {"WORLD_SIZE": "2"}, "WORLD_SIZE=2 without RANK (or JOB_COMPLETION_INDEX) and MASTER_ADDR", id="bare"
        ),
        pytest.param({**TOGETHER, "RANK": "2"}, "found RANK=2, allowed: less than WORLD_SIZE=2", id="rank-too-high"),
        pytest.param({**TOGETHER, "RANK": "-1"}, "found RANK='-1', allowed: a number", id="rank-below-0"),
        pytest.param({"WORLD_SIZE": "two"}, "found WORLD_SIZE='two', allowed: a number", id="size-in-words"),
    ],
)
def test_an_environment_that_does_not_say_all_is_refused(environment: dict[str, str], said: str) -> None:
    with pytest.raises(BadInputError, match=re.escape(said)):
        read_job([], environment)


def test_an_indexed_job_that_shares_nothing_trains_alone() -> None:
    """A completion index alone is no wish to train together."""
    job = read_job([], {"JOB_COMPLETION_INDEX": "3"})
    assert (job.rank, job.processes) == (0, 1)


def test_a_batch_that_is_too_small_to_share_is_refused() -> None:
    """Before anyone waits for the others."""
    with pytest.raises(BadInputError, match="batch_size: found 3 with 2 processes, allowed: at least 4"):
        join(1, 2, settings=Settings(batch_size=3), device=torch.device("cpu"))


def test_the_first_process_alone_reports() -> None:
    """Others neither print nor touch the run."""
    environment = {**TOGETHER, "MLFLOW_TRACKING_URI": "http://nowhere.invalid", "MLFLOW_RUN_ID": "r"}
    trackers = [open_tracker(read_job([], {**environment, "RANK": rank}), environment) for rank in "01"]
    assert isinstance(trackers[0], MlflowTracker)
    assert not isinstance(trackers[1], MlflowTracker)
    assert not trackers[1].aloud


def pod(checkpoints: Path, index: str) -> subprocess.Popen[str]:
    """One process, as the pod of an Indexed Job starts it."""
    environment = {**os.environ, **TOGETHER, "MASTER_PORT": port(checkpoints), "JOB_COMPLETION_INDEX": index}
    environment |= {"HYPERSWEEP_CHECKPOINT_DIR": str(checkpoints), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command(*FLAGS), env=environment, stdout=subprocess.PIPE, text=True)


def port(checkpoints: Path) -> str:
    """A free one, the same for both pods."""
    file = checkpoints.with_suffix(".port")
    if not file.exists():
        with socket.create_server(("127.0.0.1", 0)) as server:
            file.write_text(str(server.getsockname()[1]))
    return file.read_text()


def by_torchrun(checkpoints: Path) -> str:
    """What two processes print that torchrun starts."""
    done = torchrun("-m", "hypersweep_trainer", *FLAGS, HYPERSWEEP_CHECKPOINT_DIR=str(checkpoints))
    assert done.returncode == 0, done.stderr
    return done.stdout


def torchrun(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Two processes of it, to their end."""
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", *arguments]
    environment = {**os.environ, **environment}
    return subprocess.run(run, env=environment, capture_output=True, text=True, timeout=PROCESS_SECONDS, check=False)


def heard_until(lines: Iterable[str], start: str) -> Iterator[str]:
    """The lines up to the one that begins with `start`."""
    for line in lines:
        yield line
        if line.startswith(start):
            return


def epochs(output: str) -> list[dict[str, float]]:
    """The metrics that were printed, epoch by epoch."""
    lines = re.findall(r"^epoch (\d+): (.*)$", output, re.MULTILINE)
    return [
        {"epoch": float(number)} | {name: float(value) for name, value in (pair.split("=") for pair in text.split())}
        for number, text in lines
    ]
