"""Attempts as processes, without a sweep around them."""

import asyncio
import errno
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hypersweep.controller.world import TrackingTarget
from hypersweep.core.errors import LaunchDelayed, LaunchRefused
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Attempt, Trial
from hypersweep.local import world as local
from hypersweep.local.world import LocalWorld
from tests.local.test_run import alive

TRIAL = Trial(index=0, run="run", parameters={"lr": 0.5})
NOWHERE = TrackingTarget(uri="http://localhost:1", experiment="0")
DEAF = """
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("pid.new").write_text(str(os.getpid()))
os.replace("pid.new", "pid")
time.sleep(100)
"""


@asynccontextmanager
async def made(
    folder: Path, *command: str, env: Sequence[Mapping[str, object]] = ()
) -> AsyncIterator[tuple[LocalWorld, asyncio.Event]]:
    """A world whose trials are this command, with these variables, and an event that says when it has news."""
    container = {"name": "train", "image": "x", "command": list(command), "env": list(env)}
    spec = SweepSpec.model_validate(
        {
            "objectives": [{"metric": "loss", "goal": "Minimize"}],
            "parameters": [{"name": "lr", "type": "Float", "min": 0.1, "max": 0.9}],
            "job": {"template": {"spec": {"template": {"spec": {"containers": [container]}}}}},
        }
    )
    news = asyncio.Event()
    world = LocalWorld(
        spec=lambda: spec, name="sweep", search="s", folder=folder, wake=news.set, report=lambda _status, _events: None
    )
    try:
        yield world, news
    finally:
        await world.close()


async def the_pid(folder: Path) -> int:
    """Of the process that `DEAF` is, once it listens."""
    limit = time.monotonic() + 30
    while not (folder / "pid").exists():
        assert time.monotonic() < limit
        await asyncio.sleep(0.05)
    return int((folder / "pid").read_text())


def said(attempt: Attempt) -> list[str]:
    """The words in an attempt's log."""
    return Path(attempt.where).read_text().split()


async def gone(pid: int, *, looks: int = 100) -> bool:
    """Whether it goes within some seconds: it was killed, but whether it is collected is another's business."""
    for _ in range(looks):
        if not alive(pid):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_what_a_shell_started_is_killed_when_it_does_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell itself ends at SIGTERM; its trainer would keep the GPU, and the checkpoint, for ever."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "GRACE", 0.5)
    (tmp_path / "deaf.py").write_text(DEAF)
    async with made(tmp_path / "runs", "sh", "-c", f"{sys.executable} deaf.py; true") as (world, _):
        await world.launch(TRIAL, tracking=NOWHERE)
        pid = await the_pid(tmp_path)
    assert await gone(pid)


async def test_what_an_attempt_leaves_behind_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container: the next attempt has the machine to itself."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deaf.py").write_text(DEAF)
    command = f"{sys.executable} deaf.py & while [ ! -e pid ]; do sleep 0.05; done; exit 3"
    async with made(tmp_path / "runs", "sh", "-c", command) as (world, news):
        await world.launch(TRIAL, tracking=NOWHERE)
        async with asyncio.timeout(30):
            await news.wait()
        (attempt,) = world.attempts()
        assert attempt.exit_code == 3
        assert await gone(await the_pid(tmp_path))


async def test_a_script_that_the_machine_cannot_execute_is_refused(tmp_path: Path) -> None:
    """One without its first line, say: another try would fail the same, and nobody would hear of it."""
    script = tmp_path / "train.sh"
    script.write_text("python train.py\n")
    script.chmod(0o755)
    async with made(tmp_path / "runs", str(script)) as (world, _):
        with pytest.raises(LaunchRefused, match="Exec format error"):
            await world.launch(TRIAL, tracking=NOWHERE)


async def test_a_machine_that_has_no_room_for_a_process_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial is not to blame."""

    async def full(*_words: str, **_options: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", full)
    async with made(tmp_path / "runs", "true") as (world, _):
        with pytest.raises(LaunchDelayed, match="temporarily unavailable"):
            await world.launch(TRIAL, tracking=NOWHERE)


async def test_a_number_that_is_another_process_by_now_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash of the machine it may be anybody's: a trial of another sweep's, or one that we may not look at."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deaf.py").write_text(DEAF)
    async with made(tmp_path / "others", sys.executable, "deaf.py") as (world, _):
        await world.launch(TRIAL, tracking=NOWHERE)
        pid = await the_pid(tmp_path)
        before = tmp_path / "runs" / "trial-0000"
        before.mkdir(parents=True)
        (before / "attempt-1.log").touch()
        (before / "attempt-1.pid").write_text(str(pid))
        async with made(tmp_path / "runs", "true"):
            assert not await gone(pid, looks=10)
        (before / "attempt-1.pid").write_text(str(pid))
        real = Path.read_bytes

        def forbidden(path: Path) -> bytes:
            if path == Path(f"/proc/{pid}/environ"):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path)

        monkeypatch.setattr(Path, "read_bytes", forbidden)
        async with made(tmp_path / "runs", "true"):
            assert not (before / "attempt-1.pid").exists()
        monkeypatch.setattr(local, "GRACE", 0.1)


async def test_variables_refer_to_each_other_as_in_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To ours and to those before; what is unknown stays as it is, and an empty value is empty."""
    monkeypatch.chdir(tmp_path)
    env: list[dict[str, object]] = [
        {"name": "RATE", "value": "$(HP_LR)"},
        {"name": "TITLE", "value": "rate $(RATE) of $(HYPERSWEEP_SWEEP), $(LATER), $$(RATE)"},
        {"name": "LATER", "value": None},
        {"name": "HYPERSWEEP_SEED", "value": "4$(HYPERSWEEP_TRIAL)"},
    ]
    script = "import json, os; json.dump(dict(os.environ), open('seen.json', 'w'))"
    async with made(tmp_path / "runs", sys.executable, "-c", script, env=env) as (world, news):
        await world.launch(TRIAL, tracking=NOWHERE)
        async with asyncio.timeout(30):
            await news.wait()
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["RATE"] == "0.5"
    assert seen["TITLE"] == "rate 0.5 of sweep, $(LATER), $(RATE)"
    assert seen["LATER"] == ""
    assert seen["HYPERSWEEP_SEED"] == "40"


async def test_another_search_of_the_same_name_finds_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trial 0 has other parameters, and another run; each attempt of one run finds what the one before has left."""
    monkeypatch.chdir(tmp_path)
    script = """
import os, pathlib
place = pathlib.Path(os.environ["HYPERSWEEP_CHECKPOINT_DIR"]) / "checkpoint"
print("found", place.exists())
place.touch()
"""
    found = []
    for trial in (TRIAL, replace(TRIAL, attempt=2), replace(TRIAL, run="other")):
        async with made(tmp_path / "runs", sys.executable, "-c", script) as (world, news):
            await world.launch(trial, tracking=NOWHERE)
            async with asyncio.timeout(30):
                await news.wait()
            (attempt,) = world.attempts()
            found.append(said(attempt))
            assert len(attempt.usage) == 1
    assert found == [["found", "False"], ["found", "True"], ["found", "False"]]
