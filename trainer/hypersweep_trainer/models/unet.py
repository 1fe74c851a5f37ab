"""A U-Net for masks (Ronneberger et al. 2015, arXiv:1505.04597), with upsampling in place of transposed convolutions."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from hypersweep_trainer.models.parts import convolution
from hypersweep_trainer.settings import Settings


class UNet(nn.Module):
    """`layers` levels down and up again, `width` channels at full size, twice as many a level below."""

    def __init__(self, settings: Settings, channels: int, outputs: int) -> None:
        """From (n, channels, h, w) to (n, outputs, h, w), whatever h and w are, from 2**layers on."""
        super().__init__()
        widths = [settings.width * 2**level for level in range(settings.layers + 1)]
        before = [channels, *widths]
        self.down = nn.ModuleList(_double(settings, a, b) for a, b in pairwise(before))
        self.up = nn.ModuleList(_double(settings, below + here, here) for here, below in pairwise(widths))
        self.dropout = nn.Dropout2d(settings.dropout)
        self.head = nn.Conv2d(widths[0], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits per pixel."""
        kept: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(max_pool2d(x, 2) if level else x)
            kept.append(x)
        x = self.dropout(kept.pop())
        for block in reversed(self.up):
            beside = kept.pop()
            x = block(torch.cat([interpolate(x, size=beside.shape[-2:]), beside], dim=1))
        logits: Tensor = self.head(x)
        return logits


def _double(settings: Settings, inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        convolution(settings, inputs, outputs, auto="batch"), convolution(settings, outputs, outputs, auto="batch")
    )
