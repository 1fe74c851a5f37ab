"""What goes wrong while a training runs: each way has a name, a rule that finds it, and what to try.

Owns the rules and their bounds. Each is a pure function of what was measured so far (`Seen`), which is plain values, so that
a checkpoint can hold it. Refuses to end a training: an event is told, once, and whoever reads it decides. Knows no torch.

A bound errs on the side of silence: an event that is wrong once is not read the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, NamedTuple, Self

NON_FINITE = "NonFinite"
TAG = "hypersweep.trainer.event"  # followed by a point and the name: a tag of the run
LONGEST = 400  # characters of an event's text

REMEMBERED = 32  # looks at gradients
JUDGED = 5  # looks, at least, before layers are compared
# Near the end of a training gradients are tiny, and ten times as much is nothing: the loss must exceed the first one, too.
LARGER = 10.0  # times the usual norm
DIVERGED = 3.0  # times the first loss: what stops the range test, too
VANISHED = 1e-3  # the first layers' gradient in terms of their weights, to the last layers'
DEAD = 0.4  # share of units: "as much as 40 % of your network can be dead" at too high a rate (Stanford CS231n, ReLU)
STILL = 3  # epochs
MOVED = 0.01  # of the first epoch's loss: the range test takes a smaller fall for none, too
WORSE = 0.1  # above the lowest validation loss; Prechelt 1998 (Early Stopping, But When?) takes 5 %
WORSE_OF_FIRST = 0.05  # and so much of the first batch's loss: 10 % of a loss of nearly nothing are noise
IN_A_ROW = 3  # epochs


class Event(NamedTuple):
    """What went wrong: `found` with numbers, `advice` on what to try; `epoch` is counted from 1."""

    name: str
    epoch: int
    found: str
    advice: str

    @property
    def text(self) -> str:
        """One line."""
        return f"epoch {self.epoch}: {self.found}. Try: {self.advice}"[:LONGEST]


@dataclass
class Seen:
    """What was measured so far. Norms and ratios are of looks at gradients, losses of epochs."""

    first_loss: float | None = None  # of the first batch
    loss: float = 0.0  # of the batch of the last look
    norms: list[float] = field(default_factory=list)  # of the whole gradient, before clipping; the last REMEMBERED
    first_norm: float | None = None
    ratios: list[float] = field(default_factory=list)  # see VANISHED; the last REMEMBERED
    dead: float = 0.0  # share of units
    units: int = 0
    train: list[float] = field(default_factory=list)  # loss of the first epoch, the lowest, the last
    val: list[float] = field(default_factory=list)  # the same
    train_at_best: float = 0.0  # when validation was best
    epochs: int = 0
    worse: int = 0  # epochs in a row
    told: list[str] = field(default_factory=list)  # names of events

    def look(self, *, loss: float, norm: float, ratio: float | None) -> None:
        """Take in a look at gradients, all of it finite."""
        self.loss = loss
        self.first_norm = norm if self.first_norm is None else self.first_norm
        self.norms = [*self.norms, norm][-REMEMBERED:]
        if ratio is not None:
            self.ratios = [*self.ratios, ratio][-REMEMBERED:]

    def epoch(self, *, train: float, val: float) -> None:
        """Take in the losses of an epoch, all finite."""
        self.epochs += 1
        if not self.val or val < self.val[1]:
            self.train_at_best = train
        self.train, self.val = _curve(self.train, train), _curve(self.val, val)
        self.worse = self.worse + 1 if _overfitted(self) else 0

    def document(self) -> dict[str, Any]:
        """As a checkpoint holds it."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """What `document` gave."""
        return cls(**document)


def _curve(before: list[float], now: float) -> list[float]:
    return [before[0], min(before[1], now), now] if before else [now, now, now]


def _overfitted(seen: Seen) -> bool:
    _, best, now = seen.val
    first = abs(seen.first_loss or 0.0)
    if seen.train_at_best > DIVERGED * first:
        return False  # it exploded, and is on its way back
    return now - best > max(WORSE * abs(best), WORSE_OF_FIRST * first) and seen.train[2] < seen.train_at_best


# ---- the rules: what was found, or nothing ------------------------------------------------------------------------------


def exploding(seen: Seen) -> str:
    """A gradient far above the usual one, and a loss far above the first: both, or it is a batch that differs."""
    if seen.first_loss is None or seen.first_norm is None or len(seen.norms) < 2:
        return ""
    usual = max(seen.first_norm, median(seen.norms[:-1]))
    if seen.norms[-1] <= LARGER * usual or seen.loss <= DIVERGED * abs(seen.first_loss):
        return ""
    return f"gradient norm {seen.norms[-1]:.3g}, usually {usual:.3g}; loss {seen.loss:.3g}, first {seen.first_loss:.3g}"


def vanishing(seen: Seen) -> str:
    """Gradients that do not reach the first layers, in most looks of late."""
    if len(seen.ratios) < JUDGED:
        return ""
    usual = median(seen.ratios)
    return f"the first layers' gradients are {usual:.1e} of the last ones', both in terms of weights" * (
        usual < VANISHED
    )


def dead_units(seen: Seen) -> str:
    """Units that are zero whatever comes in: they have no gradient, and stay so."""
    return f"{seen.dead:.0%} of {seen.units} ReLU units are zero for all samples of a batch" * (seen.dead > DEAD)


def loss_not_moving(seen: Seen) -> str:
    """A training that has not begun: since the first epoch the loss has not fallen, nor within it."""
    if seen.epochs < STILL or seen.first_loss is None:
        return ""
    first, best, now = seen.train
    if best < first - MOVED * abs(first) or best < seen.first_loss - 0.1 * abs(seen.first_loss):
        return ""
    return f"train_loss {first:.5g} in the first epoch, {now:.5g} after {seen.epochs}"


def overfitting(seen: Seen) -> str:
    """Validation worsens, epoch after epoch, while the loss on the training part goes on falling."""
    if seen.worse < IN_A_ROW:
        return ""
    gap = f"train_loss {seen.train_at_best:.4g} → {seen.train[2]:.4g}"
    return f"val_loss {seen.val[1]:.4g} → {seen.val[2]:.4g} since its best epoch, {gap}"


RULES: Mapping[str, tuple[Callable[[Seen], str], str]] = {
    "ExplodingGradients": (exploding, "a lower lr (lr-range finds where the loss falls), clip_norm=1, longer warmup"),
    "VanishingGradients": (
        vanishing,
        "normalization=batch or layer, activation=relu or gelu, fewer layers, model=resnet",
    ),
    "DeadUnits": (dead_units, "a lower lr, longer warmup, activation=leaky_relu or gelu, normalization=batch"),
    "LossNotMoving": (loss_not_moving, "a higher lr (lr-range finds where the loss falls), --check, scaled inputs"),
    "Overfitting": (
        overfitting,
        "fewer epochs or early stopping, more weight_decay or dropout, a smaller model, more data",
    ),
}
_NON_FINITE_ADVICE = "a lower lr (lr-range finds where the loss falls), clip_norm=1, longer warmup, precision=float32"


def due(seen: Seen, *, epoch: int) -> list[Event]:
    """The events that what was seen calls for and that were not told yet. From now on they count as told."""
    open_ = {name: rule for name, rule in RULES.items() if name not in seen.told}
    found = [Event(name, epoch, text, advice) for name, (rule, advice) in open_.items() if (text := rule(seen))]
    seen.told += [event.name for event in found]
    return found


def non_finite(error: str, *, epoch: int) -> Event:
    """The loss is NaN or infinite, which ends the training: `error` says where."""
    return Event(NON_FINITE, epoch, error, _NON_FINITE_ADVICE)
