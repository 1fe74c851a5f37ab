"""Does the range test help a search? Twenty pairs of task and model, each searched twice with 20 random learning rates.

Once over 1e-7 … 1, once over the interval that the range test finds; both searches take the same random draws, seeds and
epochs, so that only the interval differs. A pair is won where the mean, over the repeats, of the best validation loss is
lower. The rule for the interval was written with the first ten (KNOWN) at hand; the other ten (HELD_OUT: other tasks, models
and optimizers) were named before they were run, and nothing was changed after. Exit code 1 unless eight of either ten are won.

    OMP_NUM_THREADS=1 python -m bench.lr_range [--repeats 3]
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean
from typing import NamedTuple

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from hypersweep_trainer.lr_interval import Finding
from hypersweep_trainer.lr_range import lr_range_test
from hypersweep_trainer.startup import defer_compiler

WIDE = (1e-7, 1.0)
TRIALS, EPOCHS, NEEDED = 20, 8, 8
WORST = 1e3  # the validation loss of a training that diverged, so that means stay finite


class Data(NamedTuple):
    """Tensors, standardised by their training part; `inputs` and `outputs` are what a model must fit."""

    train_x: Tensor
    train_y: Tensor
    val_x: Tensor
    val_y: Tensor
    inputs: int
    outputs: int


MADE: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "friedman": lambda: datasets.make_friedman1(n_samples=1000, noise=1.0, random_state=0),
    "moons": lambda: datasets.make_moons(n_samples=800, noise=0.25, random_state=0),
    "classes": lambda: datasets.make_classification(
        n_samples=1200, n_features=20, n_informative=10, n_classes=4, random_state=0
    ),
}
REGRESSION = {"diabetes", "friedman"}


def load(name: str) -> Data:
    """One of scikit-learn's data sets, its own or made, every fourth sample (of a fixed shuffle) for validation."""
    x, y = MADE[name]() if name in MADE else getattr(datasets, f"load_{name}")(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = torch.tensor(x[order], dtype=torch.float32), torch.tensor(y[order])
    val = torch.arange(len(x)) % 4 == 0
    x = (x - x[~val].mean(0)) / x[~val].std(0).clamp_min(1e-6)
    outputs = 1
    if name in REGRESSION:
        y = ((y - y[~val].mean()) / y[~val].std()).float().unsqueeze(1)
    else:
        y, outputs = y.long(), int(y.max()) + 1
    return Data(x[~val], y[~val], x[val], y[val], x.shape[1], outputs)


def mlp(*hidden: int) -> Callable[[Data], nn.Module]:
    """Fully connected, with ReLU; without hidden layers, a linear model."""

    def make(data: Data) -> nn.Module:
        sizes = [data.inputs, *hidden]
        layers: list[nn.Module] = []
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], data.outputs))

    return make


def cnn(*, norm: bool) -> Callable[[Data], nn.Module]:
    """Two convolutions over 8x8 pixels."""

    def make(data: Data) -> nn.Module:
        layers: list[nn.Module] = [nn.Unflatten(1, (1, 8, 8))]
        for a, b in pairwise((1, 8, 16)):
            layers += [nn.Conv2d(a, b, 3, padding=1), *([nn.BatchNorm2d(b)] * norm), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, data.outputs))

    return make


def sgd(parameters: object, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Batches:
    """The training part in mini-batches, each pass in an order of torch's random numbers."""

    data: Data
    size: int

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in torch.randperm(len(self.data.train_x)).split(self.size):
            yield self.data.train_x[chosen], self.data.train_y[chosen]


@dataclass(frozen=True)
class Pair:
    """A task and a model, with its optimizer."""

    task: str
    what: str
    model: Callable[[Data], nn.Module]
    optimizer: Callable[..., torch.optim.Optimizer]
    batch: int = 32

    def prepared(self, data: Data, rate: float, seed: int) -> tuple[nn.Module, torch.optim.Optimizer, "Batches"]:
        torch.manual_seed(seed)
        model = self.model(data)
        return model, self.optimizer(model.parameters(), rate), Batches(data, self.batch)


def plain_sgd(parameters: object, rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=rate)  # type: ignore[arg-type]


KNOWN = (
    Pair("digits", "MLP, SGD + momentum", mlp(64, 64), sgd),
    Pair("digits", "MLP, Adam", mlp(64, 64), torch.optim.Adam),
    Pair("digits", "CNN, SGD + momentum", cnn(norm=False), sgd),
    Pair("digits", "CNN + batch norm, AdamW", cnn(norm=True), torch.optim.AdamW),
    Pair("digits", "linear, SGD + momentum", mlp(), sgd, batch=64),
    Pair("wine", "MLP, Adam", mlp(32), torch.optim.Adam, batch=16),
    Pair("breast_cancer", "MLP, RMSprop", mlp(32, 32), torch.optim.RMSprop),
    Pair("breast_cancer", "MLP, SGD + momentum", mlp(32, 32), sgd),
    Pair("diabetes", "MLP, Adam", mlp(32), torch.optim.Adam),
    Pair("diabetes", "linear, SGD + momentum", mlp(), sgd),
)
HELD_OUT = (
    Pair("friedman", "MLP, SGD + momentum", mlp(64), sgd),
    Pair("friedman", "deep MLP, Adam", mlp(32, 32, 32), torch.optim.Adam),
    Pair("friedman", "linear, RMSprop", mlp(), torch.optim.RMSprop),
    Pair("moons", "MLP, SGD", mlp(32, 32), plain_sgd, batch=16),
    Pair("moons", "MLP, AdamW", mlp(32, 32), torch.optim.AdamW, batch=16),
    Pair("classes", "MLP, SGD", mlp(64), plain_sgd),
    Pair("classes", "MLP, NAdam", mlp(64), torch.optim.NAdam),
    Pair("digits", "CNN, RMSprop", cnn(norm=False), torch.optim.RMSprop),
    Pair("digits", "deep MLP, RAdam", mlp(64, 64, 64), torch.optim.RAdam),
    Pair("breast_cancer", "linear, Adam", mlp(), torch.optim.Adam),
)


def validation_loss(pair: Pair, data: Data, rate: float, seed: int) -> float:
    """Train for the bench's epochs at a constant rate."""
    loss = mse_loss if pair.task in REGRESSION else cross_entropy
    model, optimizer, loader = pair.prepared(data, rate, seed)
    for _ in range(EPOCHS):
        for x, y in loader:
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
    with torch.no_grad():
        value = float(loss(model.eval()(data.val_x), data.val_y))
    return min(value, WORST) if value == value else WORST  # noqa: PLR0124  # NaN


def find(pair: Pair, data: Data, seed: int = 0) -> Finding:
    """The range test of a pair."""
    loss = mse_loss if pair.task in REGRESSION else cross_entropy
    model, optimizer, loader = pair.prepared(data, 1e-3, seed)
    return lr_range_test(model, optimizer, loss, loader, start=WIDE[0], end=WIDE[1])


def search(pair: Pair, data: Data, bounds: tuple[float, float], draws: Sequence[float], seed: int) -> float:
    """The best of the trials: one per draw (0 … 1), log-uniform within the bounds."""
    low, high = bounds
    return min(validation_loss(pair, data, low * (high / low) ** draw, seed + i) for i, draw in enumerate(draws))


def compare(pair: Pair, repeats: int) -> tuple[Finding, float, float]:
    """What the range test found, and the mean best loss in its interval and in the wide one."""
    data = load(pair.task)
    found = find(pair, data)
    bounds = found.suggestion or WIDE
    narrow, wide = [], []
    for repeat in range(repeats):
        dice = random.Random(repeat)
        draws = [dice.random() for _ in range(TRIALS)]
        narrow.append(search(pair, data, bounds, draws, seed=1000 * repeat))
        wide.append(search(pair, data, WIDE, draws, seed=1000 * repeat))
    return found, mean(narrow), mean(wide)


def table(pairs: Sequence[Pair], repeats: int) -> int:
    """Compare these pairs, a line each; how many are won."""
    won = 0
    print("\n| task | model, optimizer | found | best loss there | best loss in 1e-7 … 1 | |")
    print("|---|---|---|---|---|---|")
    for pair in pairs:
        found, narrow, wide = compare(pair, repeats)
        won += narrow < wide
        where = "{:.2g} … {:.2g}".format(*found.suggestion) if found.suggestion else str(found.verdict)
        verdict = "won" if narrow < wide else "lost"
        print(f"| {pair.task} | {pair.what} | {where} | {narrow:.4f} | {wide:.4f} | {verdict} |", flush=True)
    return won


def main(argv: Sequence[str]) -> int:
    """Compare all pairs; 0 if enough are won."""
    parser = argparse.ArgumentParser(prog="python -m bench.lr_range", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="searches per pair and interval")
    repeats = parser.parse_args(argv).repeats
    defer_compiler()
    torch.set_num_threads(1)
    began, enough = time.monotonic(), True
    for name, pairs in (("held out", HELD_OUT), ("known", KNOWN)):
        won = table(pairs, repeats)
        enough = enough and won >= NEEDED
        print(f"\n{won} of {len(pairs)} {name} won ({repeats} searches each, {time.monotonic() - began:.0f} s so far)")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
