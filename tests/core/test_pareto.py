"""The Pareto front, against brute force; which of it is shown; and how much it dominates."""

import itertools
import math
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core.aim import Aim
from hypersweep.core.hypervolume import hypervolume
from hypersweep.core.pareto import REFERENCE, SHOWN, Front, spread
from hypersweep.core.tally import Tally
from hypersweep.core.trial import Outcome, Trial
from tests.core.builders import ended

Point = tuple[float, ...]

FEW = st.integers(0, 4).map(float)  # so that ties are frequent
MANY = st.floats(-1e308, 1e308)


def points(dimensions: int, *, coordinate: st.SearchStrategy[float] = FEW) -> st.SearchStrategy[list[Point]]:
    return st.lists(st.tuples(*[coordinate] * dimensions), max_size=25)


def made(found: Sequence[Point]) -> list[Trial]:
    return [ended(i, point[0], values=point) for i, point in enumerate(found)]


def front(trials: Sequence[Trial], signs: Sequence[float]) -> Front:
    kept = Front(signs)
    for trial in trials:
        kept.add(trial)
    return kept


def beaten(a: Trial, b: Trial, signs: Sequence[float]) -> bool:
    """By the definition: b is at least as good in each and better in one, or equal and earlier."""
    pairs = [(sign * x, sign * y) for sign, x, y in zip(signs, a.values, b.values, strict=True)]
    no_worse = all(y <= x for x, y in pairs)
    return no_worse and (any(y < x for x, y in pairs) or b.index < a.index)


@given(
    found=st.integers(1, 3).flatmap(lambda d: st.one_of(points(d), points(d, coordinate=MANY))),
    signs=st.tuples(*[st.sampled_from([1.0, -1.0])] * 3),
    random=st.randoms(),
)
def test_the_front_is_what_no_other_is_better_than(
    found: list[Point], signs: tuple[float, ...], random: Random
) -> None:
    """Brute force over all pairs says the same, in whatever order the trials come."""
    signs = signs[: len(found[0])] if found else signs
    trials = made(found)
    expected = [t for t in trials if not any(beaten(t, other, signs) for other in trials if other is not t)]
    kept = front(trials, signs)
    assert kept.members == expected
    random.shuffle(trials)
    again = front(trials, signs)
    assert (again.members, again.front, again.best) == (expected, kept.front, kept.best)
    assert again.hypervolume() == pytest.approx(kept.hypervolume(), nan_ok=True)


@given(points(3, coordinate=MANY))
def test_at_most_twenty_are_shown_with_the_extremes_and_the_best(found: list[Point]) -> None:
    """Whoever is best in one objective is there, and so is the one to take."""
    kept = front(made(found), (1.0, 1.0, 1.0))
    shown, members = kept.front, kept.members
    assert len(shown) == len({t.index for t in shown}) == min(SHOWN, len(members))
    if members:
        for k in range(3):
            assert min(t.values[k] for t in shown) == min(t.values[k] for t in members)
        assert kept.best in shown


def test_the_spread_of_a_large_front_is_kept() -> None:
    """A thousand points on a quarter circle, crowded at one end: those shown stand for all of it, evenly."""
    angles = [(i / 999) ** 2 * math.pi / 2 for i in range(1000)]
    kept = front(made([(1 - math.sin(a), 1 - math.cos(a)) for a in angles]), (1.0, 1.0))
    assert len(kept.members) == 1000
    shown = [math.asin(1 - t.values[0]) for t in kept.front]
    assert shown == sorted(shown, reverse=True)  # by the first objective, best first
    gaps = [a - b for a, b in itertools.pairwise(shown)]
    assert max(gaps) < 3 * math.pi / 2 / (SHOWN - 1)
    assert shown[-1] == pytest.approx(0)
    assert shown[0] == pytest.approx(math.pi / 2)


def test_points_that_coincide_once_scaled_are_still_shown() -> None:
    """Of a range too large to tell them apart, twenty are shown all the same."""
    assert sorted(spread([(0.0, 0.0)] * 30, [0], SHOWN)) == list(range(SHOWN))


def test_the_best_is_the_nearest_to_the_ideal() -> None:
    """Each objective counts by the front's own range, whatever its unit and direction."""
    kept = front(made([(0.90, 100.0), (0.88, 20.0), (0.70, 10.0), (0.5, 99.0)]), (-1.0, 1.0))
    assert kept.best is not None
    assert kept.best.values == (0.88, 20.0)


def test_a_target_is_reached_by_whoever_is_best_in_it() -> None:
    """Per objective, in its own direction; not by the compromise alone."""
    kept = front(made([(0.90, 100.0), (0.88, 20.0), (0.70, 10.0)]), (-1.0, 1.0))
    reached = [kept.reached(0, 0.9), kept.reached(0, 0.91), kept.reached(1, 10), kept.reached(1, 9)]
    assert [t.index if t else None for t in reached] == [0, None, 2, None]
    assert front([], (1.0, 1.0)).reached(0, 1.0) is None


def test_only_finite_feasible_results_are_on_the_front() -> None:
    """A value that is no number, of any objective, wins nothing; nor does what violates a constraint."""
    tally = Tally(Aim(goals=("Minimize", "Minimize")))
    tally.add(ended(0, 1.0, values=(1.0, math.nan)))
    tally.add(ended(1, 1.0, values=(1.0, 1.0), outcome=Outcome.INFEASIBLE))
    assert (tally.best, list(tally.leaders.front)) == (None, [])
    tally.add(ended(2, 2.0, values=(2.0, 2.0)))
    assert [t.index for t in tally.leaders.front] == [2]


# ---- hypervolume -----------------------------------------------------------------------------------------------------


def by_cells(found: Sequence[Point], reference: Point) -> float:
    """Brute force: every cell of the grid that the coordinates make, if a point dominates it."""
    total = 0.0
    edges = [sorted({*(p[k] for p in found if p[k] < r), r}) for k, r in enumerate(reference)]
    for cell in itertools.product(*(itertools.pairwise(e) for e in edges)):
        corner = tuple(low for low, _ in cell)
        if any(all(x <= c for x, c in zip(p, corner, strict=True)) for p in found):
            total += math.prod(high - low for low, high in cell)
    return total


@given(st.integers(1, 3).flatmap(lambda d: st.tuples(points(d), st.tuples(*[FEW] * d))))
def test_the_hypervolume_is_the_volume_of_all_dominated_cells(case: tuple[list[Point], Point]) -> None:
    """In one, two and three dimensions, with ties, duplicates and points beyond the reference."""
    found, reference = case
    assert hypervolume(found, reference) == pytest.approx(by_cells(found, reference))


def test_the_hypervolume_of_known_sets() -> None:
    """By hand: a square, two steps, two boxes that overlap."""
    assert hypervolume([(1, 1)], (3, 2)) == 2
    assert hypervolume([(0, 2), (1, 1)], (3, 3)) == 3 + 2
    assert hypervolume([(0, 0, 1), (1, 1, 0)], (2, 2, 2)) == 4 + 2 - 1


def test_the_reference_is_set_by_the_first_results_and_stays() -> None:
    """So that the metric only grows, and a restart goes on with the same one."""
    first = [(1.0, 5.0), (2.0, 4.0), (3.0, 3.0), (4.0, 2.0), (5.0, 1.0)]
    kept = front(made(first[:-1]), (1.0, 1.0))
    assert kept.hypervolume() is None
    assert REFERENCE == 5
    kept = front(made(first), (1.0, 1.0))
    assert kept.hypervolume() == pytest.approx(hypervolume(first, (5.4, 5.4)))
    kept.add(ended(9, 900.0, values=(900.0, 0.5)))
    assert kept.hypervolume() == pytest.approx(hypervolume(first, (5.4, 5.4)))
    kept.add(ended(10, 0.5, values=(0.5, 0.5)))
    assert kept.hypervolume() == pytest.approx(4.9**2)


def test_a_large_front_is_no_burden() -> None:
    """Thousands of points of three objectives: a moment, not minutes (the naive way takes 10^10 steps)."""
    found = [(i / 3000, ((i * 1237) % 3000) / 3000, 2 - i / 3000 - ((i * 1237) % 3000) / 3000) for i in range(3000)]
    assert 0 < hypervolume(found, (1.0, 1.0, 2.0)) < 2
