"""How weights move: torch's optimizers, each given only those settings that it has.

Weight decay spares norms and biases, which have no business near zero. Muon takes matrices only (Jordan et al. 2024),
so AdamW moves the rest beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from hypersweep_trainer.settings import Settings
from hypersweep_trainer.startup import defer_compiler

Groups = list[dict[str, Any]]


class Optimizer(Protocol):
    """What the training asks of an optimizer, or of two."""

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...

    def zero_grad(self) -> None: ...

    def step(self, *closure: Any) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> None: ...


def make_optimizer(settings: Settings, model: nn.Module) -> Optimizer:
    """The optimizer of the settings, for all weights of the model that can learn."""
    if not settings.compile:
        defer_compiler()
    s, groups = settings, grouped(model, decay=settings.weight_decay)
    betas = (s.beta1, s.beta2)
    # One kernel for all weights, instead of several for each: a small network's step is mostly calls.
    fused = next(model.parameters()).device.type in ("cpu", "cuda") or None
    match s.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=s.lr, momentum=s.momentum, nesterov=s.nesterov, fused=fused)
        case "adam":
            return torch.optim.Adam(groups, lr=s.lr, betas=betas, fused=fused)
        case "adamw":
            return torch.optim.AdamW(groups, lr=s.lr, betas=betas, fused=fused)
        case "nadam":
            return torch.optim.NAdam(groups, lr=s.lr, betas=betas)
        case "radam":
            return torch.optim.RAdam(groups, lr=s.lr, betas=betas)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=s.lr, alpha=s.beta2, momentum=s.momentum)
        case "adafactor":
            return torch.optim.Adafactor(groups, lr=s.lr)
        case "rprop":
            return torch.optim.Rprop(model.parameters(), lr=s.lr)
        case "lbfgs":
            return torch.optim.LBFGS(model.parameters(), lr=s.lr, max_iter=20, line_search_fn="strong_wolfe")
        case "muon":
            return muon(settings, model)


def grouped(model: nn.Module, *, decay: float) -> Groups:
    """Parameters that decay, and those that don't: biases, norms and other vectors. Each group costs time at each step."""
    if not decay:
        return [{"params": [p for p in model.parameters() if p.requires_grad], "weight_decay": 0.0}]
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


class Both:
    """Two optimizers for two sets of weights, used like one."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        """Each moves its own weights."""
        self.parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all parts: setting `lr` in each sets it everywhere."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self.parts:
            part.zero_grad()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of each; the closure, if there is one, computes the loss that is returned."""
        loss = closure() if closure else None
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """By position."""
        return {str(position): part.state_dict() for position, part in enumerate(self.parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        for position, part in enumerate(self.parts):
            part.load_state_dict(state[str(position)])


def muon(settings: Settings, model: nn.Module) -> Optimizer:
    """Muon for matrices, AdamW for the rest; one rate fits both, as Muon's steps are scaled to AdamW's size."""
    learning = [p for p in model.parameters() if p.requires_grad]
    matrices, rest = [p for p in learning if p.ndim == 2], [p for p in learning if p.ndim != 2]
    decay = settings.weight_decay
    parts: list[torch.optim.Optimizer] = []
    if matrices:
        parts.append(
            torch.optim.Muon(
                matrices,
                lr=settings.lr,
                weight_decay=decay,
                momentum=settings.momentum,
                nesterov=settings.nesterov,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    if rest:
        groups = [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ]
        betas = (settings.beta1, settings.beta2)
        parts.append(torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.lr, betas=betas))
    return Both(*parts)
