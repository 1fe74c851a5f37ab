"""What is read from the curve of a range test: every case told for what it is, and nothing guessed."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable

import pytest

from hypersweep_trainer.lr_interval import Finding, Verdict, analyse

START, END, STEPS = 1e-7, 1.0, 100
RATES = [START * (END / START) ** (i / (STEPS - 1)) for i in range(STEPS)]


def curve(shape: Callable[[float], float], *, noise: float = 0.0, seed: int = 0) -> Finding:
    """The finding for loss = shape(log10 of the rate) + Gaussian noise."""
    dice = random.Random(seed)
    return analyse(RATES, [shape(math.log10(rate)) + dice.gauss(0, noise) for rate in RATES])


def falling(begin: float, end: float, *, first: float = 2.3, last: float = 0.5, explode: float = math.inf) -> Callable:
    """Flat, then straight down between two decades, flat again, and from `explode` on a hundredfold rise per decade."""

    def shape(decade: float) -> float:
        part = min(max((decade - begin) / (end - begin), 0.0), 1.0)
        risen = 100.0 ** (decade - explode) - 1 if decade > explode else 0.0
        return first + (last - first) * part + risen

    return shape


def decades(rate: float | None) -> float:
    assert rate is not None
    return math.log10(rate)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
@pytest.mark.parametrize(("begin", "end"), [(-5, -3), (-4, -1), (-2.5, -1.5)])
def test_a_fall_is_found_where_it_is(begin: float, end: float, noise: float) -> None:
    """Onset, steepest point, minimum and divergence, to within half a decade (three quarters where mini-batches are wild)."""
    found = curve(falling(begin, end, explode=end + 0.5), noise=noise)
    assert found.verdict is Verdict.FALLS
    assert decades(found.onset) == pytest.approx(begin, abs=0.75 if noise > 0.1 else 0.5)
    assert decades(found.minimum) == pytest.approx(end, abs=0.5)
    assert begin - 0.2 < decades(found.steepest) < end + 0.2
    assert end + 0.4 < decades(found.divergence) < end + 1
    assert found.suggestion == pytest.approx((found.onset / 2, found.minimum / 2))
    assert f"search from {found.suggestion[0]:.3g} to {found.suggestion[1]:.3g}" in found.reason


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("noise", [0.001, 0.05, 0.3, 3.0])
def test_noise_alone_has_no_interval(noise: float, seed: int) -> None:
    """Whatever the noise, and however it falls out."""
    found = curve(lambda _: 2.3, noise=noise, seed=seed)
    assert found.suggestion is None
    assert found.verdict in (Verdict.TOO_SMALL, Verdict.NOISE)


def test_rates_too_small_throughout_are_told_from_noise() -> None:
    """A flat, quiet curve: raise the largest rate. A flat, wild one: larger batches."""
    quiet, wild = curve(lambda _: 2.3, noise=0.02), curve(lambda _: 2.3, noise=1.0)
    assert quiet.verdict is Verdict.TOO_SMALL
    assert "from 1e-07 to 1 the loss stays at 2." in quiet.reason
    assert "raise the largest rate" in quiet.reason
    assert wild.verdict is Verdict.NOISE
    assert "use larger batches, or more steps" in wild.reason


def test_a_loss_that_only_rises_diverges() -> None:
    """Nothing fell before: there is no interval, and the rate at which it rises is named."""
    found = curve(falling(-9, -8, first=2.3, last=2.3, explode=-3), noise=0.02)
    assert (found.verdict, found.suggestion) == (Verdict.DIVERGES, None)
    assert decades(found.divergence) == pytest.approx(-3, abs=0.3)
    assert "lower the smallest rate" in found.reason


@pytest.mark.parametrize("finite", [0, 1, 10])
def test_a_loss_that_breaks_at_once_diverges(finite: int) -> None:
    """Not finite after a few steps, or from the very first one."""
    found = analyse(RATES[: finite + 1], [2.3] * finite + [math.nan])
    assert (found.verdict, found.divergence) == (Verdict.DIVERGES, RATES[finite])


def test_a_break_after_the_fall_is_the_divergence() -> None:
    """The finite part is judged, and the end of it named."""
    shape = falling(-5, -3)
    count = next(i for i, rate in enumerate(RATES) if rate > 1e-2)
    losses = [shape(math.log10(rate)) for rate in RATES[:count]]
    found = analyse(RATES[: count + 1], [*losses, math.inf])
    assert (found.verdict, found.divergence) == (Verdict.FALLS, RATES[count])


def test_a_fall_up_to_the_end_says_that_more_may_be_better() -> None:
    """The upper end of the interval is only the end of the test."""
    found = curve(falling(-2, 0), noise=0.02)
    assert (found.verdict, found.suggestion and found.suggestion[1]) == (Verdict.STILL_FALLING, RATES[-1])
    assert "larger rates may be better still" in found.reason


def test_a_fall_from_the_start_says_that_less_may_do() -> None:
    """And the suggestion does not leave what was tried."""
    found = curve(falling(-8, -3, explode=-2), noise=0.02)
    assert (found.verdict, found.suggestion and found.suggestion[0]) == (Verdict.FALLING_AT_ONCE, RATES[0])
    assert "rates below 1e-07 may do as well" in found.reason


@pytest.mark.parametrize("offset", [-100.0, -1.0, 0.0])
def test_a_loss_may_be_negative(offset: float) -> None:
    """Log-likelihoods are; only movement counts, not the sign."""
    found = curve(lambda decade: falling(-5, -3, explode=-2)(decade) + offset, noise=0.02)
    assert found.verdict is Verdict.FALLS


def test_an_explosion_does_not_reach_back() -> None:
    """A loss of 1e30 at the next point leaves the minimum where it is."""
    calm = curve(falling(-5, -3), noise=0.02)
    losses = [loss if rate < 3e-3 else 1e30 for rate, loss in zip(calm.rates, calm.losses, strict=True)]
    found = analyse(calm.rates, losses)
    assert found.verdict is Verdict.FALLS
    assert decades(found.minimum) == pytest.approx(-3, abs=0.3)
    assert decades(found.divergence) == pytest.approx(math.log10(3e-3), abs=0.2)


def test_few_points_are_not_judged() -> None:
    """Nineteen are too few."""
    found = analyse(RATES[:19], [2.3 - i / 10 for i in range(19)])
    assert (found.verdict, found.suggestion) == (Verdict.TOO_SHORT, None)


@pytest.mark.parametrize(("rates", "losses"), [([1.0], []), ([0.1, 0.1], [1.0, 1.0]), ([0.0, 1.0], [1.0, 1.0])])
def test_what_is_no_curve_is_refused(rates: list[float], losses: list[float]) -> None:
    """As many losses as rates, which rise from above 0."""
    with pytest.raises(ValueError, match="needs one loss for each rate"):
        analyse(rates, losses)


def test_the_document_is_json_without_what_json_lacks() -> None:
    """NaN is null; without the curve it fits into a tag."""
    found = analyse(RATES[:60], [2.3] * 59 + [math.nan])
    whole = json.loads(json.dumps(found.document(), allow_nan=False))
    assert (len(whole["rates"]), whole["losses"][-1], whole["suggestion"]) == (60, None, None)
    short = json.dumps(curve(falling(-5, -3, explode=-2)).document(curve=False))
    assert len(short) < 1000
    assert json.loads(short)["suggestion"].keys() == json.loads(short)["interval"].keys() == {"min", "max"}
