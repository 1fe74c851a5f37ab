"""Which settings exclude each other, and why: each rule small, pure, and worded for whoever broke it.

Owns the names of models and losses, since most rules are about them. Knows no torch: the operator asks these rules
before it makes a Job. Refuses to judge what only the data can tell; that is said when they are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hypersweep_trainer.settings import Settings

MODELS = ("linear", "mlp", "cnn", "resnet", "unet", "transformer", "detector")

# Task → its losses; the first is what `auto` means.
LOSSES: Mapping[str, Sequence[str]] = {
    "classification": ("cross_entropy", "focal"),
    "regression": ("mse", "huber", "quantile"),
    "segmentation": ("dice_cross_entropy", "dice"),
    "detection": ("detection",),
}
FULL_BATCH = frozenset({"rprop", "lbfgs"})  # they read the loss's shape from step to step: noise would mislead them
PACKAGED: Mapping[str, str] = {  # data sets that need no file → their task
    "digits": "classification",
    "wine": "classification",
    "breast_cancer": "classification",
    "diabetes": "regression",
    "shapes": "segmentation",
    "boxes": "detection",
}
TABLES = (".csv", ".parquet")


class Rule(NamedTuple):
    """A combination of settings that cannot work: the one to blame, and all that take part in it."""

    name: str
    parts: frozenset[str]
    broken: Callable[[Settings], bool]
    message: str


def known_task(settings: Settings) -> str | None:
    """The task, where the settings alone tell it."""
    if settings.task not in ("auto", "digits"):
        return settings.task
    return PACKAGED.get(settings.data)


def losses_for(task: str) -> tuple[str, ...]:
    """The losses that fit a task: a mask is classified pixel by pixel, so cross-entropy fits it too."""
    return (*LOSSES[task], *(LOSSES["classification"] if task == "segmentation" else ()))


def _loss_of_another_task(s: Settings) -> bool:
    task = known_task(s)
    return task is not None and s.loss != "auto" and ":" not in s.loss and s.loss not in losses_for(task)


def _model_of_another_task(s: Settings) -> bool:
    task = known_task(s)
    if task is None or s.model == "auto" or ":" in s.model:
        return False
    return {"segmentation": "unet", "detection": "detector"}.get(task, s.model) != s.model or (
        task in ("classification", "regression") and s.model in ("unet", "detector")
    )


RULES = (
    Rule(
        "nesterov",
        frozenset({"optimizer", "nesterov", "momentum"}),
        lambda s: s.optimizer == "sgd" and s.nesterov and s.momentum == 0,
        "found true with sgd and momentum 0, allowed: only with momentum above 0",
    ),
    Rule(
        "accumulate",
        frozenset({"optimizer", "accumulate"}),
        lambda s: s.optimizer == "lbfgs" and s.accumulate > 1,
        "found more than 1 with lbfgs, allowed: 1, since its line search computes the whole batch several times",
    ),
    Rule(
        "dropout",
        frozenset({"optimizer", "dropout"}),
        lambda s: s.optimizer == "lbfgs" and s.dropout > 0,
        "found more than 0 with lbfgs, allowed: 0, since its line search needs a loss that stays the same",
    ),
    Rule(
        "precision",
        frozenset({"optimizer", "precision"}),
        lambda s: s.optimizer == "lbfgs" and s.precision == "fp16",
        "found fp16 with lbfgs, allowed: float32 | bf16, since its line search can't have a loss scaled on the way",
    ),
    Rule(
        "heads",
        frozenset({"model", "width", "heads"}),
        lambda s: s.model == "transformer" and s.width % s.heads != 0,
        "found a number that does not divide width, allowed: one that does (transformer)",
    ),
    Rule(
        "target",
        frozenset({"data", "target"}),
        lambda s: s.data.endswith(TABLES) and not s.target,
        "found none, allowed: the name of the column to predict, since data is a table",
    ),
    Rule(
        "task",
        frozenset({"data", "task"}),
        lambda s: (
            (s.task == "digits" and s.data != "digits")
            or (s.task not in ("auto", "digits") and PACKAGED.get(s.data, s.task) != s.task)
        ),
        "found one that the data set does not have, allowed: auto",
    ),
    Rule(
        "loss",
        frozenset({"data", "task", "loss"}),
        _loss_of_another_task,
        "found the loss of another task, allowed: "
        + "; ".join(f"{task}: {', '.join(losses_for(task))}" for task in LOSSES),
    ),
    Rule(
        "model",
        frozenset({"data", "task", "model"}),
        _model_of_another_task,
        "found a model that does not fit the task, allowed: unet for segmentation, detector for detection, "
        "any other for classification and regression",
    ),
    Rule(
        "fold",
        frozenset({"folds", "fold"}),
        lambda s: s.folds > 0 and s.fold >= s.folds,
        "found one that is not there, allowed: 0 ≤ fold < folds",
    ),
    Rule(
        "folds",
        frozenset({"folds"}),
        lambda s: s.folds == 1,
        "found 1, allowed: 0 (off) or at least 2, since one part validates and the others train",
    ),
    Rule(
        "test_fraction",
        frozenset({"val_fraction", "test_fraction", "folds"}),
        lambda s: s.folds == 0 and s.val_fraction + s.test_fraction > 0.8,
        "found a part that leaves less than a fifth to train on, allowed: val_fraction + test_fraction ≤ 0.8",
    ),
    Rule(
        "profile_steps",
        frozenset({"tensorboard", "profile_steps"}),
        lambda s: s.profile_steps > 0 and not s.tensorboard,
        "found more than 0 without tensorboard, allowed: 0, since the trace is kept beside its event files",
    ),
)
