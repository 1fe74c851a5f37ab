"""Builders: a job, a training that stops where it is told, and a trainer in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypersweep_trainer.events import Event
from hypersweep_trainer.options import Job
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.tracking import Metrics, Tracker

PROCESS_SECONDS = 120.0  # bounds a trainer's process on a busy machine


def job(*, budget: int | None = None, checkpoints: Path | None = None, **settings: Any) -> Job:
    """A job with these settings, the rest being defaults."""
    chosen = Settings(**settings)
    return Job(settings=chosen, budget=budget or chosen.epochs, checkpoint_dir=checkpoints)


MEASURED = ("samples_per_second", "seconds_", "memory_mb")  # what the clock and the machine say


class StopAfter:
    """An interruption that comes after so many batches; None: never."""

    def __init__(self, batches: int | None = None) -> None:
        self.left = batches
        self.graceful = False

    @property
    def requested(self) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        return self.left < 0


class History(Tracker):
    """Keeps every epoch's metrics, without those that depend on the clock, and every event."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[Metrics] = []
        self.events: list[Event] = []

    def log(self, metrics: Metrics, *, step: int) -> None:
        super().log(metrics, step=step)
        self.epochs.append({name: value for name, value in metrics.items() if not name.startswith(MEASURED)})

    def log_event(self, event: Event) -> None:
        super().log_event(event)
        self.events.append(event)


def learn(**options: Any) -> list[Metrics]:
    """Train without interruption; the metrics of each epoch."""
    from hypersweep_trainer.train import train

    history = History()
    train(job(**options), tracker=history, interruption=StopAfter())
    return history.epochs


def command(*flags: str) -> list[str]:
    """The trainer's command line."""
    return [sys.executable, "-m", "hypersweep_trainer", *flags]


def run(*flags: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The trainer in a process of its own, to its end."""
    return subprocess.run(
        command(*flags),
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS,
        check=False,
    )
