"""Histories of sweeps whose truth is known: assignments drawn evenly, values by a function of them, and noise."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.strategies import random
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Outcome, Trial
from tests.core.builders import make_spec

PARAMETERS: list[dict[str, Any]] = [
    {"name": "lr", "type": "Float", "min": 1e-4, "max": 1, "scale": "Log"},
    {"name": "dropout", "type": "Float", "min": 0, "max": 1},
    {"name": "layers", "type": "Integer", "min": 1, "max": 6},
    {"name": "optimizer", "type": "Categorical", "values": ["adam", "rprop", "sgd"]},
    {
        "name": "momentum",
        "type": "Float",
        "min": 0,
        "max": 1,
        "when": [{"parameter": "optimizer", "values": ["sgd", "rprop"]}],
    },
]
Truth = Callable[[Mapping[str, Any]], float]


def make_sweep(parameters: Sequence[dict[str, Any]] = PARAMETERS, **changes: Any) -> SweepSpec:
    return make_spec(parameters=list(parameters), **changes)


def history(
    truth: Truth, *, count: int = 60, seed: int = 0, noise: float = 0.3, parameters: Sequence[Any] = PARAMETERS
) -> list[Trial]:
    """Trials of a random search, succeeded, of value truth + noise (a standard deviation)."""
    space = Space.of(make_sweep(parameters))
    draws = np.random.default_rng(seed)
    trials = []
    for index in range(count):
        question = Question(space=space, goals=("Minimize",), history=(), pending=(), seed=seed, trial=index)
        assignment = random.suggest(question) or {}
        value = truth(assignment) + noise * float(draws.normal())
        trials.append(
            Trial(index=index, run=f"run-{index}", parameters=assignment, outcome=Outcome.SUCCEEDED, value=value)
        )
    return trials
