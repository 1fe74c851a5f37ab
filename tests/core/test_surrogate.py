"""The Gaussian process and its acquisition: the mathematics, against slower ways to the same numbers."""

import math

import numpy as np
import pytest

from hypersweep.core.strategies.acquisition import candidates, greedy, log_improvement, ranked
from hypersweep.core.strategies.cube import Cube
from hypersweep.core.strategies.surrogate import Surrogate, Transform, _differences, _likelihood
from hypersweep.testing.spaces import SPACES, space


def cube(where: str = "mixed") -> Cube:
    return Cube(space(SPACES[where]))


def points(of: Cube, count: int, seed: int = 0) -> np.ndarray:
    return of.settled(np.random.default_rng(seed).random((count, of.size)))


def fitted(of: Cube, count: int = 30) -> Surrogate:
    known = points(of, count)
    values = np.sin(3 * known).sum(1)
    return Surrogate(of, known, (values - values.mean()) / values.std())


def test_the_slope_of_the_likelihood_is_its_slope() -> None:
    """A wrong gradient fits something, slowly; nobody would notice."""
    of = cube()
    known = points(of, 20)
    differences, values = _differences(of, known), np.random.default_rng(1).normal(size=20)
    theta = np.random.default_rng(2).normal(size=of.size + 2) - 1.0
    steps = 1e-6 * np.eye(len(theta))
    numeric = [
        (_likelihood(theta + s, differences, values)[0] - _likelihood(theta - s, differences, values)[0]) / 2e-6
        for s in steps
    ]
    np.testing.assert_allclose(_likelihood(theta, differences, values)[1], numeric, rtol=1e-4, atol=1e-6)


def test_the_slopes_of_a_prediction_are_its_slopes() -> None:
    """Along every coordinate that may take any value."""
    model = fitted(cube())
    at = points(model.cube, 5, seed=3)
    _, _, of_mean, of_deviation = model.slopes(at)
    for i in np.flatnonzero(~model.cube.unordered):
        step = np.zeros(model.cube.size)
        step[i] = 1e-6
        above, below = model.predict(at + step), model.predict(at - step)
        np.testing.assert_allclose(of_mean[:, i], (above[0] - below[0]) / 2e-6, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(of_deviation[:, i], (above[1] - below[1]) / 2e-6, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("z", [-40.0, -5.0, -1.0, -0.999, 0.0, 3.0])
def test_log_improvement_is_exact_where_improvement_is_tiny(z: float) -> None:
    """Against integration by brute force: E[max(best - value, 0)] with best = z, value ~ N(0, 1)."""
    away = np.linspace(0, 60, 600_001)
    exact = math.log(np.trapezoid(away * np.exp(-0.5 * ((away - z) ** 2 - z * z)), away)) - 0.5 * z * z
    found = log_improvement(np.array([0.0]), np.array([1.0]), z)[0][0]
    assert found == pytest.approx(exact - 0.5 * math.log(2 * math.pi), rel=1e-6)


def test_the_slopes_of_log_improvement_are_its_slopes() -> None:
    """By mean and by deviation."""
    mean, deviation = np.array([-1.0, 0.5, 4.0]), np.array([0.5, 1.0, 0.2])
    _, by_mean, by_deviation = log_improvement(mean, deviation, 0.1)
    step = 1e-6
    numeric = (log_improvement(mean + step, deviation, 0.1)[0] - log_improvement(mean - step, deviation, 0.1)[0]) / (
        2 * step
    )
    np.testing.assert_allclose(by_mean, numeric, rtol=1e-4)
    numeric = (log_improvement(mean, deviation + step, 0.1)[0] - log_improvement(mean, deviation - step, 0.1)[0]) / (
        2 * step
    )
    np.testing.assert_allclose(by_deviation, numeric, rtol=1e-4)


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_a_transform_is_undone_by_its_inverse(power: float) -> None:
    """For every power, also those whose formula has a case of its own."""
    transform = Transform(centre=3.0, spread=2.0, power=power, mean=0.1, deviation=1.5)
    values = np.array([-5.0, 2.9, 3.0, 3.5, 40.0])
    np.testing.assert_allclose(transform.invert(transform.apply(values)), values, rtol=1e-9)


def test_a_transform_brings_values_far_away_near() -> None:
    """A diverged training of 1e6 must not hide the differences among the good ones."""
    transformed = Transform.of(np.array([0.1, 0.11, 0.12, 0.13, 0.2, 0.3, 1e6])).apply(np.array([0.1, 0.3, 1e6]))
    assert transformed[1] - transformed[0] > 0.01 * (transformed[2] - transformed[0])


@pytest.mark.parametrize("where", SPACES)
def test_a_point_means_an_assignment_and_back(where: str) -> None:
    """Where a settled point lies, its assignment lies: the process sees what will be tried. Fine lattices are continuous."""
    of = cube(where)
    exact = [p is not None or d.domain.size is None for p, d in zip(of.places, of.space.dimensions, strict=True)]
    for point in points(of, 50):
        np.testing.assert_allclose(of.point(of.assignment(point))[exact], point[exact], atol=1e-6)


def test_climbing_finds_more_than_looking() -> None:
    """The first of the ranked points is at least as good as any that was drawn."""
    model = fitted(Cube(space([{"name": n, "type": "Float", "min": 0, "max": 1} for n in "abcd"])))
    found, scores = ranked(model, np.random.default_rng(5), log_improvement)
    drawn = candidates(model, np.random.default_rng(5))
    best = float(model.predict(model.points)[0].min())
    assert scores[0] > log_improvement(*model.predict(drawn), best)[0].max()
    assert ((found >= 0) & (found <= 1)).all()


def test_greed_looks_where_the_most_is_expected() -> None:
    """Nothing that was drawn is expected to be better, and what is not known is worth nothing."""
    of = Cube(space([{"name": n, "type": "Float", "min": 0, "max": 1} for n in "abcd"]))
    known = points(of, 12)
    values = np.abs(known - 0.4).sum(1)
    model = Surrogate(of, known, (values - values.mean()) / values.std())
    found = ranked(model, np.random.default_rng(5), greedy)[0]
    bold = ranked(model, np.random.default_rng(5), log_improvement)[0]
    expected, deviation = model.predict(np.array([found[0], bold[0]]))
    assert expected[0] <= model.predict(candidates(model, np.random.default_rng(5)))[0].min()
    assert deviation[0] < deviation[1]
