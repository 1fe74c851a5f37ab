"""Each task, its losses and its models: learnt on real data, or on shapes whose truth is known to the pixel."""

from __future__ import annotations

from typing import Any

import pytest

from hypersweep_trainer.exits import BadInputError
from tests.trainer.runs import learn


def last(**settings: Any) -> dict[str, float]:
    """The metrics after the last epoch."""
    return learn(**{"baselines": False, **settings})[-1]


@pytest.mark.parametrize(
    ("settings", "metric", "least"),
    [
        ({"data": "wine", "lr": 0.01}, "val_balanced_accuracy", 0.94),
        ({"data": "breast_cancer", "lr": 0.01}, "val_auc", 0.98),
        ({"data": "breast_cancer", "lr": 0.01, "class_weights": "balanced"}, "val_f1", 0.94),
        ({"data": "wine", "model": "transformer", "width": 16, "lr": 0.003}, "val_accuracy", 0.94),
        ({"data": "diabetes", "lr": 0.003}, "val_r2", 0.40),
        ({"data": "diabetes", "model": "transformer", "width": 16, "lr": 0.003}, "val_r2", 0.35),
        ({"data": "diabetes", "lr": 0.003, "loss": "huber"}, "val_r2", 0.40),
        ({"data": "diabetes", "lr": 0.003, "loss": "quantile"}, "val_r2", 0.35),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_tables_are_learnt(settings: dict[str, Any], metric: str, least: float) -> None:
    """Rows of numbers, by classification and regression."""
    assert (
        last(width=32, epochs=15, batch_size=32, **settings)[metric] >= least
        if "width" not in settings
        else (last(epochs=15, batch_size=32, **settings)[metric] >= least)
    )


@pytest.mark.parametrize(
    "settings",
    [{}, {"loss": "dice"}, {"loss": "cross_entropy", "class_weights": "balanced"}, {"loss": "focal"}],
    ids=["dice and cross-entropy", "dice", "cross-entropy", "focal"],
)
def test_masks_are_learnt(settings: dict[str, Any]) -> None:
    """A small U-Net tells discs, squares and triangles from noise; a constant answer has a dice of 0.24."""
    found = last(data="shapes", width=8, epochs=5, batch_size=16, lr=0.02, **settings)
    assert found["val_dice"] >= 0.65
    assert found["val_iou"] < found["val_dice"]


def test_boxes_are_found() -> None:
    """A small detector finds most shapes, of the right kind and in the right place."""
    assert last(data="boxes", width=16, epochs=6, batch_size=16, lr=0.01)["val_map50"] >= 0.6


def test_a_quantile_is_what_so_many_targets_lie_below() -> None:
    """The loss for 0.9 answers above most targets, that for 0.1 below most: the mean errors say so."""
    low, high = (
        last(data="diabetes", model="linear", loss="quantile", quantile=q, lr=0.05, epochs=20) for q in (0.1, 0.9)
    )
    middle = last(data="diabetes", model="linear", loss="quantile", lr=0.05, epochs=20)
    assert middle["val_mae"] < min(low["val_mae"], high["val_mae"])


def test_a_model_that_does_not_fit_the_data_is_refused() -> None:
    """By name, with what would fit."""
    with pytest.raises(BadInputError, match=r"model: found cnn, which takes images, but a sample is \(13,\)"):
        last(data="wine", model="cnn")
