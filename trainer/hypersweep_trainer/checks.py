"""Checks before the first epoch: can this model, with these settings, learn these data at all?

Each is a function from a training that has not begun to a `Check`: verdict, what was found, what to try. Owns the bounds
between OK, WARN and FAIL. Each leaves the training as it was, so that their order has no meaning. Refuses to judge how
well a model may become: they take seconds, and a FAIL means that something is broken, not that something is hard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hypersweep_trainer.data.prefetch import batches_of
from hypersweep_trainer.device import autocast
from hypersweep_trainer.exits import InfeasibleError
from hypersweep_trainer.lr_range import as_before
from hypersweep_trainer.metrics import make_scorer
from hypersweep_trainer.rules import FULL_BATCH
from hypersweep_trainer.train import Training

BATCH = 32  # samples of the one batch, and of a step on the reduced data
REDUCED = 512  # samples, at most, that the reduced data have
STEPS = 150  # on the one batch, and on the reduced data
SHOWN = 5  # names of parameters

# What a batch known by heart scores, and below what it is not even half known.
SCORES = {"classification": "accuracy", "regression": "r2", "segmentation": "dice", "detection": "map50"}
KNOWN, BEGUN = 0.9, 0.5


class Verdict(StrEnum):
    """What a check says."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


class Check(NamedTuple):
    """One answer."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""  # what to try, unless all is well


def run(training: Training) -> Iterator[Check]:
    """All checks, one by one as they are done."""
    for check in CHECKS:
        with as_before(training.model, training.optimizer, None):  # type: ignore[arg-type]  # muon's pair behaves like one
            yield check(training)


def initial_loss(training: Training) -> Check:
    """Against what an answer of zeros costs: ln(classes) for cross-entropy, the target's variance for squared errors."""
    x, y = training.data.batch(_some(training, REDUCED))
    with torch.no_grad():
        output = _evaluating(training)(x)
        found = training.loss(output, y).item()
        blind = training.loss(torch.zeros_like(output), y).item()
    told = f"{found:.4g}; who knows nothing has {blind:.4g}"
    if not math.isfinite(found):
        advice = "look for NaN or infinite inputs, and for a logarithm or a division without a floor in model and loss"
        return Check("initial loss", Verdict.FAIL, told, advice)
    if training.data.task == "detection":  # an answer of zeros says nothing of boxes
        return Check("initial loss", Verdict.OK, f"{found:.4g}; finite, which is all that can be asked of boxes")
    apart = abs(found - blind) / max(abs(blind), 1e-9)
    if apart <= 0.5:
        return Check("initial loss", Verdict.OK, told)
    advice = "scale the inputs, shrink the last layer's first weights, or look whether the loss is the task's"
    return Check("initial loss", Verdict.FAIL if apart > 10 else Verdict.WARN, told, advice)


def gradients(training: Training) -> Check:
    """Whether one batch moves every parameter."""
    training.model.train()
    training.gradient(*training.data.batch(_some(training, BATCH)), samples=BATCH)
    named = [(name, p.grad) for name, p in training.model.named_parameters() if p.requires_grad]
    absent = [name for name, grad in named if grad is None or not grad.any()]
    broken = [name for name, grad in named if grad is not None and not grad.isfinite().all()]
    if broken:
        advice = "lower lr or set clip_norm; look for roots, logarithms and divisions in the model"
        return Check("gradients", Verdict.FAIL, f"not finite in {_listed(broken)}", advice)
    if absent:
        advice = "is the layer used in forward(), or cut off by detach(), argmax or a unit that is always off?"
        return Check("gradients", Verdict.FAIL, f"none in {_listed(absent)} of {len(named)} parameters", advice)
    return Check("gradients", Verdict.OK, f"reach all {len(named)} parameters")


def one_batch(training: Training) -> Check:
    """Whether a single batch can be learnt by heart, without dropout, at the settings' learning rate."""
    _without_dropout(training.model)
    samples = _some(training, BATCH)
    try:
        losses = [training.train_batch(*training.data.batch(samples)) for _ in range(_steps(training))]
    except InfeasibleError as error:
        return Check("one batch", Verdict.FAIL, str(error), _FAST)
    score = SCORES[training.data.task]
    reached = _score(training, samples, score)
    told = f"{score} {reached:.3g} after {len(losses)} steps; loss {losses[0]:.4g} → {losses[-1]:.4g}"
    if reached >= KNOWN:
        return Check("one batch", Verdict.OK, told)
    advice = (
        "find a learning rate by lr-range; less weight_decay, a wider model; do inputs and targets belong together?"
    )
    begun = reached >= BEGUN and losses[-1] < 0.9 * losses[0]
    return Check("one batch", Verdict.WARN if begun else Verdict.FAIL, told, advice)


def labels(training: Training) -> Check:
    """Whether true targets can be learnt better than the same ones dealt out anew: else inputs say nothing of them."""
    chosen = _some(training, REDUCED)
    dealt = chosen[torch.randperm(len(chosen), generator=_dice(), device="cpu").to(chosen.device)]
    before = _loss(training)
    true = _loss_after(training, chosen, chosen)
    permuted = _loss_after(training, chosen, dealt)
    told = f"validation loss {true:.4g} with the true targets, {permuted:.4g} with permuted ones"
    gain = (permuted - true) / max(abs(permuted), 1e-9)
    if gain >= 0.1 and true < before:
        return Check("labels", Verdict.OK, told)
    if not math.isfinite(true) or abs(before - true) <= 0.02 * abs(before):
        advice = _SLOW if math.isfinite(true) else _FAST
        return Check("labels", Verdict.WARN, f"{told}: nothing was learnt, so nothing can be said", advice)
    advice = "look whether inputs and targets were shuffled or joined apart, and whether the inputs can tell the target at all"
    return Check("labels", Verdict.WARN if gain >= 0.03 else Verdict.FAIL, told, advice)


def reduced(training: Training) -> Check:
    """Whether what is learnt from a small part of the data holds for the validation part."""
    chosen = _some(training, REDUCED)
    x, y = training.data.batch(training.data.val[: len(chosen)])
    with torch.no_grad():
        blind = training.loss(torch.zeros_like(_evaluating(training)(x)), y).item()
    before = _loss(training)
    floor = before if training.data.task == "detection" else min(before, blind)
    after = _loss_after(training, chosen, chosen)
    told = f"validation loss {before:.4g} → {after:.4g} from {len(chosen)} samples"
    if after <= 0.9 * floor:
        return Check("reduced data", Verdict.OK, told)
    advice = "more dropout or weight_decay, a smaller model, or more telling inputs"
    if not math.isfinite(after) or after > 5 * before:
        advice = _FAST
    elif abs(before - after) <= 0.02 * abs(before):
        advice = _SLOW
    return Check("reduced data", Verdict.WARN if after < 0.98 * floor else Verdict.FAIL, told, advice)


CHECKS: tuple[Callable[[Training], Check], ...] = (initial_loss, gradients, one_batch, labels, reduced)
_SLOW = "raise lr: lr-range finds where the loss falls"
_FAST = "lower lr (lr-range finds where the loss falls), or set clip_norm"


# ---- training a little -------------------------------------------------------------------------------------------------


def _loss_after(training: Training, inputs: Tensor, targets: Tensor) -> float:
    """The validation loss after some steps on the inputs of these samples with the targets of those; then all is undone."""
    with as_before(training.model, training.optimizer, None):  # type: ignore[arg-type]
        training.model.train()
        size = len(inputs) if training.settings.optimizer in FULL_BATCH else BATCH
        dice = _dice()
        try:
            for _ in range(_steps(training)):
                part = torch.randperm(len(inputs), generator=dice)[:size].to(inputs.device)
                x, _ = training.data.batch(inputs[part])
                training.train_batch(x, training.data.y[targets[part]])
        except InfeasibleError:
            return math.inf
        return _loss(training)


@torch.no_grad()
def _loss(training: Training) -> float:
    samples = training.data.val[:REDUCED]
    network, total = _evaluating(training), 0.0
    for x, y in batches_of(training.data, torch.split(samples, BATCH)):
        total += training.loss(network(x), y).item() * len(x)
    return total / len(samples)


@torch.no_grad()
def _score(training: Training, samples: Tensor, name: str) -> float:
    x, y = training.data.batch(samples)
    scorer = make_scorer(training.data)
    scorer.add(_evaluating(training)(x), y)
    return scorer.scores()[name]


def _evaluating(training: Training) -> Callable[[Tensor], Tensor]:
    training.model.eval()

    def network(x: Tensor) -> Tensor:
        with autocast(training.settings, training.device):
            output: Tensor = training.model(x)
        return output.float()

    return network


def _without_dropout(model: nn.Module) -> None:
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):  # noqa: SLF001  # what all of torch's are kinds of
            module.eval()


def _steps(training: Training) -> int:
    """Fewer where a step is many: LBFGS looks twenty times at all samples."""
    return STEPS // 10 if training.settings.optimizer == "lbfgs" else STEPS


def _some(training: Training, count: int) -> Tensor:
    """The same samples of the training part at each call."""
    train = training.data.train
    return train[torch.randperm(len(train), generator=_dice())[:count].to(train.device)]


def _dice() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
