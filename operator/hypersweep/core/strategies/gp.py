"""GP: Bayesian optimization with a Gaussian process of our own, for few, dear trials.

Owns which trials the process sees, and what of its proposals becomes the answer: the best that no trial has had. The cost is
bounded: of a long history the process sees the `KEPT` trials that `_kept` names. Open trials are believed to come out as
expected, so that those asked at one time lie apart.

Conditional parameters are modelled like others (see cube.py). Jones et al., Efficient Global Optimization, 1998.
"""

from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from hypersweep.core.keyed import number
from hypersweep.core.strategies import random, sobol
from hypersweep.core.strategies.acquisition import Acquisition, log_improvement, ranked
from hypersweep.core.strategies.cube import Array, Cube
from hypersweep.core.strategies.merit import measured, merits
from hypersweep.core.strategies.points import tried
from hypersweep.core.strategies.question import Question
from hypersweep.core.strategies.surrogate import Surrogate, Transform
from hypersweep.core.trial import Assignment, Trial

STARTUP = 8  # ended trials, one of them measured, before the process is asked; until then, Sobol
KEPT = 150  # trials that the process sees; fewer where there are many parameters
EVIDENCE = 10  # measured trials, before it is said what a further one promises
_PLACES = 64  # of the quadrature: values are transformed, so that there is no formula
_CELLS = 400_000  # parameters, times trials twice: what bounds a fit
_APART = 0.01  # of an axis: open trials that differ by less in every coordinate would tell the same
_OPEN = 64  # open trials that are believed, the newest


def suggest(question: Question, *, acquisition: Acquisition = log_improvement) -> Assignment | None:
    """The assignment that promises the largest improvement and that no trial has had. None: the space is exhausted.

    `acquisition` says what promises the most, if not expected improvement.
    """
    cube = Cube(question.space)
    seen = tried(question.space, (*question.history, *question.pending))
    enough = len(question.history) >= question.settings.get("startup", STARTUP)
    found = fitted(cube, question) if enough else None
    if found is None:
        return sobol.unseen(cube, seen=seen, seed=question.seed, trial=question.trial)
    pending = _points(cube, question.pending)
    for point in _promising(found[0], acquisition, key=("GP", question.seed, question.trial)):
        if len(pending) and np.abs(pending - point).max(1).min() < _APART:
            continue
        assignment = cube.assignment(point)
        if _new(cube, assignment, seen):
            return assignment
    return random.unseen(question.space, seen=seen, seed=question.seed, trial=question.trial)


def expected_improvement(question: Question) -> float | None:
    """How much the most promising unseen assignment is expected to improve the best, in the objective's units.

    None: fewer than EVIDENCE trials were measured. Open trials are believed, so that what they promise is not counted twice.
    A function of the trials alone: `question.trial` does not matter.
    """
    cube = Cube(question.space)
    found = fitted(cube, question) if sum(map(measured, question.history)) >= EVIDENCE else None
    if found is None:
        return None
    surrogate, transform = found
    seen = tried(question.space, (*question.history, *question.pending))
    points = _promising(surrogate, log_improvement, key=("expected improvement", question.seed))
    point = next((p for p, a in ((p, cube.assignment(p)) for p in points) if _new(cube, a, seen)), None)
    if point is None:
        return None
    mean, deviation = (float(x[0]) for x in surrogate.predict(point[None, :]))
    best = transform.invert(surrogate.predict(surrogate.points)[0].min(keepdims=True))
    places, weights = np.polynomial.hermite_e.hermegauss(_PLACES)
    gains = np.maximum(best - transform.invert(mean + deviation * places), 0.0)
    return float(gains @ weights / weights.sum())


def _promising(surrogate: Surrogate, acquisition: Acquisition, *, key: tuple[int | str, ...]) -> Array:
    """Points, the most promising first; `key` says where is looked."""
    return ranked(surrogate, np.random.default_rng(number(*key)), acquisition)[0]


def _new(cube: Cube, assignment: Assignment, seen: AbstractSet[Hashable]) -> bool:
    """Whether it is one that may be proposed: no trial has had it, and it meets the constraints."""
    return cube.space.key(assignment) not in seen and cube.space.meets(assignment)


def fitted(cube: Cube, question: Question) -> tuple[Surrogate, Transform] | None:
    """The process after this history, open trials believed, and how values were transformed; None: nothing is known."""
    history = sorted(question.history, key=lambda t: t.index)
    values = merits(history, question.goal)
    if values is None:
        return None
    kept = _kept(values, most=min(KEPT, int((_CELLS / cube.size) ** 0.5)))
    transform = Transform.of(values[kept])
    surrogate = Surrogate(cube, _points(cube, [history[i] for i in kept]), transform.apply(values[kept]))
    pending = sorted(question.pending, key=lambda t: t.index)[-_OPEN:]
    return (surrogate.believing(_points(cube, pending)) if pending else surrogate), transform


def _points(cube: Cube, trials: Sequence[Trial]) -> Array:
    return np.array([cube.point(t.parameters) for t in trials])


def _kept(values: NDArray[np.float64], *, most: int) -> Sequence[int]:
    """Which trials the process sees: of many, the best half of `most`, the newest quarter, and of the rest every so many.

    In the order of their numbers. A function of the values alone.
    """
    if len(values) <= most:
        return range(len(values))
    best = np.argsort(values, kind="stable")[: most // 2]
    kept = set(map(int, best)) | set(range(len(values) - most // 4, len(values)))
    rest = [i for i in range(len(values)) if i not in kept]
    places = np.linspace(0, len(rest) - 1, most - len(kept)).astype(int)
    return sorted(kept | {rest[p] for p in places})
