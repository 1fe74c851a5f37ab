"""The conformance suite of stoppers: what every rule must do. Then what only one of them promises."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypersweep.core.spec import EarlyStopping
from hypersweep.core.stoppers import Mark, Marks, Point, Table, Verdict, counted, curve_since, due, read, verdicts

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


Curves = Mapping[int, Sequence[Point]]


def curves_of(drawn: Sequence[Sequence[tuple[int, float, int]]]) -> dict[int, list[Point]]:
    """Trials 0, 1, …; a point is (step, value, time)."""
    return {trial: [Point(float(s), v, float(t)) for s, v, t in points] for trial, points in enumerate(drawn)}


def steady(*losses: float, start: float = 0.0) -> list[Point]:
    """A point each second, from step 1 on."""
    return [Point(float(step), value, start + step) for step, value in enumerate(losses, start=1)]


def stops(rule: EarlyStopping, curves: Curves, *, sign: float, ended: Sequence[Marks] = ()) -> dict[int, Verdict]:
    """The verdicts on trials that are all open, after these that have ended."""
    table = Table()
    for marks in ended:
        table.put(marks, sign=sign)
    marks_by_trial = {trial: read(rule, points, reached=_end(points)) for trial, points in curves.items()}
    known = [since for points in curves.values() if (since := curve_since(points)) is not None]
    since = min([0.0] if ended else known, default=None)
    return dict(verdicts(rule, marks_by_trial, table, sign=sign, since=since))


def _end(points: Sequence[Point]) -> float:
    return max((p.budget for p in points), default=0.0)


def asked(rule: EarlyStopping, own: float, peers: Sequence[float], *, sign: float) -> Verdict | None:
    """The verdict on a trial with this value at budget 2, after these."""
    ended = [{2: Mark(value, float(time))} for time, value in enumerate(peers)]
    mine = {2: Mark(own, float(len(peers)))}
    table = Table()
    for marks in ended:
        table.put(marks, sign=sign)
    return verdicts(rule, {0: mine}, table, sign=sign, since=0.0).get(0)


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


POINTS = st.lists(st.tuples(st.integers(0, 7), values, st.integers(0, 30)), max_size=8)
SWEEPS = st.lists(POINTS, min_size=1, max_size=7)
some_examples = settings(max_examples=30, deadline=None)


@each_rule
@each_goal
@given(drawn=SWEEPS, data=st.data())
@some_examples
def test_the_order_of_arrival_has_no_meaning(name: str, goal: str, drawn: Any, data: st.DataObject) -> None:
    """Equal points, equal verdicts: however MLflow lists them, and also where trials reached a budget at the same moment."""
    curves, rule = curves_of(drawn), made(name)
    shuffled = {t: data.draw(st.permutations(curves[t])) for t in data.draw(st.permutations(sorted(curves)))}
    told = [{t: repr(v) for t, v in stops(rule, c, sign=SIGNS[goal]).items()} for c in (curves, shuffled)]
    assert told[0] == told[1]


@each_rule
@each_goal
@given(drawn=SWEEPS, looks=st.lists(st.integers(0, 31), max_size=6))
@some_examples
def test_when_somebody_looked_changes_nothing(name: str, goal: str, drawn: Any, looks: list[int]) -> None:
    """Verdicts that are written down look by look are those of whoever looks once, at the end."""
    rule, sign, curves = made(name), SIGNS[goal], curves_of(drawn)
    once = {t: (v.budget, repr(v.value), v.message) for t, v in stops(rule, curves, sign=sign).items()}
    table, found, since = Table(), dict[int, tuple[int, str, str]](), None
    for now in [*sorted(looks), 31]:
        seen = {t: [p for p in points if p.time <= now] for t, points in curves.items() if t not in found}
        marks = {t: read(rule, points, reached=_end(points)) for t, points in seen.items()}
        known = [since, *(curve_since(points) for points in seen.values())]
        since = min((time for time in known if time is not None), default=None)
        for trial, verdict in verdicts(rule, marks, table, sign=sign, since=since).items():
            found[trial] = (verdict.budget, repr(verdict.value), verdict.message)
            table.put(counted(marks[trial], verdict), sign=sign)
    assert found == once


@each_rule
@each_goal
@given(drawn=SWEEPS)
@some_examples
def test_steps_that_a_resumed_attempt_logs_again_change_nothing(name: str, goal: str, drawn: Any) -> None:
    """It goes back to a checkpoint, and its values are others this time."""
    rule, sign = made(name), SIGNS[goal]
    curves = {t: [p for p in c if math.isfinite(p.value)] for t, c in curves_of(drawn).items()}
    again = {t: [*c, *(Point(p.budget, p.value + 0.5, p.time + 100) for p in c)] for t, c in curves.items()}
    assert stops(rule, again, sign=sign) == stops(rule, curves, sign=sign)


@each_rule
def test_without_a_curve_nobody_is_stopped(name: str) -> None:
    """Single points, or all of them at step 0, however bad: there is nothing to judge by."""
    single = {t: [Point(9.0, 9.0 + t, float(t))] for t in range(8)}
    flat = {t: [Point(0.0, 9.0 + t, float(time)) for time in range(5)] for t in range(8)}
    assert stops(made(name), single, sign=1.0) == {}
    assert stops(made(name), flat, sign=1.0) == {}


@each_rule
def test_verdicts_wait_until_a_trial_shows_that_there_are_curves(name: str) -> None:
    """Then they hold, of points from before as well."""
    curves = {t: steady(1.0 + 9 * t, start=t + 1.0) for t in range(6)}  # each at step 1 only
    early = {t: [Point(2.0, p.value, p.time) for p in points] for t, points in curves.items()}
    assert stops(made(name), early, sign=1.0) == {}
    assert set(stops(made(name), early | {9: steady(1.0, 1.0, 1.0, start=20)}, sign=1.0)) >= {4, 5}


@each_rule
def test_nothing_is_due_before_the_first_budget(name: str) -> None:
    """Nor without a curve: a metric that was logged without steps sits at step 0."""
    assert not due(made(name), {}, reached=1.5, value=1.0)
    assert not due(made(name), {}, reached=0.0, value=1.0)
    assert due(made(name), {}, reached=2.0, value=1.0)
    assert not due(made(name), {2: Mark(1.0, 0.0)}, reached=3.0, value=1.0)


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
    table = Table()
    for marks in peers:
        table.put(marks, sign=1.0)
    found = verdicts(made(name), {3: mine}, table, sign=1.0, since=0.0).get(3)
    assert found is not None
    assert (found.rule, found.budget, found.value) == (name, 2, 9.0)
    assert found.message.startswith("at budget 2 with 9: ")


# ---- marks


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(1, 0.5, 10), (2, 0.4, 20), (3, 0.3, 30)], {2: Mark(0.4, 20)}),
        ([(1, 0.5, 10), (3, 0.3, 30)], {2: Mark(0.3, 30)}),  # the step is missing: the next one counts
        ([(3, 0.3, 30), (2, 0.4, 20), (1, 0.5, 10)], {2: Mark(0.4, 20)}),
        ([(1, 0.5, 10), (3, 0.3, 30), (2, 0.4, 40)], {2: Mark(0.3, 30)}),  # it comes too late to be the first
        ([(2, 0.4, 20), (2, 0.9, 50), (3, 0.3, 60)], {2: Mark(0.4, 20)}),  # logged again by a resumed attempt
        ([(1, 0.5, 10)], {}),
        ([], {}),
    ],
    ids=["plain", "missing", "listed late", "logged late", "repeated", "not there yet", "nothing"],
)
def test_a_mark_is_the_first_point_at_or_beyond_a_budget(
    points: list[tuple[float, float, float]], expected: Marks
) -> None:
    """Missing, late and repeated steps change nothing."""
    assert (
        read(made("ASHA", asha={"minBudget": 2, "reductionFactor": 4}), [Point(*p) for p in points], reached=9)
        == expected
    )


def test_what_a_stopped_trial_goes_on_to_log_is_nobodys_measure() -> None:
    """Trial 1 falls at budget 1; that it would lead at budget 2 before its Job is gone stops no one there."""
    rule = made("ASHA", asha={"minBudget": 1, "reductionFactor": 2})
    curves = {0: steady(0.1, 0.4), 1: steady(0.9, 0.0, start=0.1), 2: steady(0.05, 0.3, start=0.2)}
    assert set(stops(rule, curves, sign=1.0)) == {1}


def test_ten_thousand_ended_trials_cost_little() -> None:
    """64 open trials among them are judged within half a second."""
    rule, table = made("ASHA", asha={"minBudget": 1, "reductionFactor": 3}), Table()
    for trial in range(10_000):
        table.put({b: Mark(0.5 + trial % 7, float(trial + b)) for b in (1, 3, 9, 27)}, sign=1.0)
    marks = {t: {b: Mark(0.4, float(t - 300 + b)) for b in (1, 3, 9)} for t in range(10_000, 10_064)}
    began = time.process_time()
    assert verdicts(rule, marks, table, sign=1.0, since=0.0) == {}
    assert time.process_time() - began < 0.5


# ---- ASHA


@pytest.mark.parametrize(
    ("settings", "reached", "expected"),
    [
        ({"minBudget": 1, "reductionFactor": 3}, 27, [1, 3, 9, 27]),
        ({"minBudget": 1, "reductionFactor": 3, "maxBudget": 27}, 27, [1, 3, 9]),
        ({"minBudget": 4, "reductionFactor": 2}, 15.9, [4, 8]),
        ({"minBudget": 4, "reductionFactor": 2}, 3, []),
        ({"maxBudget": 27}, 27, [2, 4, 8, 16]),  # the defaults
    ],
)
def test_the_rungs_of_asha(settings: dict[str, int], reached: float, expected: list[int]) -> None:
    """A whole trial is not judged by its last rung."""
    rule = made("ASHA", asha=settings)
    assert sorted(read(rule, [Point(99.0, 1.0, 0.0)], reached=reached)) == expected


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
    table = Table()
    for later in ({2: Mark(1.0, 2.0)}, {2: Mark(2.0, 3.0)}):
        table.put(later, sign=1.0)
    assert verdicts(made("ASHA"), {2: {2: Mark(5.0, 1.0)}}, table, sign=1.0, since=0.0) == {}


# ---- Median, Threshold


def test_median_waits_for_enough_trials_and_looks_ever_less_often() -> None:
    """Two others at least; at 2, 4, 8, …"""
    rule = made("Median")
    assert asked(rule, 9, [1.0], sign=1.0) is None
    assert asked(rule, 9, [1.0, 2.0], sign=1.0) is not None
    assert sorted(read(rule, [Point(17.0, 1.0, 0.0)], reached=17)) == [2, 4, 8, 16]


def test_threshold_looks_once_but_for_what_is_no_number() -> None:
    """NaN is seen at once, wherever the trial is."""
    rule = made("Threshold")
    assert asked(rule, 5.0, [], sign=1.0) is None
    assert asked(rule, 5.1, [], sign=1.0) is not None
    assert due(rule, {}, reached=1.0, value=math.nan)
    diverged = {0: steady(math.nan, 1.0), 1: steady(1.0, 1.0, 1.0, math.inf, start=9)}
    found = stops(rule, diverged, sign=1.0)
    assert {t: v.budget for t, v in found.items()} == {0: 1, 1: 4}
    assert all("not finite" in v.message for v in found.values())
