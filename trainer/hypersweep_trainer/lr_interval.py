"""Reads a learning-rate range test: where the loss falls, how far, and what follows for a search. Pure, without torch.

Owns the verdict and its reasoning in words, and the JSON document (`Finding.document`). Guesses nothing: a curve whose
movement is not larger than its own noise has no interval, and the verdict says what to change.

The idea is Smith's (Cyclical Learning Rates for Training Neural Networks, 2017, section 3.3). The curve is smoothed
around each point, not from its past alone as an online average does, which would shift every point towards larger rates.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Any

VERSION = 1  # of the document
FEWEST = 20  # points: fewer cannot tell a fall from noise
_KERNEL = 0.025  # of all points: standard deviation of the Gaussian that smooths
_BEGINNING = 0.15  # of all points: their median is the loss before anything was learnt
_ENDING = 0.9  # of all points: after it, a lowest point is at the end
_SURE = 5.0  # standard errors of the smoothed curve that a fall must exceed: its lowest of 100 points is 2.5 below by chance
_RELATIVE = 0.01  # of the first loss: a smaller fall is none, however quiet the curve
_ONSET = 0.05  # of the whole fall: where it begins
_MARGIN = (
    2.0  # a training is longer than the test, and longer trainings take smaller rates: both ends are moved down by it
)
_VISIBLE = 0.10  # of the first loss: noise that would hide such a fall makes the test useless


class Verdict(StrEnum):
    """What a range test shows."""

    FALLS = "Falls"  # the loss falls, then stops falling: both ends of the interval are known
    STILL_FALLING = "StillFalling"  # it falls up to the largest rate tried: the upper end is not known
    FALLING_AT_ONCE = "FallingAtOnce"  # it falls from the smallest rate tried: the lower end is not known
    TOO_SMALL = "TooSmall"  # no rate moves it
    DIVERGES = "Diverges"  # it rises without having fallen
    NOISE = "Noise"  # mini-batches differ more than the rates do
    TOO_SHORT = "TooShort"  # too few points to judge
    NO_RATE = "NoRate"  # the optimizer does not go by its rate


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found. Rates; None where the curve does not have it. `smoothed` has one loss per rate that was tried."""

    verdict: Verdict
    reason: str
    onset: float | None = None  # from here on the loss falls …
    minimum: float | None = None  # … up to here
    steepest: float | None = None
    divergence: float | None = None
    suggestion: tuple[float, float] | None = None  # where to search; None: there is nothing to suggest
    rates: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    smoothed: tuple[float, ...] = ()

    def document(self, *, curve: bool = True) -> dict[str, Any]:
        """As JSON has it: `interval` and `suggestion` are null or {min, max}; a loss that is not finite is null."""
        found: dict[str, Any] = {
            "version": VERSION,
            "verdict": str(self.verdict),
            "suggestion": self.suggestion and _bounds(*self.suggestion),
            "interval": None if self.onset is None else _bounds(self.onset, self.minimum),
            "steepest": self.steepest,
            "divergence": self.divergence,
            "reason": self.reason,
        }
        if curve:
            found["rates"] = list(self.rates)
            found["losses"] = [loss if math.isfinite(loss) else None for loss in self.losses]
            found["smoothed"] = list(self.smoothed)
        return found


def _bounds(low: float, high: float | None) -> dict[str, float | None]:
    return {"min": low, "max": high}


def analyse(rates: Sequence[float], losses: Sequence[float]) -> Finding:
    """What `losses` say, each measured just before a step at the rate of its index. Rates rise, evenly in the logarithm.

    Raises:
        ValueError: not as many rates as losses, or rates that do not rise from above 0.
    """
    if len(rates) != len(losses) or any(b <= a for a, b in zip((0.0, *rates), rates, strict=False)):
        raise ValueError("needs one loss for each rate, and rates that rise from above 0")
    finite = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    curve = _Curve(rates[:finite], losses[:finite])
    broke = rates[finite] if finite < len(rates) else None
    found = _judged(curve, broke)
    return Finding(**found, rates=tuple(rates), losses=tuple(losses), smoothed=curve.smoothed)


class _Curve:
    """The finite part of the curve, and what everything else is measured against: its first level, and its noise."""

    def __init__(self, rates: Sequence[float], losses: Sequence[float]) -> None:
        self.rates, self.losses = rates, losses
        self.first = median(losses[: max(3, round(_BEGINNING * len(losses)))]) if losses else math.nan
        steps = [abs(b - a) for a, b in itertools.pairwise(losses)]
        # The median of |differences| of neighbours: neither a fall nor an explosion, each a few points long, moves it.
        self.noise = 1.4826 * median(steps) / math.sqrt(2) if steps else 0.0
        width = max(1.0, _KERNEL * len(losses))
        self.error = self.noise / math.sqrt(2 * math.sqrt(math.pi) * width)  # of a smoothed point
        self.least = max(_SURE * self.error, _RELATIVE * abs(self.first)) if losses else 0.0  # a fall, or a rise
        # An explosion must not reach back through the smoothing to rates at which all was well.
        ceiling = self.first + max(0.5 * (self.first - min(losses)), 2 * self.least) if losses else math.inf
        self.smoothed = tuple(_gaussian([min(loss, ceiling) for loss in losses], width))
        self.bottom = min(range(len(losses)), key=self.smoothed.__getitem__, default=0)

    @property
    def fall(self) -> float:
        return self.first - self.smoothed[self.bottom]

    def onset(self) -> int:
        """From here to the bottom the loss stays below where it began."""
        below = self.first - max(_ONSET * self.fall, 2 * self.error)
        return 1 + max((i for i in range(self.bottom) if self.smoothed[i] >= below), default=-1)

    def steepest(self) -> int:
        """Where it falls fastest, per factor of the rate."""
        places = range(max(1, self.onset()), self.bottom + 1)
        return min(places, key=lambda i: self.smoothed[i] - self.smoothed[i - 1], default=self.bottom)

    def still_falling(self) -> bool:
        """The lowest point is at the end, as far as the noise lets tell."""
        risen = self.smoothed[-1] - self.smoothed[self.bottom]
        return self.bottom >= _ENDING * len(self.rates) and risen <= max(2 * self.error, _ONSET * self.fall)

    def rise(self, start: int) -> int | None:
        """The first point after `start` at which all that was won is lost again."""
        lost = self.first + self.least
        away = self.first + max(self.least, 3 * self.noise)  # of a single point: the test ends a few points after it
        end = next((i for i in reversed(range(start, len(self.rates))) if self.losses[i] <= away), start - 1)
        found = next((i for i in range(start, end + 1) if self.smoothed[i] > lost), end + 1)
        return found if found < len(self.rates) else None


def _judged(curve: _Curve, broke: float | None) -> dict[str, Any]:
    """The verdict and its rates; `broke`: the rate at which the loss was not finite any more."""
    if broke is not None and len(curve.rates) < FEWEST:
        return _diverges(broke)
    if len(curve.rates) < FEWEST:
        reason = f"only {len(curve.rates)} points; at least {FEWEST} are needed to tell a fall from noise"
        return {"verdict": Verdict.TOO_SHORT, "reason": reason}
    if curve.fall > curve.least:
        return _falls(curve, broke)
    rise = curve.rise(0)
    if rise is not None or broke is not None:
        return _diverges(curve.rates[rise] if rise is not None else broke)
    if _SURE * curve.error > _VISIBLE * abs(curve.first):
        reason = (
            f"mini-batches differ so much (±{_SURE * curve.error:.3g} after smoothing, around {curve.first:.3g}) "
            "that a fall could not be seen: use larger batches, or more steps"
        )
        return {"verdict": Verdict.NOISE, "reason": reason}
    reason = (
        f"from {curve.rates[0]:.3g} to {curve.rates[-1]:.3g} the loss stays at {curve.first:.4g}: "
        "every rate is too small, or nothing can be learnt from the data; raise the largest rate"
    )
    return {"verdict": Verdict.TOO_SMALL, "reason": reason}


def _diverges(rate: float | None) -> dict[str, Any]:
    reason = f"the loss rises from a rate of {rate:.3g} on without having fallen before: lower the smallest rate"
    return {"verdict": Verdict.DIVERGES, "divergence": rate, "reason": reason}


def _falls(curve: _Curve, broke: float | None) -> dict[str, Any]:
    onset, bottom = curve.onset(), curve.bottom
    rise = curve.rise(bottom)
    divergence = curve.rates[rise] if rise is not None else broke
    first, last = curve.rates[0], curve.rates[-1]
    low, high = max(first, curve.rates[onset] / _MARGIN), curve.rates[bottom] / _MARGIN
    verdict, more = Verdict.FALLS, ""
    if divergence is None and curve.still_falling():
        verdict, high, more = (
            Verdict.STILL_FALLING,
            last,
            f"; it falls up to {last:.3g}: larger rates may be better still",
        )
    elif onset <= _BEGINNING * len(curve.rates):  # where the first level was taken: it fell before that could be
        low = first
        verdict, more = Verdict.FALLING_AT_ONCE, f"; it falls from the start: rates below {first:.3g} may do as well"
    ends = f"is back where it began at {divergence:.3g}" if divergence else f"does not diverge up to {last:.3g}"
    steepest = curve.rates[curve.steepest()]
    reason = (
        f"the loss, {curve.first:.4g} at first, begins to fall at a rate of {curve.rates[onset]:.3g}, falls fastest at "
        f"{steepest:.3g}, is lowest at {curve.rates[bottom]:.3g} ({curve.smoothed[bottom]:.4g}) and {ends}; "
        f"trainings, being longer than this test, take smaller rates: search from {low:.3g} to {high:.3g}{more}"
    )
    return {
        "verdict": verdict,
        "reason": reason,
        "onset": curve.rates[onset],
        "minimum": curve.rates[bottom],
        "steepest": steepest,
        "divergence": divergence,
        "suggestion": (low, high),
    }


def _gaussian(values: Sequence[float], width: float) -> list[float]:
    """Each value as the mean of those around it, with weights that fall off as a Gaussian of that deviation, in points."""
    reach = math.ceil(3 * width)
    weights = [math.exp(-0.5 * (offset / width) ** 2) for offset in range(-reach, reach + 1)]
    smoothed = []
    for i in range(len(values)):
        near = range(max(0, i - reach), min(len(values), i + reach + 1))
        total = sum(weights[j - i + reach] for j in near)
        smoothed.append(sum(weights[j - i + reach] * values[j] for j in near) / total)
    return smoothed
