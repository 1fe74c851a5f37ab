"""Learning really happens, on real data; every setting does what it says; the same seed gives the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.train import Training, load_digits, stratified_sample
from tests.trainer.runs import learn

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"optimizer": "adam", "lr": 0.003, "epochs": 10}, id="adam"),
        pytest.param({"optimizer": "sgd", "lr": 0.05, "epochs": 10}, id="sgd"),
        pytest.param({"optimizer": "sgd", "lr": 0.05, "epochs": 10, "nesterov": True}, id="sgd-nesterov"),
        pytest.param({"optimizer": "sgd", "lr": 0.2, "momentum": 0.0, "epochs": 15}, id="sgd-plain"),
        pytest.param({"optimizer": "rprop", "lr": 0.001, "epochs": 60}, id="rprop"),
        pytest.param({"model": "cnn", "width": 16, "lr": 0.003, "epochs": 10}, id="cnn"),
        pytest.param({"model": "cnn", "width": 16, "layers": 4, "lr": 0.003, "epochs": 10}, id="cnn-deep"),
        pytest.param({"dropout": 0.2, "weight_decay": 1e-4, "lr": 0.003, "schedule": "cosine"}, id="regularised"),
        pytest.param({"seed": 2**63 - 1, "split_seed": 2**63 - 1}, id="largest-seeds"),
    ],
)
def test_digits_are_learnt(settings: dict[str, Any]) -> None:
    """Validation accuracy reaches 0.95 with every optimizer and model, from near chance."""
    epochs = learn(**settings)
    assert epochs[-1]["val_accuracy"] >= 0.95
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"] / 3


def test_what_cannot_learn_does_not_seem_to() -> None:
    """With a rate of nearly nothing, accuracy stays near chance: the measure measures."""
    assert learn(lr=1e-9, epochs=2)[-1]["val_accuracy"] < 0.3


def test_validation_is_never_trained_on() -> None:
    """Each of scikit-learn's digits is in one part only, in its own class, standardised by the training part alone."""
    from sklearn.datasets import load_digits as the_original

    x, y = the_original(return_X_y=True)
    val = stratified_sample(torch.from_numpy(y), fraction=0.2, seed=0).numpy()
    data = load_digits(Settings(), CPU)
    mean, std = x[~val].mean(0), x[~val].std(0, ddof=1)
    std[std == 0] = 1
    np.testing.assert_allclose(data.train_x.flatten(1).numpy(), (x[~val] - mean) / std, atol=1e-4)
    np.testing.assert_allclose(data.val_x.flatten(1).numpy(), (x[val] - mean) / std, atol=1e-4)
    assert data.train_y.tolist() == y[~val].tolist()
    assert data.val_y.tolist() == y[val].tolist()


def test_validation_sees_the_whole_network() -> None:
    """Nothing is dropped when validating, so that looking twice shows the same."""
    training = Training(Settings(dropout=0.9), horizon=1)
    training.train_batch(training.order[:64])
    assert training.validate() == training.validate()


def test_the_split_keeps_the_classes_proportions() -> None:
    """Each class gives its share to validation, to one sample."""
    labels = torch.tensor([0] * 100 + [1] * 50 + [2] * 10)
    chosen = labels[stratified_sample(labels, fraction=0.2, seed=3)]
    assert chosen.bincount().tolist() == [20, 10, 2]


def test_trials_share_one_split_whatever_their_seed() -> None:
    """Trials compare because they validate on the same samples; another split_seed draws others."""
    first, other = (load_digits(Settings(seed=seed), CPU).val_y for seed in (1, 2))
    assert first.tolist() == other.tolist()
    assert first.tolist() != load_digits(Settings(split_seed=1), CPU).val_y.tolist()


def test_the_same_seed_gives_the_same_numbers() -> None:
    """Bit for bit, dropout included; and another seed gives others."""
    assert learn(epochs=2, dropout=0.3, seed=4) == learn(epochs=2, dropout=0.3, seed=4)
    assert learn(epochs=2, dropout=0.3, seed=4) != learn(epochs=2, dropout=0.3, seed=5)


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({}, {"val_fraction": 0.3}),
        ({}, {"split_seed": 1}),
        ({}, {"model": "cnn"}),
        ({}, {"layers": 3}),
        ({}, {"width": 65}),
        ({}, {"dropout": 0.1}),
        ({}, {"optimizer": "sgd"}),
        ({}, {"lr": 0.0011}),
        ({"optimizer": "sgd"}, {"momentum": 0.8}),
        ({"optimizer": "sgd"}, {"nesterov": True}),
        ({"optimizer": "sgd"}, {"weight_decay": 0.1}),
        ({"optimizer": "adam"}, {"weight_decay": 0.1}),
        ({"optimizer": "rprop"}, {"lr": 0.002}),
        ({}, {"schedule": "cosine"}),
        ({}, {"batch_size": 65}),
        ({}, {"seed": 1}),
    ],
)
def test_every_setting_has_an_effect(base: dict[str, Any], change: dict[str, Any]) -> None:
    """No setting is taken and then forgotten: each one changes what is learnt."""
    small: dict[str, Any] = {"width": 8, "epochs": 2}
    assert learn(**{**small, **base}) != learn(**{**small, **base, **change})


def test_rprop_takes_the_full_batch() -> None:
    """Its step sizes follow the sign of the whole gradient: batch_size means nothing to it."""
    assert learn(optimizer="rprop", epochs=3, batch_size=8) == learn(optimizer="rprop", epochs=3, batch_size=512)


def test_the_cosine_falls_over_the_epochs_and_the_rate_is_reported() -> None:
    """From lr down, half of it in the middle; constant stays."""
    rates = [metrics["lr"] for metrics in learn(schedule="cosine", lr=0.01, epochs=4)]
    assert rates[0] == 0.01
    assert rates[2] == pytest.approx(0.005)
    assert rates == sorted(rates, reverse=True)
    assert {metrics["lr"] for metrics in learn(lr=0.01, epochs=2)} == {0.01}


def test_a_smaller_budget_is_a_prefix_of_the_whole() -> None:
    """A trial stopped at 2 of 5 epochs saw what it would have seen: stoppers compare like with like."""
    assert learn(schedule="cosine", epochs=5, budget=2) == learn(schedule="cosine", epochs=5)[:2]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_refused_by_name() -> None:
    """Never a silent fall back to something slower."""
    with pytest.raises(BadInputError, match=r"device: found cuda, allowed on this machine: auto \| cpu"):
        Training(Settings(device="cuda"), horizon=1)
