"""Averaged weights (EMA): a slow copy that follows the weights and often answers better than they do.

Starts as the weights, and follows them faster at first, so that a short training is not judged by its random start.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call


class Averages:
    """The averaged weights of a model; norms' running statistics are always the model's own."""

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        """`decay` is how much of the old average stays at each step."""
        self.decay, self.steps = decay, 0
        self.weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(list(self.weights.values()), list(model.parameters()), 1 - decay)

    def answer(self, model: nn.Module, x: Tensor) -> Tensor:
        """What the model says with averaged weights."""
        result: Tensor = functional_call(model, self.weights, (x,))
        return result

    def state(self) -> dict[str, object]:
        """Part of a checkpoint."""
        return {"steps": self.steps, "weights": self.weights}

    @torch.no_grad()
    def restore(self, state: Mapping[str, object]) -> None:
        """What `state` gave."""
        steps, weights = state["steps"], state["weights"]
        assert isinstance(steps, int)  # noqa: S101  # of our own checkpoint
        assert isinstance(weights, Mapping)  # noqa: S101
        self.steps = steps
        for name, weight in weights.items():
            self.weights[name].copy_(weight)
