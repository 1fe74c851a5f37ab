"""What the objective is expected to be at each value of a parameter, how sure that is, and which effects exceed chance.

An additive Gaussian process over levels: value = mean + one effect per parameter + one per chosen pair + noise. Kernels are
centred, so that an effect is a difference from the parameter's own average, and an inactive parameter has none. Their
variances are fitted by the MM algorithm of Zhou et al. (arXiv 1509.07426). Whether an effect exceeds chance is a variance
component score test (as SKAT's, Wu et al. 2011) against the model without it, so that a parameter which merely went along with
a better one, as under TPE it does, is not taken for a cause. Closed form and deterministic; nothing is drawn.

Values far on the bad side are pulled in first: a diverged loss of 10^6 says "bad", not "a million times as important".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.stats import gamma

from hypersweep.core.analysis.levels import INACTIVE, Floats, Ints, Levels

LENGTH = 0.25  # of a kernel, as a part of the parameter's scale
MOST = 400  # trials that the model is fitted to: more are thinned out evenly, since it takes n³
ITERATIONS, AGAIN = 60, 15  # of the fit, and of a fit without one component
OUTLIERS = 2.0  # times the range of the middle 80 % of values, beyond the median
CERTAIN = 0.05  # chance, over all parameters together, that one which does nothing is said to do something
SURE = 0.01  # the same of pairs: the test's tail is a little thin with few trials, and pairs are many
PAIRED = 14  # parameters of which all pairs are looked at
PAIRS = 5  # pairs that the model may hold
_MEAN = 4.0  # prior variance of the mean, in variances of the values

Pair = tuple[str, str]
Key = str | Pair
K = TypeVar("K", str, Pair)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Of one parameter: per level the expected value and its 95 % interval, the other parameters at their average."""

    levels: Levels
    expected: Floats
    low: Floats
    high: Floats
    count: Ints  # trials per level
    chance: float  # probability of so large an effect where there is none, all parameters considered
    share: float  # of the differences between results, its interactions included

    @property
    def certain(self) -> bool:
        return self.chance < CERTAIN


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """Two parameters whose effect together is more than the sum of theirs."""

    pair: Pair
    chance: float  # as above, over all pairs
    share: float  # of the differences between results


@dataclass(frozen=True, kw_only=True)
class Effects:
    """All of them. `explained`: the part of the differences that the model foretells of trials it has not seen."""

    of: Mapping[str, Effect]
    interactions: tuple[Interaction, ...]
    explained: float
    noise: float  # standard deviation of what is left, in the objective's unit
    used: int  # trials
    pairs: int  # that were looked at


class _Model:
    """Variance components over the same trials: kernels by name, values standardised."""

    def __init__(self, kernels: Mapping[Key, Floats], values: Floats) -> None:
        self.kernels, self.values = dict(kernels), values
        self.variances = dict.fromkeys(self.kernels, 1.0 / (len(self.kernels) + 1))
        self.noise = 0.5
        self.inverse: Floats = np.eye(len(values))
        self.weights = values

    def fit(self, iterations: int) -> "_Model":
        """MM steps: each raises the likelihood."""
        for _ in range(iterations):
            self._invert()
            for name, kernel in self.kernels.items():
                self.variances[name] *= self._step(kernel)
            self.noise = max(self.noise * np.sqrt(self.weights @ self.weights / np.trace(self.inverse)), 1e-6)
        self._invert()
        return self

    def without(self, names: Sequence[Key]) -> "_Model":
        """The model that lacks these components, fitted again from where this one stands."""
        rest = _Model({k: v for k, v in self.kernels.items() if k not in names}, self.values)
        rest.variances = {k: self.variances[k] for k in rest.kernels}
        rest.noise = self.noise
        return rest.fit(AGAIN)

    def chance(self, kernel: Floats) -> float:
        """Probability of a score as large as this kernel's, if its component is none (Satterthwaite's approximation)."""
        n = len(self.values)
        part = self.inverse @ kernel
        trace = float(np.trace(part))
        spread = float(np.sum(part * part.T)) - trace**2 / n
        if trace <= 1e-9 or spread <= 1e-9:
            return 1.0
        score = float(self.weights @ kernel @ self.weights) * n / float(self.values @ self.weights)
        scale = 2 * spread / trace / (1 + 2 / n)
        return float(gamma.sf(score, trace / scale, scale=scale))

    def foretold(self) -> float:
        """1 - (error of foretelling each trial from the others) / (spread of all): at most 1; 0 or less: nothing."""
        errors = self.weights / np.diag(self.inverse)
        return 1.0 - float(errors @ errors) / float(np.sum((self.values - self.values.mean()) ** 2))

    def shares(self) -> dict[Key, float]:
        """Each component's part of the differences between these trials; noise has the rest."""
        felt = {key: v * float(np.mean(np.diag(self.kernels[key]))) for key, v in self.variances.items()}
        whole = sum(felt.values()) + self.noise
        return {key: value / whole for key, value in felt.items()}

    def _step(self, kernel: Floats) -> float:
        trace = float(np.sum(self.inverse * kernel))
        felt = max(0.0, float(self.weights @ kernel @ self.weights))  # below 0 by rounding alone
        return float(np.sqrt(felt / trace)) if trace > 1e-12 else 0.0

    def _invert(self) -> None:
        whole = np.asarray(_MEAN + self.noise * np.eye(len(self.values)))
        for name, kernel in self.kernels.items():
            if self.variances[name] > 1e-9:
                whole += self.variances[name] * kernel
        self.inverse = np.asarray(np.linalg.inv(whole), dtype=np.float64)
        self.weights = self.inverse @ self.values


def effects(
    levels: Sequence[Levels], at: Mapping[str, Ints], values: Floats, *, minimize: bool, pairs: bool
) -> Effects:
    """The effects of these parameters. `at`: each trial's level of each; `pairs`: whether to look at pairs, too."""
    kept = _thinned(len(values))
    rows = {each.name: at[each.name][kept] for each in levels}
    tamed = _tamed(values[kept], minimize=minimize)
    centre, spread = float(tamed.mean()), float(tamed.std())
    if spread == 0:
        raise ValueError("all values are the same")
    bases = {each.name: _kernel(each) for each in levels}
    kernels: dict[Key, Floats] = {name: _spread_out(bases[name], rows[name]) for name in rows}
    model = _Model(kernels, (tamed - centre) / spread).fit(ITERATIONS)
    candidates = _candidates([each.name for each in levels]) if pairs else []
    found = _interactions(model, candidates)
    if found:
        for pair, _ in found:
            kernels[pair] = kernels[pair[0]] * kernels[pair[1]]
        model = _Model(kernels, model.values).fit(ITERATIONS)
    chances = _adjusted({each.name: _chance(model, each.name) for each in levels})
    shares = model.shares()
    return Effects(
        of={
            each.name: _effect(
                model, each, bases[each.name], rows[each.name], unit=(centre, spread), chance=chances[each.name]
            )
            for each in levels
        },
        interactions=tuple(Interaction(pair=p, chance=c, share=shares[p]) for p, c in found),
        explained=max(0.0, model.foretold()),
        noise=spread * float(np.sqrt(model.noise)),
        used=len(kept),
        pairs=len(candidates),
    )


def _interactions(model: _Model, candidates: Sequence[Pair]) -> list[tuple[Pair, float]]:
    """Pairs beyond chance, the surest first."""
    chances = _adjusted({p: model.chance(model.kernels[p[0]] * model.kernels[p[1]]) for p in candidates})
    sure = sorted((c, p) for p, c in chances.items() if c < SURE)
    return [(pair, chance) for chance, pair in sure[:PAIRS]]


def _chance(model: _Model, name: str) -> float:
    """Of a parameter with all of its pairs, against the model that lacks them."""
    own = _own(model, name)
    return model.without(own).chance(np.sum([model.kernels[key] for key in own], axis=0))


def _own(model: _Model, name: str) -> list[Key]:
    """A parameter's components."""
    return [key for key in model.kernels if key == name or (isinstance(key, tuple) and name in key)]


def _adjusted(chances: Mapping[K, float]) -> dict[K, float]:
    """Holm's correction for having looked at so many."""
    adjusted: dict[K, float] = {}
    least = 0.0
    for i, key in enumerate(sorted(chances, key=lambda k: (chances[k], str(k)))):
        least = max(least, min(1.0, chances[key] * (len(chances) - i)))
        adjusted[key] = least
    return adjusted


def _effect(
    model: _Model, levels: Levels, base: Floats, row: Ints, *, unit: tuple[float, float], chance: float
) -> Effect:
    """The posterior of one effect, with the mean, in the objective's unit (its centre and spread)."""
    centre, spread = unit
    active = row != INACTIVE
    cross = np.zeros((levels.count, len(row)))
    cross[:, active] = model.variances[levels.name] * base[:, row[active]]
    cross += _MEAN
    prior = model.variances[levels.name] * np.diag(base) + _MEAN
    left = np.sum((cross @ model.inverse) * cross, axis=1)
    error = 1.96 * np.sqrt(np.maximum(prior - left, 0.0)) * spread
    expected = centre + spread * (cross @ model.weights)
    return Effect(
        levels=levels,
        expected=expected,
        low=expected - error,
        high=expected + error,
        count=np.bincount(row[active], minlength=levels.count),
        chance=chance,
        share=sum(model.shares()[key] for key in _own(model, levels.name)),
    )


def _kernel(levels: Levels) -> Floats:
    """How alike two levels are, centred over the levels, of mean variance 1."""
    apart = levels.places[:, None] - levels.places[None, :]
    alike = np.exp(-0.5 * (apart / LENGTH) ** 2) if levels.ordered else np.eye(levels.count)
    centring = np.eye(levels.count) - 1.0 / levels.count
    centred = centring @ alike @ centring
    return np.asarray(centred / np.mean(np.diag(centred)))


def _spread_out(base: Floats, row: Ints) -> Floats:
    """The kernel between trials; 0 where the parameter is inactive."""
    active = (row != INACTIVE).astype(float)
    return base[np.ix_(row, row)] * np.outer(active, active)


def _candidates(names: Sequence[str]) -> list[Pair]:
    few = names[:PAIRED]
    return [(a, b) for i, a in enumerate(few) for b in few[i + 1 :]]


def _tamed(values: Floats, *, minimize: bool) -> Floats:
    """Without the far end of the bad side."""
    sign = 1.0 if minimize else -1.0
    losses = sign * values
    low, middle, high = np.quantile(losses, [0.1, 0.5, 0.9])
    limit = middle + OUTLIERS * (high - low)
    return sign * np.minimum(losses, limit) if high > low else values


def _thinned(count: int) -> Ints:
    """Which of so many trials the model is fitted to."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(np.int64))
