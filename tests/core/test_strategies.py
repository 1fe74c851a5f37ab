"""The conformance suite: what every strategy must do in every space. Then what only one of them promises.

A strategy that the schema names is tested here without being listed: the names come from the schema.
"""

import json
import logging
import math
import pickle
import random as stdlib_random
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypersweep.core import strategies
from hypersweep.core.errors import SpecError
from hypersweep.core.space import Space
from hypersweep.core.spec import BUILT_IN, Objective, ParameterConstraint, SweepSpec
from hypersweep.core.strategies import grid, random
from hypersweep.core.trial import Assignment, Outcome, Trial
from tests.core.spaces import CONSTRAINTS, OPTIMIZER, SPACES, Json, every, parameters

NAMES = BUILT_IN
FINITE = ("one point", "small, conditional", "small, all types", "small, constrained", "small, numbers as parents")

each_strategy = pytest.mark.parametrize("name", NAMES)
each_space = pytest.mark.parametrize("where", SPACES)
each_finite_space = pytest.mark.parametrize("where", FINITE)


# ---- builders


def sweep(
    name: str, made: Sequence[Json] | str, *, seed: int = 7, goal: str = "Minimize", initial: Sequence[Json] = ()
) -> SweepSpec:
    """A sweep of that strategy over these parameters, or over the space of that name."""
    return SweepSpec.model_validate(
        {
            "objectives": [{"metric": "loss", "goal": goal}],
            "parameters": SPACES[made] if isinstance(made, str) else made,
            "strategy": {"name": name, "seed": seed},
            "initialTrials": [{"parameters": p} for p in initial],
            "parameterConstraints": [{"expression": e} for e in CONSTRAINTS.get(made, ())]
            if isinstance(made, str)
            else [],
        }
    )


def space_of(spec: SweepSpec) -> Space:
    return Space.of(spec)


def ended(index: int, parameters: Assignment, value: float | None, outcome: Outcome = Outcome.SUCCEEDED) -> Trial:
    return Trial(index=index, run=f"run-{index}", parameters=parameters, outcome=outcome, value=value)


def drawn(spec: SweepSpec, count: int, *, first: int = 0) -> list[Trial]:
    """Open trials with random assignments, all different while that is possible."""
    space, trials, seen = space_of(spec), [], set()
    for index in range(first, first + count):
        chosen = random.unseen(space, seen=seen, seed=99, trial=index)
        parameters = chosen if chosen is not None else random.draw(space, seed=99, trial=index)
        seen.add(space.key(parameters))
        trials.append(Trial(index=index, run="", parameters=parameters))
    return trials


def score(parameters: Assignment) -> float:
    """Some value that depends on each parameter, cheap and without meaning."""
    return sum(float(v) if isinstance(v, int | float) else len(v) for v in parameters.values()) % 10


KINDS: dict[str, Callable[[Trial], Trial]] = {
    "measured": lambda t: ended(t.index, t.parameters, score(t.parameters)),
    "all failed": lambda t: ended(t.index, t.parameters, None, Outcome.FAILED),
    "all infeasible, value NaN": lambda t: ended(t.index, t.parameters, math.nan, Outcome.INFEASIBLE),
    "all NaN": lambda t: ended(t.index, t.parameters, math.nan),
    "infinities": lambda t: ended(t.index, t.parameters, math.inf if t.index % 2 else -math.inf),
    "all beyond a constraint": lambda t: replace(
        ended(t.index, t.parameters, score(t.parameters), Outcome.INFEASIBLE), violation=(0.5, math.inf)[t.index % 2]
    ),
    "one constant": lambda t: ended(t.index, t.parameters, 1.0),
    "huge values": lambda t: ended(t.index, t.parameters, (-1) ** t.index * 1.7e308),
    "ties": lambda t: ended(t.index, t.parameters, t.index // 4),
    "all stopped": lambda t: ended(t.index, t.parameters, score(t.parameters), Outcome.STOPPED),
    "stopped without a value": lambda t: ended(t.index, t.parameters, None, Outcome.STOPPED),
    "of all kinds": lambda t: ended(
        t.index,
        t.parameters,
        (score(t.parameters), None, math.nan, math.inf)[t.index % 4],
        list(Outcome)[1 + t.index // 4 % 4],
    ),
}


def made_history(spec: SweepSpec, count: int, *, kind: str = "measured") -> list[Trial]:
    return [KINDS[kind](t) for t in drawn(spec, count)]


def exhausted(spec: SweepSpec, trials: Sequence[Trial]) -> bool:
    """Whether these trials have had every point that the strategy may propose."""
    space = space_of(spec)
    seen = {space.key(t.parameters) for t in trials}
    if spec.parameter_constraints and not strategies.gives_up(spec):
        return all(space.key(point) in seen for point in every(space))
    if spec.strategy.name != "Grid":
        return space.cardinality is not None and len(seen) >= space.cardinality
    points = grid.points(space)
    return points.size <= len(seen) and all(space.key(points.at(rank)) in seen for rank in range(points.size))


def check(spec: SweepSpec, answer: Assignment | None, *, after: Sequence[Trial]) -> None:
    """What holds of every answer: allowed, exact, complete, new; or None, when nothing new is left."""
    space = space_of(spec)
    assert (answer is None) == exhausted(spec, after)
    if answer is None:
        return
    again = json.loads(json.dumps(answer))
    assert space.problems(again) == []
    assert again == answer
    assert [type(v) for v in again.values()] == [type(v) for v in answer.values()]
    assert tuple(answer) == space.active(answer)
    assert space.key(again) not in {space.key(t.parameters) for t in after}


def run(spec: SweepSpec, count: int, value: Callable[[Assignment], float] = score) -> list[Trial]:
    """A sweep, one trial at a time, until it has so many or the space is exhausted."""
    trials: list[Trial] = []
    for index in range(count):
        answer = strategies.suggest(spec, history=trials, pending=(), trial=index)
        if answer is None:
            break
        trials.append(ended(index, answer, value(answer)))
    return trials


# ---- every strategy: pure


@cache
def cases() -> list[tuple[SweepSpec, list[Trial], list[Trial], int]]:
    """A question for each strategy in each space: forty trials of all kinds with gaps, three open ones."""
    found = []
    for name in NAMES:
        for where in SPACES:
            spec = sweep(name, where)
            trials = made_history(spec, 46, kind="of all kinds")
            opened = [replace(t, outcome=Outcome.OPEN, value=None) for t in trials[40:43]]
            found.append((spec, [t for t in trials[:40] if t.index % 7], opened, 43))
    return found


def asked(case: tuple[SweepSpec, list[Trial], list[Trial], int]) -> str:
    spec, history, pending, trial = case
    return json.dumps(strategies.suggest(spec, history=history, pending=pending, trial=trial))


IN_ANOTHER_PROCESS = """
import pickle, sys
from tests.core.test_strategies import asked
print(*map(asked, pickle.load(sys.stdin.buffer)), sep="\\n")
"""


def test_another_process_gives_the_same_answers() -> None:
    """After a restart the sweep goes on as if nothing had been: no answer depends on a process, or on its hash seed."""
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS],
        input=pickle.dumps(cases()),
        capture_output=True,
        check=True,
        timeout=120,
        env={"PYTHONHASHSEED": "4711", "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.decode().splitlines() == [asked(case) for case in cases()]


def test_the_order_of_the_trials_has_no_meaning() -> None:
    """A ledger may list trials as it likes."""
    shuffle = stdlib_random.Random(1).sample
    for spec, history, pending, trial in cases():
        shuffled = shuffle(history, len(history)), shuffle(pending, len(pending))
        assert asked((spec, *shuffled, trial)) == asked((spec, history, pending, trial))


def test_threads_do_not_disturb_each_other() -> None:
    """Many sweeps ask at once, each in a worker thread."""
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(asked, cases())) == [asked(case) for case in cases()]


@each_strategy
def test_nothing_outside_is_touched(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """No generator that others use, no logging set-up, no warnings filter, and not a word on the terminal."""
    spec = sweep(name, "mixed")
    history = made_history(spec, 30)

    def outside() -> list[Any]:
        log = logging.getLogger("optuna")
        generators = stdlib_random.getstate(), repr(np.random.get_state())  # noqa: NPY002
        return [generators, list(warnings.filters), log.level, list(log.handlers)]

    strategies.suggest(spec, history=history, pending=(), trial=29)  # imports happen here
    before = outside()
    strategies.suggest(spec, history=history, pending=(), trial=30)
    assert outside() == before
    assert capfd.readouterr() == ("", "")


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


# ---- every strategy: any history


@each_strategy
@each_space
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 24])
def test_any_history_is_answered(name: str, where: str, kind: str, count: int) -> None:
    """Failures, NaN, infinities, ties and constants do not confuse a strategy."""
    spec = sweep(name, where)
    history = made_history(spec, count, kind=kind)
    check(spec, strategies.suggest(spec, history=history, pending=(), trial=count), after=history)


@each_strategy
@each_space
def test_the_first_trial_needs_no_history(name: str, where: str) -> None:
    """A sweep begins somewhere."""
    spec = sweep(name, where)
    check(spec, strategies.suggest(spec, history=(), pending=(), trial=0), after=())


@each_strategy
@each_space
def test_gaps_in_the_numbers_are_borne(name: str, where: str) -> None:
    """Deleted runs leave holes, and the smallest free number may lie far below the largest."""
    spec = sweep(name, where)
    history = [t for t in made_history(spec, 40) if t.index % 5 and t.index != 3]
    history += [replace(t, index=t.index + 5000) for t in history[:4]]
    for trial in (0, 3, 41, 100_000):
        check(spec, strategies.suggest(spec, history=history, pending=(), trial=trial), after=history)


@each_strategy
@each_space
@pytest.mark.parametrize("known", [0, 20])
def test_sixty_four_open_trials_are_all_different(name: str, where: str, known: int) -> None:
    """A wide sweep is planned without one result, or with few."""
    spec = sweep(name, where)
    history = made_history(spec, known)
    pending: list[Trial] = []
    for index in range(known, known + 64):
        answer = strategies.suggest(spec, history=history, pending=pending, trial=index)
        check(spec, answer, after=[*history, *pending])
        if answer is None:
            break
        pending.append(Trial(index=index, run="", parameters=answer))


@each_strategy
@each_finite_space
def test_every_point_has_its_turn_and_then_the_end_is_told(name: str, where: str) -> None:
    """No duplicate while there is something new, all of a small space is tried, and then the answer is None."""
    spec = sweep(name, where)
    points = {space_of(spec).key(a) for a in every(space_of(spec))}
    trials = run(spec, len(points) + 1)
    assert len(trials) == len(points)
    assert {space_of(spec).key(t.parameters) for t in trials} == points
    assert strategies.suggest(spec, history=trials[1:], pending=trials[:1], trial=len(points) + 7) is None


@each_strategy
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=parameters(finite=True, most=3), seed=st.integers(0, 2**31 - 1), data=st.data())
def test_any_finite_space_is_exhausted(name: str, made: list[Json], seed: int, data: st.DataObject) -> None:
    """Whatever was tried before, what is left is found, and nothing else."""
    spec = sweep(name, made, seed=seed)
    points = list(every(space_of(spec)))
    had = data.draw(st.lists(st.sampled_from(range(len(points))), unique=True, min_size=max(0, len(points) - 3)))
    history = [ended(i, points[n], score(points[n])) for i, n in enumerate(had)]
    for index in range(len(had), len(points) + 1):
        answer = strategies.suggest(spec, history=history, pending=(), trial=index)
        check(spec, answer, after=history)
        if answer is not None:
            history.append(ended(index, answer, score(answer)))
    assert len(history) == len(points)


@each_strategy
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=parameters(), seed=st.integers(0, 2**31 - 1), kind=st.sampled_from(sorted(KINDS)))
def test_any_space_is_answered(name: str, made: list[Json], seed: int, kind: str) -> None:
    """Ranges as wide as numbers go, or one number wide; any scale, any conditions."""
    made = [{**p, "points": 3} if p["type"] == "Float" and "step" not in p else p for p in made]
    spec = sweep(name, made, seed=seed)
    history = made_history(spec, 15, kind=kind)
    check(spec, strategies.suggest(spec, history=history, pending=(), trial=15), after=history)


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


@each_strategy
def test_a_thousand_trials_are_no_burden(name: str) -> None:
    """Seconds would hold up every launch; bench/ask.py has the figures."""
    spec = sweep(name, "mixed")
    history = made_history(spec, 1000, kind="of all kinds")
    pending = drawn(spec, 8, first=1000)
    check(spec, strategies.suggest(spec, history=history, pending=pending, trial=1008), after=[*history, *pending])


@cache
def ten_thousand() -> list[Trial]:
    space = space_of(sweep("Random", "mixed"))
    drawn_ = (Trial(index=i, run="", parameters=random.draw(space, seed=1, trial=i)) for i in range(10_000))
    return [KINDS["measured"](t) for t in drawn_]


@each_strategy
def test_ten_thousand_trials_are_borne(name: str) -> None:
    """The longest sweeps end, too."""
    spec = sweep(name, "mixed")
    history = ten_thousand()
    check(spec, strategies.suggest(spec, history=history, pending=(), trial=10_000), after=history)


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
