"""Every built-in strategy passes the suite that others can run on theirs. Then what only one of them promises.

A strategy that the schema names is tested here without being listed.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

import pytest

from hypersweep.core import strategies
from hypersweep.core.errors import SpecError
from hypersweep.core.spec import BUILT_IN, Objective, ParameterConstraint
from hypersweep.core.strategies import grid, random
from hypersweep.core.trial import Assignment, Outcome, Trial
from hypersweep.testing.builders import KINDS, check, drawn, ended, made_history, run, space_of, sweep
from hypersweep.testing.spaces import OPTIMIZER, Json, every
from hypersweep.testing.strategies import StrategySuite

each_strategy = pytest.mark.parametrize("name", BUILT_IN)


@each_strategy
class TestBuiltIn(StrategySuite):
    """The conformance suite."""


@each_strategy
def test_seed_and_trial_decide(name: str) -> None:
    """Another seed is another sweep; with the same history, another trial is another assignment."""
    first = sweep(name, "mixed", seed=1)
    history = made_history(first, 20)
    answers = [
        strategies.suggest(sweep(name, "mixed", seed=s), history=history, pending=(), trial=t)
        for s in (1, 2)
        for t in (20, 21)
    ]
    assert len({json.dumps(a) for a in answers}) == 4


SEVERAL: list[Json] = [
    {"metric": "loss", "goal": "Minimize"},
    {"metric": "accuracy", "goal": "Maximize"},
    {"metric": "ms", "goal": "Minimize"},
]


@each_strategy
@pytest.mark.parametrize("count", [2, 3])
def test_several_objectives_are_answered_or_refused(name: str, count: int) -> None:
    """Never by following the first alone: what cannot take them says so beforehand. Whatever ended is borne."""
    spec = sweep(name, "mixed").model_copy(update={"objectives": several(count)})
    if strategies.problems(spec):
        assert "which takes one objective" in str(strategies.problems(spec)[0])
        return
    for kind in KINDS:
        history = [
            replace(t, values=(t.value, *(t.index % 7 * 1.0,) * (count - 1))) if t.value is not None else t
            for t in made_history(spec, 40, kind=kind)
        ]
        pending = drawn(spec, 8, first=40)
        check(spec, strategies.suggest(spec, history=history, pending=pending, trial=48), after=[*history, *pending])


def several(count: int) -> list[Objective]:
    return [Objective.model_validate(o) for o in SEVERAL[:count]]


# ---- every strategy: initial trials


INITIAL: list[Json] = [{"optimizer": "sgd", "nesterov": True, "momentum": 0.3}, {"optimizer": "adam"}]


@each_strategy
def test_initial_trials_come_first_and_never_again(name: str) -> None:
    """They are tried in their order, and what the strategy proposes is none of them, even while they are still to be planned."""
    spec = sweep(name, OPTIMIZER, initial=INITIAL)
    assert [strategies.suggest(spec, history=(), pending=(), trial=i) for i in (0, 1)] == INITIAL
    proposed = [strategies.suggest(spec, history=(), pending=(), trial=i) for i in range(2, 40)]
    assert None not in proposed
    assert all(p not in INITIAL for p in proposed)
    assert len(run(spec, 100)) == 7


@each_strategy
def test_initial_trials_are_made_exact(name: str) -> None:
    """0.1 + 0.2 is the step 0.3, and 1 is a float where floats are."""
    spec = sweep(
        name,
        [*OPTIMIZER, {"name": "x", "type": "Float", "min": 0, "max": 1, "points": 3}],
        initial=[{"optimizer": "sgd", "nesterov": True, "momentum": 0.1 + 0.2, "x": 1}],
    )
    assert json.dumps(strategies.suggest(spec, history=(), pending=(), trial=0)) == (
        '{"optimizer": "sgd", "x": 1.0, "nesterov": true, "momentum": 0.3}'
    )


@each_strategy
def test_what_cannot_be_proposed_is_told_beforehand(name: str) -> None:
    """Wrong initial trials have their place in the message; so have conditions that lead in a circle."""
    wrong = sweep(name, OPTIMIZER, initial=[{"optimizer": "adam"}, {"optimizer": "adam", "nesterov": True}])
    assert [p.path for p in strategies.problems(wrong)] == ["spec.initialTrials[1].parameters.nesterov"]
    circle = sweep(name, [{"name": "a", "type": "Boolean", "when": [{"parameter": "a", "values": ["true"]}]}])
    assert [p.path for p in strategies.problems(circle)] == ["spec.parameters[0].when"]
    assert strategies.problems(sweep(name, "mixed", initial=[])) == []


@each_strategy
def test_the_effective_strategy_is_told(name: str) -> None:
    """The status says what is at work, and how large the space is."""
    effective, reason = strategies.effective(sweep(name, "small, all types"))
    assert effective == (name if name != "Auto" else "Sobol")
    assert "4 mixed parameters, 36 points" in reason


# ---- every strategy: defaults


DEFAULTS: list[Json] = [
    {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam"], "default": "adam"},
    {
        "name": "momentum",
        "type": "Float",
        "min": 0,
        "max": 1,
        "points": 3,
        "default": 1,
        "when": [{"parameter": "optimizer", "values": ["sgd"]}],
    },
    {"name": "layers", "type": "Integer", "min": 1, "max": 4, "default": 2},
    {"name": "width", "type": "Integer", "min": 1, "max": 9},
    {"name": "bias", "type": "Boolean", "default": False},
]


@each_strategy
def test_the_first_trial_has_the_defaults(name: str) -> None:
    """Those that are active have theirs, exactly; what has none is drawn, the same whenever it is asked for."""
    spec = sweep(name, DEFAULTS)
    first = strategies.suggest(spec, history=(), pending=(), trial=0)
    assert first is not None
    assert {k: v for k, v in first.items() if k != "width"} == {"bias": False, "layers": 2, "optimizer": "adam"}
    assert strategies.suggest(spec, history=made_history(spec, 30)[1:], pending=(), trial=0) == first
    others = [strategies.suggest(spec, history=(), pending=(), trial=i) for i in range(1, 40)]
    assert first not in others
    assert len({json.dumps(o) for o in others}) > 10


@each_strategy
def test_defaults_come_after_the_initial_trials_unless_they_are_among_them(name: str) -> None:
    """Published values first; nothing is tried twice."""
    made = [p for p in DEFAULTS if p["name"] != "width"]
    initial = [
        {"optimizer": "sgd", "momentum": 0.5, "layers": 1, "bias": True},
        {"optimizer": "adam", "layers": 2, "bias": False},
    ]
    defaults = {"bias": False, "layers": 2, "optimizer": "adam"}
    assert strategies.suggest(sweep(name, made, initial=initial[:1]), history=(), pending=(), trial=1) == defaults
    assert strategies.suggest(sweep(name, made, initial=initial), history=(), pending=(), trial=2) not in (
        defaults,
        None,
    )


@each_strategy
def test_what_fills_up_the_defaults_meets_the_constraints(name: str) -> None:
    """Where some parameters have none."""
    spec = sweep(name, DEFAULTS).model_copy(
        update={"parameter_constraints": [ParameterConstraint(expression="width == 4 * layers", message=None)]}
    )
    assert (strategies.suggest(spec, history=(), pending=(), trial=0) or {})["width"] == 8


# ---- Grid


def test_a_grid_is_shuffled_by_the_seed() -> None:
    """A part of a grid tells of all of it: neither in order, nor in the same order for every seed."""
    orders = [[json.dumps(t.parameters) for t in run(sweep("Grid", "small, all types", seed=s), 40)] for s in range(5)]
    assert len({tuple(o) for o in orders}) == 5
    assert all(sorted(o) == sorted(orders[0]) for o in orders)
    in_order = [json.dumps(p) for p in every(space_of(sweep("Grid", "small, all types")))]
    assert all(o != in_order for o in orders)


def test_a_huge_grid_lists_nothing() -> None:
    """2^318 points: counted exactly, proposed at once."""
    spec = sweep("Grid", "wide")
    assert grid.size(space_of(spec)) == 2 ** (6 * 53)
    trials = run(spec, 20)
    assert len({space_of(spec).key(t.parameters) for t in trials}) == 20


def test_the_points_of_a_grid_are_even_on_the_scale() -> None:
    """Log: evenly spaced in the logarithm, both ends exact; all integers, or each step of them."""
    made = [
        {"name": "lr", "type": "Float", "min": 1e-4, "max": 0.1, "scale": "Log", "points": 4},
        {"name": "n", "type": "Integer", "min": 1, "max": 8, "step": 3},
        {"name": "width", "type": "Integer", "min": 1, "max": 3, "scale": "Log"},
    ]
    trials = run(sweep("Grid", made), 100)
    found = {name: sorted({t.parameters[name] for t in trials}) for name in ("lr", "n", "width")}
    assert found == {"lr": [0.0001, 0.001, 0.01, 0.1], "n": [1, 4, 7], "width": [1, 2, 3]}
    assert len(trials) == 4 * 3 * 3


def test_a_float_on_a_grid_must_say_which_of_its_values() -> None:
    """Refused with its place in the manifest, not sampled in silence."""
    spec = sweep("Grid", [{"name": "a", "type": "Boolean"}, {"name": "x", "type": "Float", "min": 0, "max": 1}])
    assert [str(p) for p in strategies.problems(spec)] == [
        "spec.parameters[1]: a Float on a grid needs `points` (how many values) or `step`; found neither"
    ]
    with pytest.raises(SpecError, match=r"spec\.parameters\[1\]"):
        strategies.suggest(spec, history=(), pending=(), trial=0)


def test_an_initial_trial_off_the_grid_costs_no_point() -> None:
    """Five points are five trials, besides the initial one between them."""
    spec = sweep("Grid", "one interval", initial=[{"x": 0.123}])
    assert sorted(t.parameters["x"] for t in run(spec, 100)) == [-1, -0.5, 0, 0.123, 0.5, 1]


# ---- Random


def test_random_is_uniform_over_its_trials() -> None:
    """2,000 trials of one sweep: each choice, step and decade as often as the others, within five standard deviations."""
    spec = sweep("Random", "mixed")
    drawn_ = [random.draw(space_of(spec), seed=3, trial=i) for i in range(2000)]

    def share(holds: Callable[[Assignment], bool]) -> float:
        return sum(map(holds, drawn_)) / len(drawn_)

    for expected, holds in [
        (1 / 3, lambda a: a["optimizer"] == "sgd"),
        (1 / 3, lambda a: a["layers"] == 12),
        (1 / 3, lambda a: a["batch"] == 32.5),
        (1 / 6, lambda a: "momentum" in a),
        (1 / 24, lambda a: a.get("momentum") == 0.9),
        (1 / 4, lambda a: a["lr"] < 1e-4),
        (1 / 5, lambda a: a["dropout"] > 0.4),
    ]:
        assert abs(share(holds) - expected) < 5 * math.sqrt(expected * (1 - expected) / len(drawn_))


def test_random_does_not_depend_on_what_it_need_not_avoid() -> None:
    """The same trial number gives the same assignment, whatever the others were worth."""
    spec = sweep("Random", "mixed")
    answers = {
        json.dumps(strategies.suggest(spec, history=made_history(spec, n, kind=k), pending=(), trial=77))
        for n in (0, 1, 30)
        for k in ("measured", "all failed")
    }
    assert len(answers) == 1


# ---- TPE


def distance(a: Assignment) -> float:
    """A bowl in four dimensions, one of them on a log scale, one of integers."""
    return (math.log10(a["lr"]) + 3) ** 2 + (a["x"] - 1.5) ** 2 + (a["y"] + 2) ** 2 + (a["n"] - 12) ** 2 / 9  # type: ignore[arg-type,operator]


def loss(a: Assignment) -> float:
    """A conditional space: the best branch has a parameter of its own, whose right value makes all the difference."""
    branch = {"adam": 2.0, "rprop": 3.0}.get(str(a["optimizer"]))
    branch = 5 * abs(float(a["momentum"]) - 0.9) if branch is None else branch
    return branch + (math.log10(float(a["lr"])) + 2) ** 2 + abs(float(a["batch"]) - 64) / 64


BOWL: list[Json] = [
    {"name": "lr", "type": "Float", "min": 1e-6, "max": 1, "scale": "Log"},
    {"name": "x", "type": "Float", "min": -5, "max": 5},
    {"name": "y", "type": "Float", "min": -5, "max": 5, "step": 0.25},
    {"name": "n", "type": "Integer", "min": 1, "max": 32},
]
BRANCHES: list[Json] = [
    {"name": "lr", "type": "Float", "min": 1e-6, "max": 1, "scale": "Log"},
    {"name": "batch", "type": "Discrete", "numbers": [16, 32, 64, 128]},
    {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam", "rprop"]},
    {"name": "momentum", "type": "Float", "min": 0, "max": 1, "when": [{"parameter": "optimizer", "values": ["sgd"]}]},
]


@pytest.mark.parametrize("goal", ["Minimize", "Maximize"])
@pytest.mark.parametrize(("made", "value"), [(BOWL, distance), (BRANCHES, loss)], ids=["bowl", "branches"])
def test_tpe_finds_better_than_random(made: list[Json], value: Callable[[Assignment], float], goal: str) -> None:
    """The reason to have it: the best of 40 trials, mean over eight seeds, well below Random's; in either direction."""
    sign = 1 if goal == "Minimize" else -1

    def best(name: str) -> float:
        runs = [run(sweep(name, made, seed=s, goal=goal), 40, lambda a: sign * value(a)) for s in range(8)]
        return fmean(min(sign * t.value for t in trials if t.value is not None) for trials in runs)

    assert best("TPE") < 0.7 * best("Random")


def proposals(history: Sequence[Trial], *, count: int = 40) -> list[float]:
    """Where TPE looks next on a line from 0 to 1."""
    spec = sweep("TPE", [{"name": "x", "type": "Float", "min": 0, "max": 1}])
    answers = [strategies.suggest(spec, history=history, pending=(), trial=len(history) + i) for i in range(count)]
    return [float(a["x"]) for a in answers if a is not None]


def on_a_line(index: int, value: float | None, outcome: Outcome = Outcome.SUCCEEDED, *, of: int = 50) -> Trial:
    return ended(index, {"x": (index * 0.6180339887) % 1}, value, outcome)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INFEASIBLE])
def test_tpe_keeps_away_from_where_trials_fail(outcome: Outcome) -> None:
    """A region that crashes is a bad region, though no value says so."""
    history = [on_a_line(i, None) for i in range(50)]
    history = [replace(t, outcome=outcome) if t.parameters["x"] > 0.5 else replace(t, value=1.0) for t in history]  # type: ignore[operator]
    assert sum(x > 0.5 for x in proposals(history)) < 0.25 * 40


def test_tpe_follows_every_objective() -> None:
    """Two bowls at 0.2 and 0.8, one of them upside down: the front is between them, and there it looks."""
    spec = sweep("TPE", [{"name": "x", "type": "Float", "min": -1, "max": 2}])
    spec = spec.model_copy(update={"objectives": several(2)})
    trials: list[Trial] = []
    for index in range(60):
        answer = strategies.suggest(spec, history=trials, pending=(), trial=index)
        assert answer is not None
        x = float(answer["x"])
        trials.append(replace(ended(index, answer, None), value=(x - 0.2) ** 2, values=(0.0, -((x - 0.8) ** 2))))
    late = [float(t.parameters["x"]) for t in trials[30:]]
    assert sum(0.1 < x < 0.9 for x in late) > 0.6 * len(late)
    assert min(late) < 0.35
    assert max(late) > 0.65


def test_tpe_is_led_to_where_constraints_are_met() -> None:
    """What is better but beyond a constraint repels, though only a quarter is within; while none is, the nearest attract."""
    bowl = [on_a_line(i, i * 0.6180339887 % 1) for i in range(50)]
    beyond = [replace(t, outcome=Outcome.INFEASIBLE, violation=max(0.0, 0.75 - (t.value or 0))) for t in bowl]
    mixed = [t if t.violation else replace(t, outcome=Outcome.SUCCEEDED) for t in beyond]
    assert sum(x < 0.7 for x in proposals(mixed)) < 0.25 * 40
    none_within = [replace(t, violation=t.violation + 0.1) for t in beyond]
    assert sum(x < 0.5 for x in proposals(none_within)) < 0.25 * 40


def test_tpe_without_any_result_is_random() -> None:
    """Where everything failed so far there is no good and bad: the whole range is tried on."""
    spec = sweep("TPE", "mixed")
    history = made_history(spec, 30, kind="all failed")
    drawn_ = random.draw(space_of(spec), seed=7, trial=30)
    assert strategies.suggest(spec, history=history, pending=(), trial=30) == drawn_


def test_tpe_learns_from_stopped_trials() -> None:
    """The last value of a trial that was stopped early ranks it, behind those that went on."""
    history = [on_a_line(i, None, Outcome.STOPPED) for i in range(40)]
    history = [replace(t, value=abs(float(t.parameters["x"]) - 0.8)) for t in history]
    assert fmean(abs(x - 0.8) for x in proposals(history)) < 0.15


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_tpe_never_takes_a_value_that_is_no_number_for_good(value: float) -> None:
    """-inf is no success."""
    history = [on_a_line(i, None) for i in range(50)]
    history = [replace(t, value=value if float(t.parameters["x"]) > 0.5 else 1.0) for t in history]
    assert sum(x > 0.5 for x in proposals(history)) < 0.25 * 40


def test_tpe_spreads_open_trials() -> None:
    """What is asked while others run lies elsewhere: eight at once are not eight times the same guess."""
    spec = sweep("TPE", [{"name": "x", "type": "Float", "min": 0, "max": 1}])
    history = [replace(on_a_line(i, None), value=abs((i * 0.6180339887) % 1 - 0.8)) for i in range(40)]
    pending: list[Trial] = []
    for index in range(40, 48):
        answer = strategies.suggest(spec, history=history, pending=pending, trial=index)
        assert answer is not None
        pending.append(Trial(index=index, run="", parameters=answer))
    found = sorted(float(t.parameters["x"]) for t in pending)
    alone = proposals(history, count=8)
    assert found[-1] - found[0] > max(alone) - min(alone)
