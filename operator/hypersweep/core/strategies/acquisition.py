"""Where a fitted process expects the most: the search for the largest expected improvement over the cube.

Owns the acquisitions (the logarithm of expected improvement, stable where the improvement is tiny, and the greedy one: what is
expected alone) and how they are searched: points all over the cube and around the best trials, then a climb along the slope for
the coordinates that may take any value.

Ament et al., Unexpected Improvements to Expected Improvement for Bayesian Optimization, NeurIPS 2023; De Ath et al., Greed Is
Good: Exploration and Exploitation Trade-offs in Bayesian Optimisation, ACM TELO 2021.
"""

import math
from collections.abc import Callable
from itertools import islice

import numpy as np
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr

from hypersweep.core.strategies.cube import Array, Cube
from hypersweep.core.strategies.surrogate import Surrogate

ALL_OVER = 400
AROUND = 80  # each of the best points
BEST = 5
_WAYS = np.array([0.3, 0.1, 0.03, 0.01])  # how far around, in parts of an axis
_CLIMBERS = 4
_STEPS = 30
_ROOT2PI = 0.5 * math.log(2.0 * math.pi)

Acquisition = Callable[[Array, Array, float], tuple[Array, Array, Array]]
"""(mean, deviation, best) → the score of each point, larger is better, and its derivatives by mean and by deviation."""


def ranked(surrogate: Surrogate, rng: np.random.Generator, acquisition: Acquisition) -> tuple[Array, Array]:
    """Points in the order of their scores, the best first, and those."""
    best = float(surrogate.predict(surrogate.points)[0].min())
    points = candidates(surrogate, rng)
    scores = acquisition(*surrogate.predict(points), best)[0]
    starts = _starts(surrogate.cube, points[np.argsort(-scores, kind="stable")])
    climbed = _climbed(surrogate, starts, best, acquisition)
    points = np.vstack([climbed, points])
    scores = np.concatenate([acquisition(*surrogate.predict(climbed), best)[0], scores])
    order = np.argsort(-scores, kind="stable")
    return points[order], scores[order]


def _starts(cube: Cube, points: Array) -> Array:
    """The first few of these points that meet the constraints of the space; of all points, where none does."""
    if not cube.space.constraints:
        return points[:_CLIMBERS]
    met = list(islice((p for p in points if cube.space.meets(cube.assignment(p))), _CLIMBERS))
    return np.array(met) if met else points[:_CLIMBERS]


def log_improvement(mean: Array, deviation: Array, best: float) -> tuple[Array, Array, Array]:
    """log E[max(best - value, 0)], and its derivatives by mean and by deviation."""
    z = (best - mean) / deviation
    density = _log_h(z)
    ratio = np.exp(np.minimum(log_ndtr(z) - density, 300.0))  # Phi / h
    return np.log(deviation) + density, -ratio / deviation, (1.0 - ratio * z) / deviation


def greedy(mean: Array, deviation: Array, best: float) -> tuple[Array, Array, Array]:  # noqa: ARG001  (an Acquisition)
    """What is expected, how surely does not matter: the negative mean, and its derivatives."""
    return -mean, np.full_like(mean, -1.0), np.zeros_like(deviation)


def _log_h(z: Array) -> Array:
    """log(phi(z) + z Phi(z))."""
    near = np.maximum(z, -1.0)
    plain = np.log(np.exp(-0.5 * near * near - _ROOT2PI) + near * np.exp(log_ndtr(near)))
    far = np.minimum(z, -1.0)
    product = -far * erfcx(-far / math.sqrt(2.0)) * math.sqrt(math.pi / 2.0)  # → 1 - 1/z²
    rest = np.where(far > -1e4, np.log1p(-np.minimum(product, 1.0 - 1e-16)), -2.0 * np.log(-far))
    return np.where(z > -1.0, plain, -0.5 * far * far - _ROOT2PI + rest)


def candidates(surrogate: Surrogate, rng: np.random.Generator) -> Array:
    """Settled points all over the cube, and around the best that are known."""
    cube = surrogate.cube
    order = np.argsort(surrogate.values, kind="stable")[:BEST]
    around = [_around(cube, surrogate.points[i], rng) for i in order]
    return cube.settled(np.vstack([rng.random((ALL_OVER, cube.size)), *around]))


def _around(cube: Cube, centre: Array, rng: np.random.Generator) -> Array:
    """Points that differ from one in a few coordinates, in some by little; choices are drawn anew."""
    shape = AROUND, cube.size
    ways = rng.choice(_WAYS, size=(AROUND, 1))
    moved = centre + rng.normal(size=shape) * ways
    fresh = rng.random(shape)
    drawn = np.where(cube.unordered | (centre == cube.absent), fresh, np.abs(moved) % 2.0)
    drawn = np.where(drawn > 1.0, 2.0 - drawn, drawn)
    some = rng.random(shape) < rng.choice([1.5 / cube.size, 0.5, 1.0], size=(AROUND, 1))
    few = some & (~cube.unordered | (rng.random(shape) < 0.5))
    return np.where(few, drawn, np.where(centre < 0.0, fresh, centre))


def _climbed(surrogate: Surrogate, starts: Array, best: float, acquisition: Acquisition) -> Array:
    """Where the slope leads from each start, all at once; parameters of few values stay where they are."""
    cube = surrogate.cube
    free = np.broadcast_to(cube.continuous, starts.shape) & (starts != cube.absent if cube.conditional else True)
    if not free.any():
        return starts

    def loss(moved: Array) -> tuple[float, Array]:
        points = starts.copy()
        points[free] = moved
        mean, deviation, mean_slope, deviation_slope = surrogate.slopes(points)
        score, by_mean, by_deviation = acquisition(mean, deviation, best)
        slope = by_mean[:, None] * mean_slope + by_deviation[:, None] * deviation_slope
        return -float(score.sum()), -slope[free]

    found = minimize(
        loss,
        starts[free],
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * int(free.sum()),
        options={"maxiter": _STEPS, "maxfun": 2 * _STEPS},
    )
    points = starts.copy()
    points[free] = found.x
    return points
