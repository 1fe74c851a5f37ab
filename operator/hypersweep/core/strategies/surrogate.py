"""A Gaussian process over the unit cube: what a value is expected to be where nobody has looked, and how surely.

Owns kernel, priors, fit and prediction; proposes nothing and knows no trials. Numbers to minimize come in, standardized
after a power transform, so that a few very bad ones do not hide the differences among the good.

Kernel: Matérn 5/2 with a length scale a parameter. Unordered choices differ by one or not at all. Length scales have the
log-normal prior of Hvarfner et al. (Vanilla Bayesian Optimization Performs Great in High Dimensions, ICML 2024), which
grows with the square root of the number of parameters; hyperparameters are fitted by maximum a posteriori.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from hypersweep.core.strategies.cube import Array, Cube

_ROOT5 = math.sqrt(5.0)
_POWERS = np.linspace(-1.0, 2.0, 31)  # of the transform: 1 changes nothing
_STEPS = 40  # of the fit at most
_SCALE = (math.sqrt(2.0), math.sqrt(3.0))  # of a length scale's logarithm, for one parameter: mean and deviation
_NOISE = (-6.0, 1.5)  # of the noise variance's logarithm; the values' variance is 1
_JITTER = 1e-6


@dataclass(frozen=True)
class Transform:
    """Yeo and Johnson's power transform of centred values, then standardized. Monotone."""

    centre: float
    spread: float
    power: float
    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Array) -> "Transform":
        """The transform under which these values look most like a normal distribution."""
        centre = float(np.median(values))
        away = np.abs(values - centre)
        spread = float(np.median(away)) or float(np.mean(away)) or 1.0  # few values far away are not to set the scale
        scaled = (values - centre) / spread
        logs = np.sign(scaled) * np.log1p(np.abs(scaled))
        likelihoods = [
            -0.5 * len(values) * math.log(_raised(scaled, p).var() + 1e-12) + (p - 1) * logs.sum() for p in _POWERS
        ]
        power = float(_POWERS[int(np.argmax(likelihoods))])
        raised = _raised(scaled, power)
        return cls(centre, spread, power, float(raised.mean()), float(raised.std()) or 1.0)

    def apply(self, values: Array) -> Array:
        raised: Array = _raised((values - self.centre) / self.spread, self.power)
        return (raised - self.mean) / self.deviation

    def invert(self, values: Array) -> Array:
        """The values that `apply` makes these of; what is beyond its range is taken to the range's end."""
        return _lowered(values * self.deviation + self.mean, self.power) * self.spread + self.centre


def _raised(x: Array, power: float) -> Array:
    above, below = np.maximum(x, 0.0), np.maximum(-x, 0.0)
    return _box_cox(above, power) - _box_cox(below, 2.0 - power)


def _lowered(y: Array, power: float) -> Array:
    above, below = np.maximum(y, 0.0), np.maximum(-y, 0.0)
    return _box_cox_inverse(above, power) - _box_cox_inverse(below, 2.0 - power)


def _box_cox(x: Array, power: float) -> Array:
    """((1 + x)^power - 1) / power of numbers from 0 on."""
    return np.log1p(x) if abs(power) < 1e-9 else np.expm1(power * np.log1p(x)) / power


def _box_cox_inverse(y: Array, power: float) -> Array:
    if abs(power) < 1e-9:
        return np.expm1(np.minimum(y, 300.0))
    return np.expm1(np.log(np.maximum(1.0 + power * y, 1e-12)) / power)


class Surrogate:
    """A fitted process. `points` are rows of the cube, settled; `values` are standardized numbers to minimize."""

    def __init__(self, cube: Cube, points: Array, values: Array) -> None:
        self.cube, self.points, self.values = cube, points, values
        theta = _fitted(_differences(cube, points), values)
        self.weights, self.variance, self.noise = np.exp(theta[:-2]), math.exp(theta[-2]), math.exp(theta[-1])
        self._condition()

    def believing(self, points: Array) -> "Surrogate":
        """The same process, had it seen at these points what it expects there. Hyperparameters stay."""
        other = object.__new__(Surrogate)
        other.__dict__.update(self.__dict__)
        other.points = np.vstack([self.points, points])
        other.values = np.concatenate([self.values, self.predict(points)[0]])
        other._condition()
        return other

    def _condition(self) -> None:
        covariance = self.kernel(self.points)
        covariance[np.diag_indices_from(covariance)] += self.noise + _JITTER
        self._lower = cholesky(covariance, lower=True)
        self._alpha: Array = cho_solve((self._lower, True), self.values)

    def kernel(self, points: Array) -> Array:
        """Covariances of these points with the known ones."""
        covariance: Array = self.variance * _matern(self._squares(points))[0]
        return covariance

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the (noiseless) value at each point."""
        k = self.kernel(points)
        v = solve_triangular(self._lower, k.T, lower=True)
        return k @ self._alpha, np.sqrt(np.maximum(self.variance - (v * v).sum(0), 1e-12))

    def slopes(self, points: Array) -> tuple[Array, Array, Array, Array]:
        """Mean, deviation, and the derivatives of both along each ordered coordinate (of others: 0)."""
        k = self.kernel(points)
        solved = cho_solve((self._lower, True), k.T).T
        deviation = np.sqrt(np.maximum(self.variance - (k * solved).sum(1), 1e-12))
        weights = np.where(self.cube.unordered, 0.0, self.weights)
        way = points[:, None, :] - self.points[None, :, :]
        squares = self._squares(points)
        change = self.variance * 2.0 * _matern(squares)[1][:, :, None] * way * weights
        mean_slope = np.einsum("pnd,n->pd", change, self._alpha)
        deviation_slope = -np.einsum("pnd,pn->pd", change, solved) / deviation[:, None]
        return k @ self._alpha, deviation, mean_slope, deviation_slope

    def _squares(self, points: Array) -> Array:
        a, b = self._embedded(points), self._embedded(self.points)
        squares: Array = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2.0 * a @ b.T
        return np.maximum(squares, 0.0)

    def _embedded(self, points: Array) -> Array:
        """Coordinates in which the kernel's distance is Euclid's: choices become corners of a simplex."""
        ordered = ~self.cube.unordered
        parts = [points[:, ordered] * np.sqrt(self.weights[ordered])]
        for i in np.flatnonzero(self.cube.unordered):
            places = self.cube.places[i]
            corners = np.concatenate([[-1.0], places if places is not None else []])
            parts.append((np.abs(points[:, i, None] - corners) < 1e-9) * math.sqrt(self.weights[i] / 2.0))
        return np.hstack(parts)


def _matern(squares: Array) -> tuple[Array, Array]:
    """The kernel as a function of the squared distance, and its derivative."""
    r = _ROOT5 * np.sqrt(squares)
    decay = np.exp(-r)
    return (1.0 + r + r * r / 3.0) * decay, -5.0 / 6.0 * (1.0 + r) * decay


def _differences(cube: Cube, points: Array) -> Array:
    """Squared differences of all pairs, one row a parameter."""
    n = len(points)
    rows = np.empty((cube.size, n * n))
    for i in range(cube.size):
        way = points[:, None, i] - points[None, :, i]
        rows[i] = ((np.abs(way) > 1e-9).astype(float) if cube.unordered[i] else way * way).ravel()
    return rows


def _fitted(differences: Array, values: Array) -> Array:
    """The logarithms of the weights (1 / length scale²), the variance and the noise that explain the values best."""
    size = len(differences)
    mean, deviation = _SCALE[0] + 0.5 * math.log(size), _SCALE[1]
    start = np.concatenate([np.full(size, -2.0 * math.log(0.5 * math.sqrt(size))), [0.0, -6.0]])
    bounds = [(-2.0 * (mean + 2.0), -2.0 * math.log(0.02))] * size + [(-4.0, 4.0), (-13.0, 0.0)]
    centre = np.concatenate([np.full(size, -2.0 * mean), [0.0, _NOISE[0]]])
    width = np.concatenate([np.full(size, 2.0 * deviation), [1.0, _NOISE[1]]])

    def loss(theta: Array) -> tuple[float, Array]:
        value, slope = _likelihood(theta, differences, values)
        away = (theta - centre) / width
        return 0.5 * float(away @ away) - value, away / width - slope

    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS, "maxfun": 2 * _STEPS}
    )
    best: Array = found.x
    return best


def _likelihood(theta: Array, differences: Array, values: Array) -> tuple[float, Array]:
    """The log marginal likelihood, and its derivative by theta."""
    n = len(values)
    weights, variance, noise = np.exp(theta[:-2]), math.exp(theta[-2]), math.exp(theta[-1])
    kernel, change = _matern((weights @ differences).reshape(n, n))
    covariance = variance * kernel
    covariance[np.diag_indices(n)] += noise + _JITTER
    lower = cholesky(covariance, lower=True, check_finite=False)
    inverse = cho_solve((lower, True), np.eye(n), check_finite=False)
    alpha = inverse @ values
    outer = np.outer(alpha, alpha) - inverse
    value = -0.5 * float(values @ alpha) - float(np.log(np.diag(lower)).sum())
    by_weights = 0.5 * variance * weights * (differences @ (outer * change).ravel())
    by_variance = 0.5 * variance * float((outer * kernel).sum())
    by_noise = 0.5 * noise * float(np.trace(outer))
    return value, np.concatenate([by_weights, [by_variance, by_noise]])
