"""Sobol: a scrambled sequence that fills the space evenly, indexed by the trial's number; the history does not matter.

Owl's scrambling depends on the seed. Two sweeps that need many even first trials, or a survey of the space, want it.

Sobol, On the distribution of points in a cube, 1967; Owen, Scrambling Sobol and Niederreiter-Xing points, 1998.
"""

from collections.abc import Hashable
from collections.abc import Set as AbstractSet

import numpy as np
from scipy.stats import qmc

from hypersweep.core.keyed import number
from hypersweep.core.strategies import random
from hypersweep.core.strategies.cube import Array, Cube
from hypersweep.core.strategies.points import tried
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment

REDRAWS = 8  # sequences that are scrambled otherwise, before unseen points are looked for at random


def suggest(question: Question) -> Assignment | None:
    """Point number `trial` of the sequence, or of another one where that was tried. None: the space is exhausted."""
    seen = tried(question.space, (*question.history, *question.pending))
    return unseen(Cube(question.space), seen=seen, seed=question.seed, trial=question.trial)


def unseen(cube: Cube, *, seen: AbstractSet[Hashable], seed: int, trial: int) -> Assignment | None:
    """The assignment at point number `trial`, unless its key is in `seen`."""
    for redraw in range(REDRAWS):
        assignment = cube.assignment(point(cube.size, seed=number("Sobol", seed, redraw), trial=trial))
        if cube.space.key(assignment) not in seen and cube.space.meets(assignment):
            return assignment
    return random.unseen(cube.space, seen=seen, seed=seed, trial=trial)


def point(dimensions: int, *, seed: int, trial: int) -> Array:
    """Point number `trial` of the scrambled sequence; nothing before it is kept."""
    sequence = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    found: Array = sequence.fast_forward(trial).random(1)[0] if trial else sequence.random(1)[0]
    return found
