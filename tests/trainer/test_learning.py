"""Learning really happens, on real data; every setting does what it says; the same seed gives the same numbers."""

from __future__ import annotations

import re
import shutil
from typing import Any

import numpy as np
import pytest
import torch

from hypersweep_trainer.data import load
from hypersweep_trainer.data.split import stratified_sample
from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.settings import Settings, spelled
from hypersweep_trainer.train import Training
from tests.trainer.runs import learn, run

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"lr": 0.003}, id="adam"),
        pytest.param({"optimizer": "adamw", "lr": 0.003, "weight_decay": 0.05}, id="adamw"),
        pytest.param({"optimizer": "nadam", "lr": 0.003}, id="nadam"),
        pytest.param({"optimizer": "radam", "lr": 0.02}, id="radam"),
        pytest.param({"optimizer": "rmsprop", "lr": 0.001, "momentum": 0.5}, id="rmsprop"),
        pytest.param({"optimizer": "adafactor", "lr": 0.05}, id="adafactor"),
        pytest.param({"optimizer": "muon", "lr": 0.01, "nesterov": True}, id="muon"),
        pytest.param({"optimizer": "lbfgs", "lr": 1.0, "epochs": 6}, id="lbfgs"),
        pytest.param({"optimizer": "sgd", "lr": 0.05}, id="sgd"),
        pytest.param({"optimizer": "sgd", "lr": 0.05, "nesterov": True}, id="sgd-nesterov"),
        pytest.param({"optimizer": "sgd", "lr": 0.2, "momentum": 0.0, "epochs": 15}, id="sgd-plain"),
        pytest.param({"optimizer": "rprop", "lr": 0.001, "epochs": 60}, id="rprop"),
        pytest.param({"model": "cnn", "width": 16, "lr": 0.005, "epochs": 8}, id="cnn"),
        pytest.param({"model": "cnn", "width": 16, "layers": 4, "lr": 0.005, "epochs": 8}, id="cnn-deep"),
        pytest.param({"model": "resnet", "width": 16, "lr": 0.005, "epochs": 4}, id="resnet"),
        pytest.param({"model": "linear", "lr": 0.01}, id="linear"),
        pytest.param({"normalization": "batch", "activation": "gelu", "lr": 0.003}, id="batch-norm"),
        pytest.param({"normalization": "layer", "activation": "silu", "lr": 0.003}, id="layer-norm"),
        pytest.param({"normalization": "group", "activation": "leaky_relu", "lr": 0.003}, id="group-norm"),
        pytest.param({"activation": "tanh", "lr": 0.003}, id="tanh"),
        pytest.param({"dropout": 0.2, "weight_decay": 1e-4, "lr": 0.003}, id="regularised"),
        pytest.param({"loss": "focal", "class_weights": "balanced", "lr": 0.003}, id="focal"),
        pytest.param({"label_smoothing": 0.1, "lr": 0.003}, id="label-smoothing"),
        pytest.param({"ema": 0.99, "lr": 0.003}, id="averaged-weights"),
        pytest.param({"clip_norm": 1.0, "accumulate": 2, "lr": 0.003}, id="clipped-in-parts"),
        pytest.param({"precision": "bf16", "lr": 0.003}, id="bf16"),
        pytest.param({"precision": "fp16", "lr": 0.003}, id="fp16"),
        pytest.param({"folds": 5, "fold": 3, "lr": 0.003}, id="fold"),
        pytest.param({"seed": 2**63 - 1, "split_seed": 2**63 - 1, "epochs": 20}, id="largest-seeds"),
    ],
)
def test_digits_are_learnt(settings: dict[str, Any]) -> None:
    """Validation accuracy reaches 0.95 with every optimizer, model and loss, from near chance."""
    epochs = learn(**{"epochs": 10, "baselines": False, **({} if settings else {"epochs": 20}), **settings})
    assert epochs[-1]["val_accuracy"] >= 0.95
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"] * (0.6 if "label_smoothing" in settings else 1 / 3)


def test_the_memory_order_of_images_changes_nothing_but_the_speed() -> None:
    """channels_last: the numbers of every epoch, to rounding."""
    settings = {"model": "cnn", "width": 8, "lr": 0.005, "epochs": 3, "baselines": False}
    usual, reordered = learn(**settings), learn(**settings, channels_last=True)
    assert usual[-1]["val_accuracy"] > 0.7
    for one, other in zip(usual, reordered, strict=True):
        assert other["train_loss"] == pytest.approx(one["train_loss"], rel=1e-4)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on CPU")
def test_a_compiled_network_learns_what_it_learns_uncompiled() -> None:
    """In a process of its own, which is how people compile: the curve is the same, to rounding."""
    settings = {"layers": 1, "width": 16, "lr": 0.01, "epochs": 2, "baselines": False}
    done = run("--compile=true", *(f"--{name}={spelled(value)}" for name, value in settings.items()))
    assert done.returncode == 0, done.stderr
    printed = [float(loss) for loss in re.findall(r"train_loss=(\S+)", done.stdout)]
    assert printed == pytest.approx([epoch["train_loss"] for epoch in learn(**settings)], rel=1e-4)


def test_what_cannot_learn_does_not_seem_to() -> None:
    """With a rate of nearly nothing, accuracy stays near chance: the measure measures."""
    assert learn(lr=1e-9, epochs=2)[-1]["val_accuracy"] < 0.3


def test_validation_is_never_trained_on() -> None:
    """Each of scikit-learn's digits is in one part only, in its own class, standardised by the training part alone."""
    from sklearn.datasets import load_digits as the_original

    x, y = the_original(return_X_y=True)
    val = stratified_sample(torch.from_numpy(y), fraction=0.2, seed=0).numpy()
    data = load(Settings(), CPU)
    assert isinstance(data.x, torch.Tensor)
    mean, std = x[~val].mean(0), x[~val].std(0, ddof=1)
    std[std == 0] = 1
    np.testing.assert_allclose(data.x[data.train].flatten(1).numpy(), (x[~val] - mean) / std, atol=1e-4)
    np.testing.assert_allclose(data.x[data.val].flatten(1).numpy(), (x[val] - mean) / std, atol=1e-4)
    assert data.y[data.train].tolist() == y[~val].tolist()
    assert data.y[data.val].tolist() == y[val].tolist()


def test_validation_sees_the_whole_network() -> None:
    """Nothing is dropped when validating, so that looking twice shows the same."""
    training = Training(Settings(dropout=0.9), horizon=1)
    training.train_batch(*training.data.batch(training.order[:64]))
    assert training.evaluate(training.data.val, "val") == training.evaluate(training.data.val, "val")


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
        ({}, {"schedule": "linear"}),
        ({}, {"warmup": 0.3}),
        ({}, {"final_lr": 0.5}),
        ({}, {"activation": "tanh"}),
        ({}, {"normalization": "layer"}),
        ({}, {"label_smoothing": 0.1}),
        ({}, {"loss": "focal"}),
        ({"loss": "focal"}, {"focal_gamma": 1.0}),
        ({}, {"beta1": 0.8}),
        ({}, {"beta2": 0.9}),
        ({}, {"clip_norm": 0.1}),
        ({}, {"ema": 0.9}),
        ({}, {"test_fraction": 0.1}),
        ({}, {"folds": 5}),
        ({"folds": 5}, {"fold": 1}),
        ({"schedule": "polynomial"}, {"power": 3.0}),
        ({"schedule": "triangular"}, {"cycle_epochs": 1}),
        ({"data": "diabetes", "loss": "huber"}, {"huber_delta": 0.1}),
        ({"data": "diabetes", "loss": "quantile"}, {"quantile": 0.9}),
        ({"data": "wine", "split_seed": 3}, {"class_weights": "balanced"}),
        ({"model": "transformer", "data": "wine"}, {"heads": 2}),
        ({}, {"batch_size": 65}),
        ({}, {"seed": 1}),
    ],
)
def test_every_setting_has_an_effect(base: dict[str, Any], change: dict[str, Any]) -> None:
    """No setting is taken and then forgotten: each one changes what is learnt."""
    small: dict[str, Any] = {"width": 8, "epochs": 2, "baselines": False}
    assert learn(**{**small, **base}) != learn(**{**small, **base, **change})


def test_rprop_takes_the_full_batch() -> None:
    """Its step sizes follow the sign of the whole gradient: batch_size means nothing to it."""
    assert learn(optimizer="rprop", epochs=3, batch_size=8) == learn(optimizer="rprop", epochs=3, batch_size=512)


def test_a_smaller_budget_is_a_prefix_of_the_whole() -> None:
    """A trial stopped at 2 of 5 epochs saw what it would have seen: stoppers compare like with like."""
    assert learn(schedule="cosine", epochs=5, budget=2) == learn(schedule="cosine", epochs=5)[:2]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_refused_by_name() -> None:
    """Never a silent fall back to something slower."""
    with pytest.raises(BadInputError, match=r"device: found cuda, allowed on this machine: auto \| cpu"):
        Training(Settings(device="cuda"), horizon=1)
