"""CMAES: an evolution strategy, replayed from the history for each trial; for many trials over numbers.

Owns the bookkeeping of generations, which makes the answer a function of (history, seed): the ended trials, in the order of
their numbers, are told in blocks of one population; what is left over waits for the next. A search that has converged
begins anew with twice the population (Auger and Hansen, 2005).

Every parameter is a coordinate of the cube; those of few values are rounded. Unordered choices and conditional parameters are
better left to others.

Hansen, The CMA Evolution Strategy: A Tutorial, arXiv 1604.00772; Nomura et al., Warm Starting CMA-ES, AAAI 2021.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cmaes
import numpy as np

from hypersweep.core.keyed import number
from hypersweep.core.strategies import random
from hypersweep.core.strategies.cube import Array, Cube
from hypersweep.core.strategies.merit import merits
from hypersweep.core.strategies.points import tried
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment, Trial

REDRAWS = 16
SIGMA = 0.3  # of the first generation, in parts of an axis

Told = Sequence[tuple[Array, float]]


def suggest(question: Question, *, source: int = 0) -> Assignment | None:
    """A draw from the distribution that the history has led to. None: the space is exhausted.

    The first `source` ended trials are another strategy's, and before them those of a warm start: they say where to begin, and
    are not told.
    """
    cube = Cube(question.space)
    seen = tried(question.space, (*question.history, *question.pending))
    source += question.before
    optimizer = _replayed(_told(cube, question), _Begin(max(2, cube.size), question.seed, question.settings), source)
    optimizer.reseed_rng(number("CMAES", question.seed, question.trial) >> 32)
    for _ in range(REDRAWS):
        assignment = cube.assignment(optimizer.ask()[: cube.size])
        if question.space.key(assignment) not in seen and question.space.meets(assignment):
            return assignment
    return random.unseen(question.space, seen=seen, seed=question.seed, trial=question.trial)


def _told(cube: Cube, question: Question) -> Told:
    """What the optimizer hears of each ended trial, in the order of their numbers. (It needs two coordinates at least.)"""
    history: Sequence[Trial] = sorted(question.history, key=lambda t: t.index)
    values = merits(history, question.goal)
    if values is None:
        return []
    padding = np.full(max(0, 2 - cube.size), 0.5)
    return [
        (np.concatenate([np.maximum(cube.point(t.parameters), 0.0), padding]), float(v))
        for t, v in zip(history, values, strict=True)
    ]


@dataclass(frozen=True)
class _Begin:
    """How an optimizer of so many coordinates begins."""

    size: int
    seed: int
    settings: Mapping[str, Any]

    def __call__(self, *, restarts: int, source: Told = ()) -> cmaes.CMA:
        """An optimizer before its first generation; each restart doubles the population and begins somewhere else."""
        bounds = np.tile([0.0, 1.0], (self.size, 1))
        population = (self.settings.get("population_size") or 4 + math.floor(3 * math.log(self.size))) * 2**restarts
        if source:
            mean, sigma, covariance = cmaes.get_warm_start_mgd(list(source), gamma=max(0.1, 1.0 / len(source)))
            return cmaes.CMA(np.clip(mean, 0.0, 1.0), sigma, bounds, population_size=population, cov=covariance)
        mean = np.full(self.size, 0.5)
        if restarts:
            mean = np.random.default_rng(number("CMAES", self.seed, "restart", restarts)).random(self.size)
        return cmaes.CMA(mean, self.settings.get("sigma", SIGMA), bounds, population_size=population)


def _replayed(told: Told, begin: _Begin, source: int) -> cmaes.CMA:
    """The optimizer after all full generations."""
    restarts = 0
    optimizer = begin(restarts=0, source=told[:source])
    generation: list[tuple[Array, float]] = []
    for solution in told[source:]:
        generation.append(solution)
        if len(generation) == optimizer.population_size:
            optimizer.tell(generation)
            generation = []
            if optimizer.should_stop():
                restarts += 1
                optimizer = begin(restarts=restarts)
    return optimizer
