"""The learning rate from batch to batch.

A pure function of the step, the plan's length and the settings: nothing to save, nothing to restore. Only `plateau`
looks at results, and remembers what it saw in `Plateau`. Knows no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypersweep_trainer.rules import FULL_BATCH
from hypersweep_trainer.settings import Settings


@dataclass(frozen=True)
class Plan:
    """How long a training is: `steps` in all, `per_epoch` of them in each epoch."""

    steps: int
    per_epoch: int


def learning_rate(settings: Settings, plan: Plan, step: int, *, bounds: tuple[float, float] | None = None) -> float:
    """The rate of this step, counted from 0. Rprop and LBFGS find their own step sizes: theirs stays.

    `bounds` are the low and the high rate of a triangular schedule, instead of what `lr` and `final_lr` say.
    """
    if bounds:
        return bounds[0] + (bounds[1] - bounds[0]) * _height(settings, plan, step)
    if settings.optimizer in FULL_BATCH:
        return settings.lr
    rising = round(settings.warmup * plan.steps) if settings.schedule not in WITHOUT_WARMUP else 0
    if step < rising:
        return settings.lr * (step + 1) / (rising + 1)
    part = SCHEDULES[settings.schedule](settings, plan, step - rising, max(1, plan.steps - rising))
    return settings.lr * part


def _falling(shape: Callable[[Settings, float], float]) -> Callable[[Settings, Plan, int, int], float]:
    """A schedule that goes from 1 to final_lr as `shape` goes from 1 to 0 over the progress 0 to 1."""

    def schedule(settings: Settings, _plan: Plan, step: int, steps: int) -> float:
        return settings.final_lr + (1 - settings.final_lr) * shape(settings, step / steps)

    return schedule


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _constant(_settings: Settings, _plan: Plan, _step: int, _steps: int) -> float:
    return 1.0


def _one_cycle(settings: Settings, _plan: Plan, step: int, steps: int) -> float:
    """Up from lr / 25 in the first 30 %, then down to lr / 250,000, both as cosines (Smith and Topin 2018, arXiv:1708.07120).

    `final_lr` above 0 replaces the last number. The numbers are those of torch's OneCycleLR.
    """
    low, end = 1 / 25, settings.final_lr or 1 / 250_000
    peak = 0.3 * steps - 1
    if step <= peak:
        return 1 - (1 - low) * _cosine(step / max(1e-9, peak))
    return end + (1 - end) * _cosine((step - peak) / max(1e-9, steps - 1 - peak))


def _triangular(settings: Settings, plan: Plan, step: int, _steps: int) -> float:
    """Up from final_lr to 1 and down again in each `cycle_epochs` (Smith 2017, arXiv:1506.01186)."""
    return settings.final_lr + (1 - settings.final_lr) * _height(settings, plan, step)


def _height(settings: Settings, plan: Plan, step: int) -> float:
    """Where in its triangle the step is: 0 at the foot, 1 at the top."""
    length = settings.cycle_epochs * plan.per_epoch
    return 1 - abs(2 * (step % length) / length - 1)


def _restarts(settings: Settings, plan: Plan, step: int, _steps: int) -> float:
    """Cosines one after the other, each `cycle_growth` times as long (Loshchilov and Hutter 2017, arXiv:1608.03983)."""
    length = settings.cycle_epochs * plan.per_epoch
    if settings.cycle_growth == 1:
        step %= length
    while step >= length:
        step, length = step - length, length * settings.cycle_growth
    return settings.final_lr + (1 - settings.final_lr) * _cosine(step / length)


SCHEDULES: Mapping[str, Callable[[Settings, Plan, int, int], float]] = {
    "cosine": _falling(lambda _, progress: _cosine(progress)),
    "linear": _falling(lambda _, progress: 1 - progress),
    "polynomial": _falling(lambda settings, progress: (1 - progress) ** settings.power),
    "constant": _constant,
    "plateau": _constant,  # times what `Plateau` says
    "one_cycle": _one_cycle,
    "triangular": _triangular,
    "cosine_restarts": _restarts,
}
WITHOUT_WARMUP = frozenset({"constant", "one_cycle", "triangular"})  # it would be none, or they begin low by themselves


class Plateau:
    """Lowers the rate when val_loss has not become better for `plateau_patience` epochs."""

    def __init__(self, settings: Settings) -> None:
        """Without effect unless the schedule is `plateau`."""
        self.settings = settings
        self.factor, self.best, self.waited = 1.0, math.inf, 0

    def see(self, val_loss: float) -> None:
        """Take in the result of an epoch. Better means by one part in 10,000, as with torch's ReduceLROnPlateau."""
        if self.settings.schedule != "plateau":
            return
        if val_loss < self.best * (1 - 1e-4):
            self.best, self.waited = val_loss, 0
            return
        self.waited += 1
        if self.waited > self.settings.plateau_patience:
            self.factor, self.waited = max(self.factor * self.settings.plateau_factor, self.settings.final_lr), 0

    def state(self) -> dict[str, Any]:
        """Plain values, part of a checkpoint."""
        return {"factor": self.factor, "best": self.best, "waited": self.waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        """What `state` gave."""
        self.factor, self.best, self.waited = state["factor"], state["best"], state["waited"]
