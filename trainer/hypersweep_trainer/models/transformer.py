"""A small transformer for tables: FT-Transformer (Gorishniy et al. 2021, arXiv:2106.11959).

Each column becomes a token; a token of its own collects the answer; blocks norm before they act.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hypersweep_trainer.models.parts import activation
from hypersweep_trainer.settings import Settings


class TableTransformer(nn.Module):
    """`layers` attention blocks over tokens of `width` numbers."""

    def __init__(self, settings: Settings, inputs: int, outputs: int) -> None:
        """`inputs` columns, `outputs` numbers per row."""
        super().__init__()
        width = settings.width
        self.scale = nn.Parameter(torch.randn(inputs, width) / width**0.5)
        self.shift = nn.Parameter(torch.randn(inputs, width) / width**0.5)
        self.answer = nn.Parameter(torch.randn(1, 1, width) / width**0.5)
        self.blocks = nn.Sequential(*(Block(settings) for _ in range(settings.layers)))
        self.head = nn.Sequential(nn.LayerNorm(width), activation(settings), nn.Linear(width, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(n, columns) → (n, outputs)."""
        tokens = x.flatten(1)[:, :, None] * self.scale + self.shift
        tokens = torch.cat([self.answer.expand(x.shape[0], -1, -1), tokens], dim=1)
        result: Tensor = self.head(self.blocks(tokens)[:, 0])
        return result


class Block(nn.Module):
    """Attention, then two layers for each token by itself; both beside a shortcut."""

    def __init__(self, settings: Settings) -> None:
        """All sizes come from `width`."""
        super().__init__()
        width, dropout = settings.width, settings.dropout
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, settings.heads, dropout=dropout, batch_first=True)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            activation(settings),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, tokens, width) → the same."""
        normed = self.norm(tokens)
        tokens = tokens + self.attention(normed, normed, normed, need_weights=False)[0]
        result: Tensor = tokens + self.feedforward(tokens)
        return result
