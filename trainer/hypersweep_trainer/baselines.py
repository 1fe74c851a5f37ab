"""What a result must beat: a constant answer, and a linear model, on the same split and with the same metrics.

Computed once, before the first epoch, in well under a second; large data sets are cut to what that allows. Both leave
the training's random numbers as they were.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypersweep_trainer.data import Data
from hypersweep_trainer.metrics import Scores, make_scorer

ROWS = 20_000  # samples that the linear model looks at
COLUMNS = 4_096  # numbers in a sample, above which there is no linear model
PENALTY = 1.0  # scikit-learn's default strength for ridge and logistic regression


def baselines(data: Data) -> Scores:
    """`baseline_constant_*` and `baseline_linear_*`: the metrics of both on the validation part."""
    if data.task == "detection":
        return {}  # a constant finds nothing, and there is no linear detector
    train, val = data.train[:ROWS], data.val[:ROWS]
    y, truth = data.y[train], data.y[val]
    found = _named("constant", data, constant(data, y, truth), truth)
    if data.task != "segmentation" and math.prod(data.shape) <= COLUMNS:
        (x, _), (looked_at, _) = data.batch(train), data.batch(val)
        weights = ridge(_with_one(x), y) if data.task == "regression" else logistic(_with_one(x), y, data.outputs)
        found |= _named("linear", data, _with_one(looked_at) @ weights, truth)
    return found


def _named(name: str, data: Data, output: Tensor, truth: Tensor) -> Scores:
    scorer = make_scorer(data)
    scorer.add(output, truth)
    return {f"baseline_{name}_{metric}": value for metric, value in scorer.scores().items()}


def constant(data: Data, y: Tensor, truth: Tensor) -> Tensor:
    """The mean, or the logarithm of each class's share, for every sample or pixel."""
    if data.task == "regression":
        return y.mean().expand(len(truth), 1)
    share = y.flatten().bincount(minlength=data.outputs).float() / y.numel()
    logits = share.clamp(min=1e-6).log().view(1, -1, *[1] * (truth.ndim - 1))
    return logits.expand(len(truth), -1, *truth.shape[1:])


def _with_one(x: Tensor) -> Tensor:
    x = x.flatten(1)
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)


def ridge(x: Tensor, y: Tensor) -> Tensor:
    """Weights (columns, 1) of ridge regression; the last column is the constant, which is not held back."""
    penalty = torch.eye(x.shape[1], device=x.device) * PENALTY
    penalty[-1, -1] = 0
    weights: Tensor = torch.linalg.solve(x.T @ x + penalty, x.T @ y)
    return weights[:, None]


def logistic(x: Tensor, y: Tensor, classes: int) -> Tensor:
    """Weights (columns, classes) of logistic regression, by LBFGS from zero."""
    weights = torch.zeros(x.shape[1], classes, device=x.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = cross_entropy(x @ weights, y) + PENALTY / 2 * weights[:-1].square().sum() / len(x)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach()
