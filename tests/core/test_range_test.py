"""Range tests of a sweep: which there are, what they are told, what their answers mean for the search."""

import json
import math
from typing import Any

import pytest

from hypersweep.core import range_test
from hypersweep.core.decide import decide
from hypersweep.core.environment import environment
from hypersweep.core.narrowing import narrowed
from hypersweep.core.range_test import FIRST, read
from hypersweep.core.snapshot import Commit, Plan, Snapshot
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.steps import OBJECTIVE_GRACE
from hypersweep.core.strategies import rehearsal, suggest
from hypersweep.core.trial import Assignment, Measurement, Outcome, Phase, Reason, Trial
from hypersweep_trainer import lr_command, lr_report
from tests.core.builders import NOW, ended, look, make_spec, make_trial, view

LR = {"name": "lr", "type": "Float", "min": 1e-5, "max": 0.5, "scale": "Log", "points": 4}
OPTIMIZER = {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam", "rprop"]}
WIDTH = {"name": "width", "type": "Integer", "min": 1, "max": 100}
SGD, ADAM, RPROP = (0.01, 0.1), (1e-4, 5e-3), None


def sweep(**changes: Any) -> SweepSpec:
    """A sweep with range tests, one for each of three optimizers."""
    asked = {"parameter": "lr", "optimizer": "optimizer"}
    return make_spec(**{"parameters": [LR, OPTIMIZER, WIDTH], "learningRateRangeTest": asked, **changes})


def answer(bounds: tuple[float, float] | None, verdict: str = "Falls") -> str:
    suggestion = bounds and {"min": bounds[0], "max": bounds[1]}
    return json.dumps({"verdict": verdict, "reason": "because", "suggestion": suggestion})


def done(number: int, bounds: tuple[float, float] | None) -> Trial:
    """A range test that has ended with this interval."""
    return make_trial(FIRST + number, outcome=Outcome.SUCCEEDED, message=answer(bounds), ended=NOW)


ALL = (done(0, SGD), done(1, ADAM), done(2, RPROP))


# ---- which there are ---------------------------------------------------------------------------------------------------


def test_there_is_one_for_each_optimizer() -> None:
    """In the order of the values; one alone without an optimizer; none unless asked for."""
    assert range_test.cases(sweep()) == {FIRST: "sgd", FIRST + 1: "adam", FIRST + 2: "rprop"}
    assert range_test.cases(sweep(learningRateRangeTest={"parameter": "lr"})) == {FIRST: None}
    assert range_test.cases(make_spec()) == {}


def test_there_is_none_for_an_optimizer_without_the_rate() -> None:
    """Where `when` leaves the rate out there is nothing to narrow."""
    rate = {**LR, "when": [{"parameter": "optimizer", "values": ["sgd", "adam"]}]}
    assert list(range_test.cases(sweep(parameters=[rate, OPTIMIZER])).values()) == ["sgd", "adam"]


def test_it_trains_in_the_middle_of_the_space_or_as_its_initial_trial_says() -> None:
    """Published values are the better guess."""
    assert rehearsal.assignment(sweep(), FIRST + 1) == {
        "lr": pytest.approx(math.sqrt(1e-5 * 0.5)),
        "optimizer": "adam",
        "width": 51,
    }
    initial = {"lr": 0.001, "optimizer": "adam", "width": 7}
    spec = sweep(initialTrials=[{"parameters": initial}])
    assert rehearsal.assignment(spec, FIRST + 1) == initial
    assert rehearsal.assignment(spec, FIRST)["optimizer"] == "sgd"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"width": 7}, {"optimizer": "adam", "width": 7}),
        ({"optimizer": "adam", "width": 7}, {"optimizer": "adam", "width": 7}),
        ({"optimizer": "sgd", "width": 7}, {"optimizer": "adam", "width": 51}),
    ],
    ids=["of whatever optimizer", "of this one", "of another"],
)
def test_an_initial_trial_that_gives_a_part_is_filled_with_defaults_and_middles(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    """The rate's default too, where there is one."""
    spec = sweep(parameters=[{**LR, "default": 0.02}, OPTIMIZER, WIDTH], initialTrials=[{"parameters": given}])
    assert rehearsal.assignment(spec, FIRST + 1) == {"lr": 0.02, **expected}


def test_it_trains_what_the_constraints_allow() -> None:
    """A middle that does not fit the GPU would only run out of memory. Of two ways to fill, always the same."""
    depth = {"name": "depth", "type": "Integer", "min": 1, "max": 100}
    spec = sweep(
        parameters=[LR, OPTIMIZER, WIDTH, depth], parameterConstraints=[{"expression": "width * depth <= 400"}]
    )
    found = rehearsal.assignment(spec, FIRST + 1)
    assert found["optimizer"] == "adam"
    assert Space.of(spec).problems(found) == []
    assert rehearsal.assignment(spec, FIRST + 1) == found


def test_constraints_that_leave_an_optimizer_out_do_not_hold_up_the_sweep() -> None:
    """Its range test is for nothing, but it ends."""
    spec = sweep(parameterConstraints=[{"expression": "optimizer != 'adam'"}])
    assert rehearsal.assignment(spec, FIRST + 1)["optimizer"] == "adam"


class Place:
    uri, experiment = "http://mlflow", "1"


def test_its_trainer_is_told_the_rates_to_look_at() -> None:
    """1e-7 to 1, and the user's bounds where they are wider; a trial's trainer is told nothing."""
    spec = sweep(parameters=[{**LR, "min": 1e-9, "max": 5}, OPTIMIZER])
    test, trial = make_trial(FIRST, parameters={"lr": 0.1}), make_trial(0)
    told = environment(spec=spec, sweep="a", identity="a", trial=test, tracking=Place())
    assert json.loads(told["HYPERSWEEP_RANGE_TEST"]) == {"min": 1e-9, "max": 5}
    told = environment(spec=sweep(), sweep="a", identity="a", trial=test, tracking=Place())
    assert json.loads(told["HYPERSWEEP_RANGE_TEST"]) == {"min": 1e-7, "max": 1}
    assert "HYPERSWEEP_RANGE_TEST" not in environment(spec=spec, sweep="a", identity="a", trial=trial, tracking=Place())


# ---- what is decided ---------------------------------------------------------------------------------------------------


def planned(snapshot: Snapshot) -> list[int]:
    return [a.index for a in decide(snapshot, NOW).actions if isinstance(a, Plan)]


def test_they_come_before_trial_0() -> None:
    """As many at a time as trials; trials once all have ended, however they ended."""
    spec = sweep()
    assert planned(look(spec=spec)) == [FIRST, FIRST + 1]
    assert planned(look(view(FIRST), spec=spec)) == [FIRST + 1]
    assert planned(look(view(FIRST), view(FIRST + 1), spec=spec)) == []
    assert planned(look(view(FIRST + 1), spec=spec, range_tests=ALL[:1])) == [FIRST + 2]
    assert planned(look(view(FIRST + 2), spec=spec, range_tests=ALL[:2])) == []
    failed = make_trial(FIRST + 2, outcome=Outcome.FAILED, ended=NOW)
    assert planned(look(spec=spec, range_tests=(*ALL[:2], failed))) == [0, 1]


def test_they_do_not_count_as_trials() -> None:
    """trials.max trials follow."""
    spec = sweep(trials={"max": 2, "parallel": 4})
    assert planned(look(spec=spec, range_tests=ALL)) == [0, 1]
    assert planned(look(spec=spec, range_tests=ALL, history=(ended(0, 1.0),))) == [1]


def committed(said: str, *, waited: float = 0.0) -> Any:
    test = view(FIRST, Phase.SUCCEEDED, ended=NOW - waited)
    test = type(test)(trial=test.trial, attempt=test.attempt, measured=Measurement(value=None, answer=said))
    return next((a.result for a in decide(look(test, spec=sweep()), NOW).actions if isinstance(a, Commit)), None)


def test_what_it_found_is_committed() -> None:
    """Read back from the ledger it is the same."""
    result = committed(answer(ADAM))
    assert (result.outcome, read(result.message).suggestion, result.value) == (Outcome.SUCCEEDED, ADAM, None)
    assert read(committed(answer(None, "TooSmall")).message).verdict == "TooSmall"


def test_an_answer_may_come_late_and_may_not_come() -> None:
    """An image that knows no range tests costs its time, and says so."""
    assert committed("") is None
    result = committed("", waited=OBJECTIVE_GRACE)
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.NO_ANSWER)
    assert "its run has no tag hypersweep.lrRange" in result.message


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("lr", "it is no JSON: lr"),
        ("[]", 'it needs a "verdict"'),
        ('{"verdict": "Falls", "suggestion": [1, 2]}', "its suggestion is [1, 2]; allowed: null, or numbers"),
        ('{"verdict": "Falls", "suggestion": {"min": 1, "max": 1}}', "0 < min < max"),
        ('{"verdict": "Falls", "suggestion": {"min": 0, "max": 1}}', "0 < min < max"),
        ('{"verdict": "Falls", "suggestion": {"min": 0.1, "max": NaN}}', "0 < min < max"),
        ('{"verdict": "Falls", "suggestion": {"min": true, "max": 2}}', "0 < min < max"),
        ('{"verdict": "Falls", "suggestion": {"min": 1, "max": 1' + "0" * 400 + "}}", "0 < min < max"),
    ],
)
def test_an_answer_that_is_none_fails_the_test(said: str, message: str) -> None:
    """With what was found and what is allowed."""
    result = committed(said)
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.NO_ANSWER)
    assert message in result.message


# ---- what follows for the search ---------------------------------------------------------------------------------------


def proposals(
    spec: SweepSpec, count: int, tests: tuple[Trial, ...], history: tuple[Trial, ...] = ()
) -> list[Assignment]:
    """What the strategy proposes, each ending with its rate as the value."""
    found: list[Assignment] = []
    trials = list(history)
    for index in range(count):
        assignment = suggest(spec, history=trials, pending=(), trial=index, range_tests=tests)
        if assignment is None:
            break
        found.append(assignment)
        trials.append(ended(index, float(assignment["lr"]), parameters=assignment))
    return found


@pytest.mark.parametrize("strategy", ["Random", "TPE", "Grid", "Sobol", "GP", "CMAES", "Auto"])
def test_each_optimizer_is_searched_in_its_own_interval(strategy: str) -> None:
    """And where its test found nothing, within the user's bounds; with whatever strategy, which notices nothing."""
    spec = sweep(strategy={"name": strategy}, parameters=[LR, OPTIMIZER])
    found = proposals(spec, 40, ALL)
    assert all(set(a) == {"lr", "optimizer"} for a in found)
    rates = {value: [a["lr"] for a in found if a["optimizer"] == value] for value in ("sgd", "adam", "rprop")}
    for value, (low, high) in {"sgd": SGD, "adam": ADAM, "rprop": (1e-5, 0.5)}.items():
        assert rates[value]
        assert all(low <= float(rate) <= high for rate in rates[value]), value
    if strategy in ("Random", "Grid", "Sobol"):
        assert min(map(float, rates["rprop"])) < 1e-3
        assert max(map(float, rates["rprop"])) > 0.1
    if strategy == "Grid":
        assert len(found) == 12


def test_one_optimizer_narrows_the_rate_itself() -> None:
    """Without names to translate."""
    spec = sweep(learningRateRangeTest={"parameter": "lr"})
    found = proposals(spec, 20, (done(0, ADAM),))
    assert all(ADAM[0] <= float(a["lr"]) <= ADAM[1] for a in found)


@pytest.mark.parametrize(
    ("suggestion", "bounds"),
    [((1e-9, 1e-3), (1e-5, 1e-3)), ((0.1, 7.0), (0.1, 0.5)), ((1e-9, 1e-7), (1e-5, 0.5)), ((2.0, 3.0), (1e-5, 0.5))],
)
def test_the_users_bounds_contain_what_is_searched(
    suggestion: tuple[float, float], bounds: tuple[float, float]
) -> None:
    """Beyond them nothing is tried; with nothing in common they stay as they are, and the status says so."""
    spec = sweep(learningRateRangeTest={"parameter": "lr"})
    (rate,) = (d.domain for d in narrowed(spec, Space.of(spec), [done(0, suggestion)]).dimensions if d.name == "lr")
    assert (rate.near(0), rate.near(1)) == pytest.approx(bounds)
    (line,) = range_test.report(spec, [done(0, suggestion)])
    assert ("beyond your bounds" in line["reason"]) is (bounds == (1e-5, 0.5))


def test_an_optimizer_whose_name_ends_in_anothers_keeps_its_own_interval() -> None:
    """Names that strategies see are made of the values, which may be any text."""
    spec = sweep(parameters=[LR, {**OPTIMIZER, "values": ["adam", "my@adam"]}])
    space = narrowed(spec, Space.of(spec), [done(0, ADAM), done(1, SGD)])
    for optimizer in ("adam", "my@adam"):
        (taken,) = space.taken(
            [make_trial(0, parameters={"lr": ADAM[1] if optimizer == "adam" else SGD[1], "optimizer": optimizer})]
        )
        assert set(taken.parameters) == {f"lr@{optimizer}", "optimizer"}


def test_without_findings_nothing_changes() -> None:
    """No range test, or none that found something: the same proposals."""
    plain = make_spec(parameters=[LR, OPTIMIZER, WIDTH])
    assert proposals(plain, 10, ()) == proposals(sweep(), 10, (done(0, None), done(1, None), done(2, None)))


def test_a_history_is_not_looked_through_where_nothing_was_narrowed() -> None:
    """It may be ten thousand trials long, and each ask would pay for it: even what lies outside is passed on."""
    spec = sweep()
    trials = [Trial(index=0, run="", parameters={"lr": "of nobody's"})]
    assert narrowed(spec, Space.of(spec), []).taken(trials) == trials
    assert narrowed(spec, Space.of(spec), [done(0, ADAM), done(1, SGD)]).taken(trials) == []


def test_constraints_and_initial_trials_keep_their_names() -> None:
    """A constraint on the rate holds inside; an initial trial beyond the interval is tried, and disturbs nobody."""
    spec = sweep(
        parameterConstraints=[{"expression": "lr * width <= 0.2"}],
        initialTrials=[{"parameters": {"lr": 1e-5, "optimizer": "sgd", "width": 1}}],
    )
    found = proposals(spec, 30, ALL)
    assert found[0] == {"lr": 1e-5, "optimizer": "sgd", "width": 1}
    assert all(float(a["lr"]) * int(a["width"]) <= 0.2 for a in found)
    assert all(SGD[0] <= float(a["lr"]) for a in found[1:] if a["optimizer"] == "sgd")


def test_the_answer_is_the_same_in_any_order() -> None:
    """Of the history, and of the range tests."""
    spec = sweep(strategy={"name": "TPE"})
    trials = [ended(i, float(i), parameters={"lr": 0.02, "optimizer": "sgd", "width": i + 1}) for i in range(8)]
    one = suggest(spec, history=trials, pending=(), trial=8, range_tests=ALL)
    assert suggest(spec, history=trials[::-1], pending=(), trial=8, range_tests=ALL[::-1]) == one


def test_a_tag_that_a_stranger_changed_narrows_nothing() -> None:
    """The search goes on in the user's bounds."""
    broken = make_trial(FIRST, outcome=Outcome.SUCCEEDED, message="what?", ended=NOW)
    assert range_test.found(sweep(), [broken]) == {}
    assert range_test.report(sweep(), [broken])[0]["reason"] == ": what?"


def test_operator_and_trainer_use_the_same_words() -> None:
    """They know nothing of each other but these two names."""
    assert (range_test.ANSWER, range_test.VARIABLE) == (lr_report.TAG, lr_command.VARIABLE)
