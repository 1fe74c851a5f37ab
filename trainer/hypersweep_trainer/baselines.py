"""What a result must beat: a constant answer, and a linear model, on the same split and with the same metrics.

Computed once, before the first epoch, in well under a second; large data sets are cut to what that allows. Both leave
the training's random numbers as they were. Refuses to cost a training its beginning: one that fails is left out, with a
warning, also if it is memory that it lacks, since a batch may fit where all samples at once do not.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hypersweep_trainer.data import Data
from hypersweep_trainer.exits import TrainerError, reason
from hypersweep_trainer.metrics import Scores, make_scorer

log = logging.getLogger(__name__)

ROWS = 20_000  # samples that the linear model looks at
COLUMNS = 4_096  # numbers in a sample, above which there is no linear model
PENALTY = 1.0  # scikit-learn's default strength for ridge and logistic regression


def baselines(data: Data) -> Scores:
    """`baseline_constant_*` and `baseline_linear_*`: the metrics of both on the validation part.

    Raises BadInputError for samples that can't be read, since no training gets past them.
    """
    if data.task == "detection":
        return {}  # a constant finds nothing, and there is no linear detector
    train, val = data.train[:ROWS], data.val[:ROWS]
    found = _scored("constant", data, val, lambda: constant(data, data.y[train], data.y[val]))
    if data.task != "segmentation" and math.prod(data.shape) <= COLUMNS:
        found |= _scored("linear", data, val, lambda: linear(data, train, val))
    return found


def _scored(name: str, data: Data, samples: Tensor, answer: Callable[[], Tensor]) -> Scores:
    """The metrics of an answer to these samples; none, with a warning, if something refuses."""
    try:
        scorer = make_scorer(data)
        scorer.add(answer(), data.y[samples])
        return {f"baseline_{name}_{metric}": value for metric, value in scorer.scores().items()}
    except TrainerError:
        raise
    except Exception as error:  # noqa: BLE001  # odd data, little memory: no reason to lose a training
        log.warning("the %s baseline is left out: %s", name, reason(error))
        return {}


def constant(data: Data, y: Tensor, truth: Tensor) -> Tensor:
    """The mean, or the logarithm of each class's share, for every sample or pixel."""
    if data.task == "regression":
        return y.mean().expand(len(truth), 1)
    share = y.flatten().bincount(minlength=data.outputs).float() / y.numel()
    logits = share.clamp(min=1e-6).log().view(1, -1, *[1] * (truth.ndim - 1))
    return logits.expand(len(truth), -1, *truth.shape[1:])


def linear(data: Data, train: Tensor, samples: Tensor) -> Tensor:
    """Ridge or logistic regression on the samples `train`, and its answers to `samples`."""
    (x, y), (looked_at, _) = data.batch(train), data.batch(samples)
    weights = ridge(_with_one(x), y) if data.task == "regression" else logistic(_with_one(x), y, data.outputs)
    return _with_one(looked_at) @ weights


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
