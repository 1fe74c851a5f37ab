"""The learning-rate range test, for any model, optimizer and loop: one mini-batch after the other, the rate rising.

    finding = lr_range_test(model, optimizer, loss, loader)
    print(finding.reason, finding.suggestion)

Owns the training that the test does, and that nothing remains of it: weights, buffers, optimizer, gradients, modes and
random numbers are afterwards what they were. What the curve says is read in `lr_interval.py`.
"""

from __future__ import annotations

import copy
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hypersweep_trainer.lr_interval import Finding, Verdict, analyse

_MEMORY = 0.9  # of the running average that stops the test: some ten batches
_DIVERGED = 3.0  # times the fall so far (or half the first loss), above the first loss: there is nothing left to see

Loss = Callable[[Any, Any], Tensor]


def lr_range_test(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    loader: Iterable[Sequence[Any]],
    *,
    start: float = 1e-7,
    end: float = 1.0,
    steps: int = 100,
    on_step: Callable[[int, float, float], None] = lambda _step, _rate, _loss: None,
) -> Finding:
    """Train `steps` mini-batches while the rate grows exponentially from `start` to `end`, and say where the loss falls.

    A mini-batch of `loader` is (inputs…, targets), on whatever device; the loss is `loss(model(*inputs), targets)`, a
    mean over the batch. The loader is gone through as often as it takes, so it must be one that can be gone through again.
    Groups of parameters whose rates differ keep their ratio to the first group's. Ends early when the loss diverges.
    `on_step(step, rate, loss)` is called after each mini-batch.

    Raises:
        ValueError: bounds that are no interval, or a loader without a batch.
    """
    if not 0 < start < end or steps < 2 or not math.isfinite(end):
        raise ValueError(f"found start={start}, end={end}, steps={steps}; allowed: 0 < start < end, and steps ≥ 2")
    if isinstance(optimizer, torch.optim.Rprop):
        reason = "Rprop sizes each step by the signs of the gradient: its rate is only the first step's size"
        return Finding(verdict=Verdict.NO_RATE, reason=reason)
    rates, losses = [], []
    with as_before(model, optimizer, loader):
        model.train()
        ratios = _ratios(optimizer)
        watch = _Divergence()
        for step, batch in enumerate(itertools.islice(_again_and_again(loader), steps)):
            rate = start * (end / start) ** (step / (steps - 1))
            for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
                _set_rate(group, rate * ratio)
            rates.append(rate)
            losses.append(_step(model, optimizer, loss, batch))
            on_step(step, rate, losses[-1])
            if watch.diverged(losses[-1]):
                break
    return analyse(rates, losses)


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Loss, batch: Sequence[Any]) -> float:
    """One step on one mini-batch. The loss before it; optimizers that evaluate several times (LBFGS) get to."""
    *inputs, targets = batch

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(model(*inputs), targets)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        value = optimizer.step(closure)  # type: ignore[arg-type]  # torch's stubs want a float, and take the tensor
    return float(value.detach()) if isinstance(value, Tensor) else float(value)


class _Divergence:
    """Stops the test where going on would show nothing: a loss that is not finite, or far above where it began."""

    def __init__(self) -> None:
        self.count, self.average, self.first, self.best = 0, 0.0, 0.0, math.inf

    def diverged(self, loss: float) -> bool:
        if not math.isfinite(loss):
            return True
        self.count += 1
        self.average = _MEMORY * self.average + (1 - _MEMORY) * loss
        now = self.average / (1 - _MEMORY**self.count)
        self.first = now if self.count <= 10 else self.first
        self.best = min(self.best, now)
        return now > self.first + _DIVERGED * max(self.first - self.best, 0.5 * abs(self.first))


def _ratios(optimizer: torch.optim.Optimizer) -> list[float]:
    """Each group's rate in terms of the first group's."""
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    return [rate / rates[0] if rates[0] > 0 else 1.0 for rate in rates]


def _set_rate(group: dict[str, Any], rate: float) -> None:
    if isinstance(group["lr"], Tensor):  # optimizers that run as CUDA graphs keep it on the device
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def _again_and_again(loader: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise ValueError("the loader has no batch (or cannot be gone through a second time)")


@contextmanager
def as_before(model: nn.Module, optimizer: torch.optim.Optimizer, loader: object) -> Iterator[None]:
    """Put everything back afterwards that training changes, in place: who holds a reference sees no difference."""
    tensors = [*model.parameters(), *model.buffers(), *_parameters(optimizer)]
    values = [tensor.detach().clone() for tensor in tensors]
    gradients = [tensor.grad for tensor in tensors]
    for tensor in tensors:
        tensor.grad = None
    modes = [(module, module.training) for module in model.modules()]
    state = copy.deepcopy(optimizer.state_dict())
    with _random_numbers(loader):
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value, gradient in zip(tensors, values, gradients, strict=True):
                    tensor.copy_(value)
                    tensor.grad = gradient
            optimizer.load_state_dict(state)
            for module, training in modes:
                module.training = training


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """What the optimizer moves; some of it may not be the model's, such as the loss's own parameters."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


@contextmanager
def _random_numbers(loader: object) -> Iterator[None]:
    """Python's, NumPy's and torch's random numbers, and the loader's own, go on afterwards as if nothing had happened."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # what datasets draw from, if they do
    generators = {id(g): g for g in _generators(loader)}.values()
    states = [generator.get_state() for generator in generators]
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
            for generator, state in zip(generators, states, strict=True):
                generator.set_state(state)


def _generators(loader: object) -> Iterator[torch.Generator]:
    for holder in (loader, getattr(loader, "sampler", None)):
        generator = getattr(holder, "generator", None)
        if isinstance(generator, torch.Generator):
            yield generator
