"""Checkpoints on disk: written whole or not at all, verified when read, the last two kept.

Owns the files of one directory, which belongs to one trial. A file is a plain `torch.save` of a dict; its name holds
how far it is and the start of its SHA-256, so that no second file is needed to verify it. Refuses to know what the
dict means, and to unpickle anything but tensors and plain values.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from hypersweep_trainer.exits import BadInputError

log = logging.getLogger(__name__)

State = dict[str, Any]

_NAME = re.compile(r"epoch-(\d{7})-batch-(\d{7})-([0-9a-f]{16})\.pt")


class Checkpoints:
    """The checkpoints of one trial."""

    def __init__(self, directory: Path, *, keep: int = 2) -> None:
        """Raises BadInputError if the directory can't be made or written to."""
        self.directory = directory
        self.keep = keep
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                pass
            for leftover in directory.glob("*.tmp"):  # of a process that was killed while writing
                leftover.unlink(missing_ok=True)
        except OSError as error:
            raise BadInputError(
                f"checkpoint directory: found {directory} ({error.strerror}), allowed: a writable one"
            ) from None

    def save(self, state: State, *, epoch: int, batch: int) -> bool:
        """Write `state` durably, then drop all but the last `keep`. False, with a warning, if the disk refuses."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        final = self.directory / f"epoch-{epoch:07d}-batch-{batch:07d}-{_digest(content)}.pt"
        temporary = final.with_suffix(f".{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(final)
            self._sync_directory()
            for old in _newest_first(self.directory)[self.keep :]:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.warning("checkpoint of epoch %d not written (%s); the last good one is kept", epoch, error)
            with suppress(OSError):  # the disk may be gone altogether; the next start removes what is left
                temporary.unlink()
            return False
        return True

    def latest(self) -> State | None:
        """The newest state whose checksum holds, or None. Damaged files are named in a warning and set aside."""
        for path in _newest_first(self.directory):
            if (state := _read(path)) is not None:
                return state
            path.replace(path.with_suffix(".damaged"))
        return None

    def _sync_directory(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def newest(directory: Path) -> State | None:
    """The newest state in a directory that another process may be at work in, or nobody may write to: nothing is changed."""
    for path in _newest_first(directory):
        with suppress(FileNotFoundError):  # the training has written newer ones meanwhile
            if (state := _read(path)) is not None:
                return state
    return None


def _newest_first(directory: Path) -> list[Path]:
    # The numbers have leading zeros: the order of names is the order of progress.
    return sorted((path for path in directory.iterdir() if _NAME.fullmatch(path.name)), reverse=True)


def _read(path: Path) -> State | None:
    """What the file holds; None, with a warning, if its checksum does not hold."""
    content = path.read_bytes()
    if _digest(content) != path.stem.rpartition("-")[2]:
        log.warning("checkpoint %s is damaged: its checksum does not hold; using the one before it", path)
        return None
    state: State = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
