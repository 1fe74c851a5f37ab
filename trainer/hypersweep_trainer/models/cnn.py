"""Convolutional networks for images: a plain one, and a residual one (He et al. 2016, arXiv:1512.03385)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from hypersweep_trainer.models.parts import activation, convolution, norm
from hypersweep_trainer.settings import Settings


def make_cnn(settings: Settings, inputs: tuple[int, ...], outputs: int) -> nn.Sequential:
    """`layers` 3x3 convolutions of `width` channels, the first two followed by pooling, then the outputs."""
    channels = [inputs[0]] + [settings.width] * settings.layers
    hidden: list[nn.Module] = []
    for depth, (before, after) in enumerate(pairwise(channels)):
        hidden += [*convolution(settings, before, after, auto="none")]
        hidden += [nn.MaxPool2d(2)] if depth < 2 else []
        hidden += [nn.Dropout(settings.dropout)]
    shrunk = 2 ** min(settings.layers, 2)
    # Large images are brought to 4x4: what stands in which corner stays known, and the last layer stays small.
    height, width = (min(4, max(1, side // shrunk)) for side in inputs[1:])
    last = channels[-1] * height * width
    return nn.Sequential(*hidden, nn.AdaptiveAvgPool2d((height, width)), nn.Flatten(), nn.Linear(last, outputs))


class Residual(nn.Module):
    """Two convolutions beside a shortcut; `stride` 2 halves the image."""

    def __init__(self, settings: Settings, inputs: int, outputs: int, *, stride: int) -> None:
        """The shortcut is the input itself where shapes allow it, else a 1x1 convolution."""
        super().__init__()
        self.first = convolution(settings, inputs, outputs, stride=stride, auto="batch")
        second = convolution(settings, outputs, outputs, auto="batch")[:-1]  # activated after the sum
        self.second = second
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
                *norm(settings, outputs, images=True, auto="batch"),
            )
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.activation = activation(settings)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, outputs, h / stride, w / stride)."""
        result: Tensor = self.activation(self.second(self.dropout(self.first(x))) + self.shortcut(x))
        return result


def make_resnet(settings: Settings, channels: int, outputs: int) -> nn.Sequential:
    """A stem, `layers` residual blocks (every second one halves the image and doubles the channels), an average."""
    width = settings.width
    blocks: list[nn.Module] = [convolution(settings, channels, width, auto="batch")]
    for block in range(settings.layers):
        halve = block % 2 == 1 and width < 512
        blocks.append(Residual(settings, width, width * 2 if halve else width, stride=2 if halve else 1))
        width *= 2 if halve else 1
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, outputs))
