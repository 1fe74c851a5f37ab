"""Who trains, who validates, who tests: fixed by `split_seed` and the targets alone, so that trials compare.

Stratified: each class, or each tenth of the values of a regression, gives its share to every part. Masks and boxes have
no single class, and are drawn at random.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hypersweep_trainer.settings import Settings

BINS = 10  # of a regression's values


class Parts(NamedTuple):
    """Indices of samples, in rising order; no two parts share one."""

    train: Tensor
    val: Tensor
    test: Tensor


def split(y: Tensor, *, task: str, settings: Settings) -> Parts:
    """The parts that the settings ask for. The test part is drawn first: no other setting changes who is in it."""
    groups = strata(y, task=task)
    test = stratified_sample(groups, fraction=settings.test_fraction, seed=settings.split_seed)
    rest = (~test).nonzero().flatten()
    if settings.folds:
        chosen = fold_of(groups[rest], folds=settings.folds, seed=settings.split_seed) == settings.fold
    else:
        fraction = settings.val_fraction / (1 - settings.test_fraction)
        chosen = stratified_sample(groups[rest], fraction=fraction, seed=settings.split_seed)
    return Parts(rest[~chosen], rest[chosen], test.nonzero().flatten())


def strata(y: Tensor, *, task: str) -> Tensor:
    """A number (n,) for each sample: samples of one number are spread evenly over the parts."""
    if task == "classification":
        return y
    if task != "regression":
        return torch.zeros(len(y), dtype=torch.long)
    bins = max(1, min(BINS, len(y) // BINS))  # of at least ten values: smaller ones would have none to give
    order = y.argsort(stable=True)
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(y)) * bins // len(y))


def stratified_sample(labels: Tensor, *, fraction: float, seed: int) -> Tensor:
    """A boolean mask (samples,) that holds about `fraction` of each class, and the same one for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():  # type: ignore[no-untyped-call]
        members = (labels == label).nonzero().flatten()
        chosen = torch.randperm(len(members), generator=generator)[: round(fraction * len(members))]
        mask[members[chosen]] = True
    return mask


def fold_of(labels: Tensor, *, folds: int, seed: int) -> Tensor:
    """The fold (n,) of each sample: folds of nearly one size, with nearly the same share of each class."""
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    return torch.empty(len(labels), dtype=torch.long).scatter_(0, by_class, torch.arange(len(labels)) % folds)
