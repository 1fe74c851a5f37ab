"""What all networks are made of: activations and norms, by the settings' names."""

from __future__ import annotations

import math

from torch import nn

from hypersweep_trainer.settings import Settings

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
}


def activation(settings: Settings) -> nn.Module:
    """The activation that the settings name."""
    return ACTIVATIONS[settings.activation]()


def norm(settings: Settings, width: int, *, images: bool, auto: str) -> list[nn.Module]:
    """The norm over `width` units or channels, or nothing. `auto` is what the family of models takes by itself."""
    match auto if settings.normalization == "auto" else settings.normalization:
        case "batch":
            return [nn.BatchNorm2d(width) if images else nn.BatchNorm1d(width)]
        case "layer":
            return [nn.GroupNorm(1, width) if images else nn.LayerNorm(width)]
        case "group":  # eight groups, or as many as divide the width
            return [nn.GroupNorm(math.gcd(8, width), width)]
        case _:
            return []


def convolution(settings: Settings, inputs: int, outputs: int, *, stride: int = 1, auto: str) -> nn.Sequential:
    """3x3 convolution, norm, activation. The convolution has no bias where a norm would take it away again."""
    after = norm(settings, outputs, images=True, auto=auto)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=not after), *after, activation(settings)
    )
