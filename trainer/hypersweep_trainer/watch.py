"""Looks at a training while it runs, for what `events.py` has rules for.

Owns what is measured and when, so that it costs nearly nothing: gradients at every 16th step and at an epoch's first,
units on a few samples, after each of the first epochs and every fifth one. Changes nothing in a training, and draws no
random number. Of several processes, the first one looks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hypersweep_trainer.events import DIVERGED, Seen, due
from hypersweep_trainer.tracking import Metrics, Tracker

if TYPE_CHECKING:
    from hypersweep_trainer.train import Training

EVERY = 16  # steps
UNITS_FIRST, UNITS_EVERY = 3, 5  # epochs: units die early or slowly, and looking takes 3 % of a small epoch
SAMPLES = 128  # of the training part, evenly spaced, for which units are looked at
RELUS = (nn.ReLU, nn.ReLU6)  # only these are zero, and have no gradient, over half of all inputs


class Watch:
    """Of one training: what was seen, and what was told."""

    def __init__(self, training: Training) -> None:
        """Nothing was seen yet."""
        self._training, self.seen = training, Seen()

    def batch(self, loss: float, tracker: Tracker | None = None) -> None:
        """After a step, whose gradients are still there; `loss` is the one before it."""
        training, seen = self._training, self.seen
        if seen.first_loss is None:
            seen.first_loss = loss
        alarming = loss > DIVERGED * abs(seen.first_loss) and "ExplodingGradients" not in seen.told
        if (training.batch == 1 or training.step % EVERY == 0 or alarming) and training.processes.first:
            norm, ratio = gradients(training)
            if math.isfinite(norm):  # fp16 leaves batches out that overflow
                seen.look(loss=loss, norm=norm, ratio=ratio)
                self._tell(tracker)

    def epoch(self, metrics: Metrics, tracker: Tracker | None = None) -> None:
        """After an epoch and its validation."""
        if not self._training.processes.first or not math.isfinite(metrics["val_loss"]):
            return
        epoch = self._training.epoch + 1
        if "DeadUnits" not in self.seen.told and (epoch <= UNITS_FIRST or epoch % UNITS_EVERY == 0):
            self.seen.dead, self.seen.units = dead_units(self._training)
        self.seen.epoch(train=metrics["train_loss"], val=metrics["val_loss"])
        self._tell(tracker)

    def state(self) -> dict[str, Any]:
        """Plain values, part of a checkpoint."""
        return self.seen.document()

    def restore(self, state: Mapping[str, Any]) -> None:
        """What `state` gave."""
        self.seen = Seen.of(state)

    def _tell(self, tracker: Tracker | None) -> None:
        for event in due(self.seen, epoch=self._training.epoch + 1):
            if tracker:
                tracker.log_event(event)


@torch.no_grad()
def gradients(training: Training) -> tuple[float, float | None]:
    """The norm of the whole gradient, before clipping, and that of the first layers to that of the last ones.

    A layer's is in terms of its weights' norm, for what counts is how far they move. Layers are taken in the order in which
    the model names them; None where there are fewer than three of them, or where the last ones have no gradient.
    """
    weights: list[Tensor] = [weight for weight in training.model.parameters() if weight.grad is not None]
    slopes = [weight.grad for weight in weights if weight.grad is not None]
    if not weights:
        return 0.0, None
    measured = torch.stack(torch._foreach_norm(slopes + weights)).tolist()  # noqa: SLF001  # what clip_grad_norm_ calls, too
    slope, size = measured[: len(weights)], measured[len(weights) :]
    norm = math.hypot(*slope) if training.norm is None else float(training.norm)
    layers = [a / b for a, b, w in zip(slope, size, weights, strict=True) if w.ndim > 1 and b > 0]
    third = len(layers) // 3
    if not third or not (last := median(layers[-third:])):
        return norm, None
    return norm, median(layers[:third]) / last


@torch.no_grad()
def dead_units(training: Training) -> tuple[float, int]:
    """The share of ReLU units (channels, in images) that are zero for all of some samples, and how many units there are."""
    train = training.data.train
    x, _ = training.data.batch(train[:: max(1, len(train) // SAMPLES)][:SAMPLES])
    found: list[Tensor] = []
    training.model.eval()
    with _listening(training.model, found):
        training.answer(x)
    if not found:
        return 0.0, 0
    dead = torch.cat(found)
    return float(dead.float().mean()), len(dead)


@contextmanager
def _listening(model: nn.Module, found: list[Tensor]) -> Iterator[None]:
    """While it lasts, which units of each ReLU were zero for all samples is added to `found`."""

    def hear(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        units = 1 if output.ndim == 4 else output.ndim - 1
        found.append((output == 0).transpose(0, units).flatten(1).all(1))

    hooks = [module.register_forward_hook(hear) for module in model.modules() if isinstance(module, RELUS)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
