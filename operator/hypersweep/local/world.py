"""The world of a laptop: a subprocess for each attempt, a log file for each subprocess.

Implements the World protocol of the controller. Owns the processes and the folder of logs; images, volumes and everything
else of a Job that only a cluster has is left aside (`ignored` names it, for one warning).
"""

import asyncio
import errno
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypersweep.controller.world import TrackingTarget
from hypersweep.core.environment import YIELDING, arguments, environment
from hypersweep.core.errors import LaunchDelayed, LaunchRefused
from hypersweep.core.events import Event
from hypersweep.core.exits import last_words, reason_of
from hypersweep.core.resources import Amounts, requested
from hypersweep.core.spec import SweepSpec, seconds
from hypersweep.core.trial import Attempt, Phase, Reason, Trial
from hypersweep.local import usage

log = logging.getLogger(__name__)

GRACE = 10.0  # seconds between SIGTERM and SIGKILL
LOOK = 0.05  # seconds between looks at whether a group of processes has gone
LAST_WORDS = 4096  # bytes of a failed attempt's log that are kept as its message
_PASSING = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}  # the machine is full; all else is the command's
_PLACES = {"MLFLOW_TRACKING_URI", "HYPERSWEEP_CHECKPOINT_DIR"}
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


@dataclass
class _Process:
    """One attempt: its record and, while it runs, its process."""

    attempt: Attempt
    log: Path
    process: asyncio.subprocess.Process | None = None
    watcher: asyncio.Task[None] | None = field(default=None, repr=False)


class LocalWorld:
    """Attempts as processes of this machine."""

    def __init__(
        self,
        *,
        spec: Callable[[], SweepSpec],
        name: str,
        search: str,
        folder: Path,
        wake: Callable[[], None],
        report: Callable[[Mapping[str, Any], Sequence[Event]], None],
    ) -> None:
        self.folder = folder
        self._spec, self._name, self._search, self._wake, self._report = spec, name, search, wake, report
        self._processes: dict[tuple[int, int], _Process] = {}
        folder.mkdir(parents=True, exist_ok=True)
        _end_leftovers(folder)

    def attempts(self) -> Sequence[Attempt]:
        return [p.attempt for p in self._processes.values()]

    def image(self) -> str:
        return ""  # processes run what is installed here

    async def check(self) -> None:
        """The command exists."""
        command = command_of(self._spec())
        if not command:
            raise LaunchRefused("the training container has no command: on a laptop the image's own is not known")
        try:
            reserved(self._spec())
        except ValueError as error:
            raise LaunchRefused(f"the training container's resources: {error}") from None

    async def launch(self, trial: Trial, *, tracking: TrackingTarget) -> None:
        key = (trial.index, trial.attempt)
        if key in self._processes:
            return
        spec = self._spec()
        # By its run as well: another search of this name has a trial of this number, and must not find its checkpoint.
        place = self.folder / f"trial-{trial.index:04d}-{trial.run[:8]}"
        checkpoints = _checkpoints(place)
        checkpoints.mkdir(parents=True, exist_ok=True)
        ours = environment(
            spec=spec,
            sweep=self._name,
            identity=self._search,
            trial=trial,
            tracking=tracking,
            checkpoints=str(checkpoints),
        )
        theirs = _own_environment(spec, ours)
        variables = {**theirs, **ours, **{name: theirs[name] for name in theirs.keys() & (YIELDING - _PLACES)}}
        command = [expand(part, variables) for part in command_of(spec)] + arguments(spec, trial.parameters)
        path = place / f"attempt-{trial.attempt}.log"
        with path.open("ab") as out:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdout=out,
                    stderr=asyncio.subprocess.STDOUT,
                    stdin=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                    env={**os.environ, "PYTHONUNBUFFERED": "1", "HYPERSWEEP_TERMINATION_LOG": os.devnull, **variables},
                )
            except OSError as error:
                kind = LaunchDelayed if error.errno in _PASSING else LaunchRefused
                raise kind(f"{command[0]}: {error.strerror}") from None
        path.with_suffix(".pid").write_text(str(process.pid))
        now = time.time()
        record = Attempt(
            trial=trial.index,
            number=trial.attempt,
            phase=Phase.RUNNING,
            created=now,
            started=now,
            run=trial.run,
            where=str(path),
            usage=usage.of(path, amounts=reserved(spec), now=now),
        )
        entry = _Process(attempt=record, log=path, process=process)
        self._processes[key] = entry
        limit = seconds(spec.trials.timeout) if spec.trials.timeout else None
        entry.watcher = asyncio.create_task(self._watch(entry, process, limit))

    async def remove(self, attempt: Attempt) -> None:
        entry = self._processes.get((attempt.trial, attempt.number))
        if entry is None:
            return
        if entry.watcher is not None:
            entry.watcher.cancel()
        if entry.process is not None and not entry.attempt.phase.ended:
            await _end(entry.process)
        usage.close(entry.log)
        self._processes.pop((attempt.trial, attempt.number), None)

    async def report(self, status: Mapping[str, Any], events: Sequence[Event]) -> None:
        self._report(status, events)

    async def close(self) -> None:
        """End whatever runs: SIGTERM, so that trainers checkpoint; SIGKILL for those that don't listen."""
        await asyncio.gather(*(self.remove(p.attempt) for p in list(self._processes.values())))

    async def _watch(self, entry: _Process, process: asyncio.subprocess.Process, limit: float | None) -> None:
        late = False
        try:
            async with asyncio.timeout(limit):
                code = await process.wait()
        except TimeoutError:
            late = True
            code = await _end(process)
        _signal_group(process.pid, signal.SIGKILL)  # what it left behind goes with it, as in a container
        phase, reason, message = Phase.SUCCEEDED, "", ""
        if late or code != 0:
            phase, message = Phase.FAILED, last_words(_end_of(entry.log), limit=LAST_WORDS)
            reason = Reason.DEADLINE_EXCEEDED if late else reason_of(_as_in_a_container(code), message)
        entry.attempt = replace(
            entry.attempt,
            phase=phase,
            reason=str(reason),
            message=message,
            exit_code=_as_in_a_container(code),
            ended=(now := time.time()),
            usage=(*entry.attempt.usage[:-1], replace(entry.attempt.usage[-1], until=now)),
        )
        usage.close(entry.log)
        self._wake()


def training_container(spec: SweepSpec) -> Mapping[str, Any]:
    """The container of the Job's template that trains; empty when the template has none."""
    if spec.job is None:
        return {}
    containers = spec.job.template.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or [{}]
    named = [c for c in containers if c.get("name") == spec.job.container]
    found: Mapping[str, Any] = named[0] if named else containers[0]
    return found


def command_of(spec: SweepSpec) -> list[str]:
    """What to run: the container's command and args, or the built-in trainer."""
    container = training_container(spec)
    command = [*(container.get("command") or []), *(container.get("args") or [])]
    if not container.get("command") and spec.trainer is not None:
        return [sys.executable, "-m", "hypersweep_trainer", *(container.get("args") or [])]
    return command


def reserved(spec: SweepSpec) -> Amounts:
    """What a trial's process counts for: what its container requests, and one core where it says nothing of cpu."""
    return requested({"containers": [training_container(spec)]}, otherwise={"cpu": 1})


def ignored(spec: SweepSpec) -> list[str]:
    """What the manifest says that only a cluster can do."""
    container = training_container(spec)
    pod = spec.job.template.get("spec", {}).get("template", {}).get("spec", {}) if spec.job else {}
    found = [f"container {key}" for key in sorted(container) if key not in ("name", "command", "args", "env")]
    found += [f"pod {key}" for key in sorted(pod) if key != "containers"]
    found += [f"env {e['name']} (valueFrom)" for e in container.get("env") or [] if "valueFrom" in e]
    return found


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` as Kubernetes expands it: unknown names stay, `$$` is a dollar."""
    return _REFERENCE.sub(lambda m: "$" if m.group(0) == "$$" else variables.get(m.group(1), m.group(0)), text)


def _end_of(path: Path) -> str:
    """The last bytes of a log."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 2 * LAST_WORDS))
        return file.read().decode(errors="replace")


def _own_environment(spec: SweepSpec, ours: Mapping[str, str]) -> dict[str, str]:
    """The template's variables, each expanded by ours and by those before it, as Kubernetes does it."""
    found: dict[str, str] = {}
    for entry in training_container(spec).get("env") or []:
        if "valueFrom" not in entry:
            value = entry.get("value")
            found[entry["name"]] = "" if value is None else expand(str(value), {**ours, **found})
    return found


def _as_in_a_container(code: int) -> int:
    """A process that signal N ended exits with 128+N, as a container would."""
    return 128 - code if code < 0 else code


async def _end(process: asyncio.subprocess.Process) -> int:
    """SIGTERM to the whole group, then SIGKILL to what is left of it after GRACE. The exit code of its first process."""
    _signal_group(process.pid, signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            await process.wait()  # it may be a shell, which ends before the trainer that it started
            while _signal_group(process.pid, 0):  # noqa: ASYNC110  # nothing tells of the end of a group
                await asyncio.sleep(LOOK)
    _signal_group(process.pid, signal.SIGKILL)
    return await process.wait()


def _signal_group(leader: int, sign: int) -> bool:
    """Send it to a process and all that it started. False: none of them is left."""
    try:
        os.killpg(leader, sign)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of those that wait to be collected
        return False
    return True


def _end_leftovers(folder: Path) -> None:
    """Processes that outlived a killed `hypersweep run`: two trainers must not share a run and a checkpoint."""
    for path in folder.glob("trial-*/attempt-*.pid"):
        pid = int(path.read_text() or 0)
        runs = _trains_in(path.parent, pid)
        if runs:
            log.warning("ending process %d, left over from an earlier run", pid)
            _signal_group(pid, signal.SIGKILL)
        usage.close(path.with_suffix(".log"), unseen=not runs)


def _trains_in(place: Path, pid: int) -> bool:
    """Whether that process is a trial that has its checkpoints there: after a crash, the number may be another's."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes() if pid else b""
    except OSError:  # there is none, or it is another user's
        return False
    return f"HYPERSWEEP_CHECKPOINT_DIR={_checkpoints(place)}".encode() in environ.split(b"\0")


def _checkpoints(place: Path) -> Path:
    """Where a trial with this folder has its checkpoints."""
    return (place / "checkpoints").resolve()
