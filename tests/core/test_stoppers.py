"""The conformance suite of stoppers: what every rule must do. Then what only one of them promises."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core import stoppers
from hypersweep.core.spec import EarlyStopping
from hypersweep.core.stoppers import Mark, Marks, Point, Table, Verdict, due, marks_of, verdict

RULES: Mapping[str, dict[str, Any]] = {
    "ASHA": {"type": "ASHA", "asha": {"minBudget": 2, "reductionFactor": 2}},
    "Median": {"type": "Median", "median": {"startAfter": 2, "minTrials": 2}},
    "Threshold": {"type": "Threshold", "threshold": {"value": 5, "atBudget": 2}},
}
SIGNS = {"Minimize": 1.0, "Maximize": -1.0}

each_rule = pytest.mark.parametrize("name", RULES)
each_goal = pytest.mark.parametrize("goal", SIGNS)
values = st.floats(0, 10) | st.sampled_from([1.0, 5.0, math.nan, math.inf, -math.inf])


def made(name: str, **changes: Any) -> EarlyStopping:
    return EarlyStopping.model_validate({**RULES[name], **changes})


def table(peers: Sequence[Marks], *, sign: float) -> Table:
    """The marks of trials 0, 1, …"""
    filled = Table()
    for trial, marks in enumerate(peers):
        filled.put(trial, marks, sign=sign)
    return filled


def asked(rule: EarlyStopping, own: float, peers: Sequence[float], *, sign: float) -> Verdict | None:
    """The verdict on a trial with this value at budget 2, after these."""
    marks = [{2: Mark(value, float(time))} for time, value in enumerate(peers)]
    mine = {2: Mark(own, float(len(peers)))}
    return verdict(rule, len(peers), mine, table([*marks, mine], sign=sign), sign=sign)


# ---- every rule


@each_rule
@each_goal
@given(peers=st.lists(values, max_size=12), own=st.floats(0, 10), other=st.floats(0, 10))
def test_a_better_curve_is_never_stopped_where_a_worse_one_goes_on(
    name: str, goal: str, peers: list[float], own: float, other: float
) -> None:
    """Monotone, in either direction."""
    sign = SIGNS[goal]
    better, worse = sorted((own, other), key=lambda v: sign * v)
    if asked(made(name), better, peers, sign=sign) is not None:
        assert asked(made(name), worse, peers, sign=sign) is not None


@each_rule
@each_goal
@given(peers=st.lists(values, max_size=12))
def test_the_best_so_far_goes_on(name: str, goal: str, peers: list[float]) -> None:
    """Whoever leads at a budget is not stopped there for being compared."""
    sign = SIGNS[goal]
    best = min([sign * v for v in peers if math.isfinite(v)] + [sign * 5]) * sign
    assert asked(made(name), best, peers, sign=sign) is None


@each_rule
@given(peers=st.lists(st.tuples(values, st.integers(0, 3)), min_size=1, max_size=10), seed=st.integers(0, 99))
def test_the_order_of_arrival_has_no_meaning(name: str, peers: list[tuple[float, int]], seed: int) -> None:
    """Equal data, equal verdicts: also where trials reached a budget at the same moment."""
    marks = {trial: {2: Mark(value, float(time))} for trial, (value, time) in enumerate(peers)}
    shuffled = random.Random(seed).sample(sorted(marks), len(marks))
    filled = [Table(), Table()]
    for one, order in zip(filled, (sorted(marks), shuffled), strict=True):
        for trial in order:
            one.put(trial, marks[trial], sign=1.0)
    told = [[repr(verdict(made(name), t, marks[t], one, sign=1.0)) for t in marks] for one in filled]
    assert told[0] == told[1]


@each_rule
def test_nothing_is_due_before_the_first_budget(name: str) -> None:
    """Nor without a curve: a metric that was logged without steps sits at step 0."""
    assert due(made(name), {}, reached=1.5, value=1.0) == []
    assert due(made(name), {}, reached=0.0, value=1.0) == []
    assert due(made(name), {}, reached=2.0, value=1.0) == [2]
    assert due(made(name), {2: Mark(1.0, 0.0)}, reached=3.0, value=1.0) == []


@each_rule
@each_goal
def test_a_value_that_is_no_number_is_worse_than_any(name: str, goal: str) -> None:
    """NaN and ±inf are no success in either direction."""
    for value in (math.nan, math.inf, -math.inf):
        assert asked(made(name), value, [1.0, 2.0, 3.0, 4.0], sign=SIGNS[goal]) is not None


@each_rule
def test_a_verdict_names_the_earliest_budget_and_why(name: str) -> None:
    """What the ledger keeps is what a person reads."""
    peers: list[Marks] = [{2: Mark(1.0 + t, float(t)), 4: Mark(1.0 + t, float(t))} for t in range(3)]
    mine = {2: Mark(9.0, 10.0), 4: Mark(0.1, 11.0)}
    found = verdict(made(name), 3, mine, table([*peers, mine], sign=1.0), sign=1.0)
    assert found is not None
    assert (found.rule, found.budget, found.value) == (name, 2, 9.0)
    assert found.message.startswith("stopped at budget 2 with 9: ")


# ---- marks


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(1, 0.5, 10), (2, 0.4, 20), (3, 0.3, 30)], {2: Mark(0.4, 20)}),
        ([(1, 0.5, 10), (3, 0.3, 30)], {2: Mark(0.3, 30)}),  # the step is missing: the next one counts
        ([(3, 0.3, 30), (2, 0.4, 20), (1, 0.5, 10)], {2: Mark(0.4, 20)}),
        ([(2, 0.4, 20), (2, 0.9, 50), (3, 0.3, 60)], {2: Mark(0.4, 20)}),  # logged again by a resumed attempt
        ([(1, 0.5, 10)], {}),
        ([], {}),
    ],
    ids=["plain", "missing", "late", "repeated", "not there yet", "nothing"],
)
def test_a_mark_is_the_first_point_at_or_beyond_a_budget(
    points: list[tuple[float, float, float]], expected: Marks
) -> None:
    """Missing, late and repeated steps change nothing."""
    assert marks_of([Point(*p) for p in points], [2, 8]) == expected


def test_a_trial_that_goes_leaves_the_table() -> None:
    """A reopened or deleted trial is nobody's peer."""
    filled = table([{2: Mark(1.0, 0.0)}, {2: Mark(2.0, 1.0)}], sign=1.0)
    filled.drop(0)
    assert filled.peers(2, Mark(3.0, 9.0), 5) == [2.0]


# ---- ASHA


@pytest.mark.parametrize(
    ("settings", "reached", "expected"),
    [
        ({"minBudget": 1, "reductionFactor": 3}, 27, [1, 3, 9, 27]),
        ({"minBudget": 1, "reductionFactor": 3, "maxBudget": 27}, 27, [1, 3, 9]),
        ({"minBudget": 4, "reductionFactor": 2}, 15.9, [4, 8]),
        ({"minBudget": 4, "reductionFactor": 2}, 3, []),
    ],
)
def test_the_rungs_of_asha(settings: dict[str, int], reached: float, expected: list[int]) -> None:
    """A whole trial is not judged by its last rung."""
    rule = made("ASHA", asha=settings)
    assert due(rule, {}, reached=reached, value=1.0) == expected


@pytest.mark.parametrize(
    ("own", "peers", "goes_on"),
    [
        (9, [], True),
        (9, [1], False),
        (1, [9], True),
        (2, [1, 3], False),
        (2, [1, 3, 4], True),  # the best two of four
        (3, [1, 2, 4], False),
        (1, [1, 1, 1], True),  # ties go on
    ],
)
def test_one_in_so_many_goes_on(own: float, peers: list[float], goes_on: bool) -> None:
    """With a reduction factor of 2: half, at least one."""
    assert (asked(made("ASHA"), own, peers, sign=1.0) is None) is goes_on


def test_only_those_that_came_before_count() -> None:
    """A verdict that was made does not change when others arrive later."""
    mine = {2: Mark(5.0, 1.0)}
    later = table([{2: Mark(1.0, 2.0)}, {2: Mark(2.0, 3.0)}, mine], sign=1.0)
    assert verdict(made("ASHA"), 2, mine, later, sign=1.0) is None


# ---- Median, Threshold


def test_median_waits_for_enough_trials_and_looks_ever_less_often() -> None:
    """Two others at least; at 2, 4, 8, …"""
    rule = made("Median")
    assert asked(rule, 9, [1.0], sign=1.0) is None
    assert asked(rule, 9, [1.0, 2.0], sign=1.0) is not None
    assert due(rule, {}, reached=17, value=1.0) == [2, 4, 8, 16]


def test_threshold_looks_once_but_for_what_is_no_number() -> None:
    """NaN is seen at once, wherever the trial is."""
    rule = made("Threshold")
    assert asked(rule, 5.0, [], sign=1.0) is None
    assert asked(rule, 5.1, [], sign=1.0) is not None
    assert due(rule, {}, reached=1.0, value=math.nan) == [1]
    found = stoppers.verdict(rule, 0, {1: Mark(math.nan, 0.0)}, Table(), sign=1.0)
    assert found is not None
    assert "not finite" in found.message
