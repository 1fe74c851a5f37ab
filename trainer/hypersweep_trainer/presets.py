"""Published values: what those who made an optimizer or a network trained it with, each number with its source.

Owns which settings are known for a model and an optimizer, and where each comes from. What a pair's own paper says goes
before what the optimizer's says. Of how to train only: a network's size is the user's. Refuses to invent: a setting that
nobody published has no value here. Knows no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hypersweep_trainer.rules import MODELS, PACKAGED

_KINGMA = "Kingma & Ba 2015, algorithm 1"
_TORCH_ADAMW = "torch.optim.AdamW's default, after Loshchilov & Hutter 2019"
_DOZAT = "Dozat 2016; torch.optim.NAdam's default"
_HINTON = "Tieleman & Hinton 2012, lecture 6e"
_LIU_RADAM = "Liu et al. 2020; torch.optim.RAdam's default"
_RIEDMILLER = "Riedmiller & Braun 1993"
_NOCEDAL = "Nocedal & Wright 2006, section 7.2: the unit step is tried first"
_SHAZEER = "Shazeer & Stern 2018, section 9; torch.optim.Adafactor's default"
_JORDAN = "Jordan et al. 2024"
_MOONLIGHT = "Liu et al. 2025 (Moonlight), section 2.2: with steps scaled to AdamW's, its rate and decay serve"
_KRIZHEVSKY = "Krizhevsky et al. 2012, section 5"
_HE = "He et al. 2016, section 4.2 (CIFAR-10)"
_NNUNET = "Isensee et al. 2021 (nnU-Net), methods"
_NNUNET_ADAM = "Isensee et al. 2018 (nnU-Net), section 2.3"
_FCOS = "Tian et al. 2019 (FCOS), section 4"
_FT = "Gorishniy et al. 2021 (FT-Transformer), default configuration"
_KERAS = "keras.optimizers.SGD's default"


_OF_TASK = {"segmentation": "unet", "detection": "detector"}  # what model: auto means, where no data need be looked at


class Published(NamedTuple):
    """A setting's value, and who published it."""

    value: float | int | str | bool
    source: str


Preset = Mapping[str, Published]


def _of(source: str, **values: float | str | bool) -> dict[str, Published]:
    return {name: Published(value, source) for name, value in values.items()}


_OPTIMIZERS: Mapping[str, Preset] = {
    "sgd": _of(_KERAS, lr=0.01) | _of(_KRIZHEVSKY, momentum=0.9),
    "adam": _of(_KINGMA, lr=0.001, beta1=0.9, beta2=0.999),
    "adamw": _of(_KINGMA, lr=0.001, beta1=0.9, beta2=0.999) | _of(_TORCH_ADAMW, weight_decay=0.01),
    "nadam": _of(_DOZAT, lr=0.002, beta1=0.9, beta2=0.999),
    "radam": _of(_LIU_RADAM, lr=0.001, beta1=0.9, beta2=0.999),
    "rmsprop": _of(_HINTON, lr=0.001, beta2=0.9, momentum=0.0),
    "rprop": _of(_RIEDMILLER, lr=0.1),
    "lbfgs": _of(_NOCEDAL, lr=1.0),
    "adafactor": _of(_SHAZEER, lr=0.01),
    "muon": _of(_MOONLIGHT, lr=0.001, weight_decay=0.1) | _of(_JORDAN, momentum=0.95, nesterov=True),
}

_PAIRS: Mapping[tuple[str, str], Preset] = {
    ("cnn", "sgd"): _of(_KRIZHEVSKY, lr=0.01, momentum=0.9, weight_decay=0.0005, batch_size=128),
    ("resnet", "sgd"): _of(_HE, lr=0.1, momentum=0.9, weight_decay=0.0001, batch_size=128),
    ("unet", "sgd"): _of(
        _NNUNET, lr=0.01, momentum=0.99, nesterov=True, weight_decay=3e-5, schedule="polynomial", power=0.9
    ),
    ("unet", "adam"): _of(_NNUNET_ADAM, lr=3e-4, weight_decay=3e-5),
    ("detector", "sgd"): _of(_FCOS, lr=0.01, momentum=0.9, weight_decay=0.0001, batch_size=16),
    ("transformer", "adamw"): _of(_FT, lr=1e-4, weight_decay=1e-5),
}


def published(model: str, optimizer: str) -> Preset:
    """What is published for training `model` with `optimizer`: the optimizer's values alone for a model of the user's own."""
    return {**_OPTIMIZERS.get(optimizer, {}), **_PAIRS.get((model, optimizer), {})}


def for_settings(settings: Mapping[str, object]) -> tuple[str, str]:
    """The model (where the settings alone tell it; else "") and the optimizer that these settings train."""
    task = str(settings.get("task", "auto"))
    if task in ("auto", "digits"):
        task = PACKAGED.get(str(settings.get("data", "digits")), "")
    model, optimizer = str(settings.get("model", "auto")), str(settings.get("optimizer", "adam"))
    return _OF_TASK.get(task, "") if model == "auto" else model, optimizer


def pairs() -> list[tuple[str, str]]:
    """Every pair of which something is told apart: each optimizer with any model (""), then those with their own values."""
    return [*(("", optimizer) for optimizer in _OPTIMIZERS), *sorted(_PAIRS, key=lambda pair: MODELS.index(pair[0]))]
