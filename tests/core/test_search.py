"""What GP, CMAES, Sobol and Auto promise, beyond what every strategy does."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

import pytest

from hypersweep.core import strategies
from hypersweep.core.spec import ParameterConstraint
from hypersweep.core.strategies import phases
from hypersweep.core.strategies.merit import merits
from hypersweep.core.trial import Assignment, Outcome, Reason, Trial
from hypersweep.testing.builders import ended, made_history, run, space_of, sweep
from hypersweep.testing.spaces import Json

LINE: list[Json] = [{"name": "x", "type": "Float", "min": 0, "max": 1}]
PLANE: list[Json] = [{"name": n, "type": "Float", "min": -5, "max": 5} for n in "xyz"]
BRANCHES: list[Json] = [
    {"name": "lr", "type": "Float", "min": 1e-6, "max": 1, "scale": "Log"},
    {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam", "rprop"]},
    {"name": "momentum", "type": "Float", "min": 0, "max": 1, "when": [{"parameter": "optimizer", "values": ["sgd"]}]},
]


def bowl(a: Assignment) -> float:
    return (float(a["x"]) - 1.5) ** 2 + (float(a["y"]) + 2) ** 2 + (float(a["z"]) - 3) ** 2


def branches(a: Assignment) -> float:
    branch = {"adam": 2.0, "rprop": 3.0}.get(str(a["optimizer"]))
    return (5 * abs(float(a["momentum"]) - 0.9) if branch is None else branch) + (math.log10(float(a["lr"])) + 2) ** 2


def mean_best(name: str, made: list[Json], value: Callable[[Assignment], float], *, trials: int, goal: str) -> float:
    sign = 1 if goal == "Minimize" else -1
    runs = [run(sweep(name, made, seed=s, goal=goal), trials, lambda a: sign * value(a)) for s in range(4)]
    return fmean(min(sign * t.value for t in trials if t.value is not None) for trials in runs)


@pytest.mark.parametrize("goal", ["Minimize", "Maximize"])
@pytest.mark.parametrize("name", ["Auto", "GP"])
@pytest.mark.parametrize(("made", "value"), [(PLANE, bowl), (BRANCHES, branches)], ids=["plane", "branches"])
def test_a_model_finds_far_better_than_random(
    name: str, made: list[Json], value: Callable[[Assignment], float], goal: str
) -> None:
    """After 30 trials, in either direction, also where parameters are conditional."""
    random = mean_best("Random", made, value, trials=30, goal=goal)
    assert mean_best(name, made, value, trials=30, goal=goal) < 0.25 * random


def test_cmaes_finds_far_better_than_random() -> None:
    """After 150 trials, which it needs."""
    random = mean_best("Random", PLANE, bowl, trials=150, goal="Minimize")
    assert mean_best("CMAES", PLANE, bowl, trials=150, goal="Minimize") < 0.05 * random


def on_a_line(index: int, value: float | None, outcome: Outcome = Outcome.SUCCEEDED) -> Trial:
    return ended(index, {"x": (index * 0.6180339887) % 1}, value, outcome)


def proposals(name: str, history: Sequence[Trial], *, count: int = 24) -> list[float]:
    """Where it looks next on a line from 0 to 1, asked for one trial after the other."""
    spec, pending = sweep(name, LINE), list[Trial]()
    for index in range(len(history), len(history) + count):
        answer = strategies.suggest(spec, history=history, pending=pending, trial=index)
        assert answer is not None
        pending.append(Trial(index=index, run="", parameters=answer))
    return [float(t.parameters["x"]) for t in pending]


@pytest.mark.parametrize("name", ["Auto", "GP"])
@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INFEASIBLE])
def test_where_trials_fail_is_not_asked_again_for_ever(name: str, outcome: Outcome) -> None:
    """The best lies at the edge of a region that crashes; most proposals keep out of it."""
    history = [on_a_line(i, abs((i * 0.6180339887) % 1 - 0.5)) for i in range(40)]
    history = [replace(t, outcome=outcome, value=None) if float(t.parameters["x"]) > 0.5 else t for t in history]
    assert sum(x > 0.5 for x in proposals(name, history)) < 0.4 * 24


@pytest.mark.parametrize("name", ["GP", "CMAES", "Auto"])
def test_open_trials_lie_apart(name: str) -> None:
    """Eight at once are eight guesses, not one and its nearest neighbours."""
    history = [on_a_line(i, abs((i * 0.6180339887) % 1 - 0.8)) for i in range(20)]
    found = sorted(proposals(name, history, count=8))
    assert sum(b - a > 0.005 for a, b in pairwise(found)) >= 5


def test_the_numbers_of_trials_are_ordered_as_their_ends_deserve() -> None:
    """Good, worse, stopped early with a flattering value, beyond a constraint by little and by much, crashed."""
    given = [
        ended(0, {}, 0.1),
        ended(1, {}, 0.5),
        ended(2, {}, 0.01, Outcome.STOPPED),
        replace(ended(3, {}, 0.0, Outcome.INFEASIBLE), violation=0.1),
        replace(ended(4, {}, 0.0, Outcome.INFEASIBLE), violation=9.0),
        ended(5, {}, None, Outcome.FAILED),
        ended(6, {}, math.nan),
    ]
    found = merits(given, "Minimize")
    assert found is not None
    good, worse, stopped, near, far, crashed, nan = found
    assert good < stopped < worse < near < far == crashed == nan
    assert merits(given[5:], "Minimize") is None


def test_sobol_is_spread_more_evenly_than_random() -> None:
    """Sixty-four points: one in each of sixty-four parts of a line."""
    spec = sweep("Sobol", LINE)
    found = [strategies.suggest(spec, history=(), pending=(), trial=i) for i in range(64)]
    assert len({int(64 * float(a["x"])) for a in found if a is not None}) == 64


def test_cmaes_tells_generations_by_the_numbers_of_the_trials() -> None:
    """What has not filled a generation yet changes nothing: its answer is that of the last full one."""
    spec = sweep("CMAES", PLANE)
    trials = run(spec, 20, bowl)  # generations of seven
    answers = {str(strategies.suggest(spec, history=trials[:n], pending=(), trial=99)) for n in (14, 15, 20)}
    assert len(answers) == 1
    assert str(strategies.suggest(spec, history=trials[:7], pending=(), trial=99)) not in answers


# ---- Auto changes over


@pytest.mark.parametrize(
    ("made", "phase"),
    [(PLANE, "CMAES"), (BRANCHES, "TPE"), ([*LINE, {"name": "n", "type": "Integer", "min": 1, "max": 9}], "TPE")],
    ids=["continuous", "conditional", "mixed"],
)
def test_auto_changes_over_by_what_has_ended(made: list[Json], phase: str) -> None:
    """And the status says so, with the reason."""
    spec = sweep("Auto", made)
    told = [strategies.effective(spec, ended=n)[0] for n in (0, 7, 8, 199, 200, 5000)]
    assert told == ["Sobol", "Sobol", "GP and TPE", "GP and TPE", phase, phase]
    assert strategies.effective(spec, ended=40)[1].startswith("in turn; ")


def test_auto_is_the_strategy_that_it_says() -> None:
    """The same answers as those of the strategy at work, asked by its own name."""
    spec = sweep("Auto", "mixed")
    history = made_history(spec, 20)

    def answer(name: str, trial: int) -> Assignment | None:
        return strategies.suggest(
            sweep(name, "mixed", settings={"startup": 8}), history=history, pending=(), trial=trial
        )

    assert answer("Auto", 20) == answer("GP", 20)
    assert answer("Auto", 21) == answer("TPE", 21)
    assert answer("Auto", 22) not in (answer("GP", 22), answer("TPE", 22))  # greedy


def test_auto_begins_in_the_middle_of_each_scale() -> None:
    """What is inactive there is left out."""
    lr = {"name": "lr", "type": "Float", "min": 1e-5, "max": 1e-1, "scale": "Log"}
    layers = {"name": "layers", "type": "Integer", "min": 1, "max": 5}
    deep = {"name": "skip", "type": "Float", "min": 0, "max": 1, "when": [{"parameter": "layers", "min": 4}]}
    middle = strategies.suggest(sweep("Auto", [lr, layers, deep]), history=(), pending=(), trial=0)
    assert middle == {"lr": pytest.approx(1e-3), "layers": 3}
    assert strategies.suggest(sweep("Sobol", [lr, layers, deep]), history=(), pending=(), trial=0) != middle


def test_auto_does_not_begin_where_others_have_been_or_constraints_forbid() -> None:
    """Neither twice nor outside: Sobol's first point takes its place."""
    free = sweep("Auto", LINE)
    apart = free.model_copy(update={"parameter_constraints": [ParameterConstraint(expression="x < 0.4 || x > 0.6")]})
    found = strategies.suggest(apart, history=(), pending=(), trial=0)
    assert found == strategies.suggest(sweep("Sobol", LINE), history=(), pending=(), trial=0) != {"x": 0.5}
    taken = [Trial(index=1, run="", parameters={"x": 0.5})]
    assert strategies.suggest(free, history=(), pending=taken, trial=0) == found


def test_auto_starts_models_when_its_settings_say() -> None:
    """`startup` is how many trials must have ended."""
    spec = sweep("Auto", "mixed", settings={"startup": 30})
    assert phases.phase(space_of(spec), 29, startup=30) == "Sobol"
    assert strategies.effective(spec, ended=29)[0] == "Sobol"
    assert strategies.effective(spec, ended=30)[0] == "GP and TPE"


# ---- what a further trial promises


def promised(history: Sequence[Trial], goal: str = "Minimize") -> float | None:
    spec = sweep("Random", LINE, goal=goal)
    return strategies.expected_improvement(spec, history=history, pending=())


def measured(count: int, scale: float = 1.0) -> list[Trial]:
    return [on_a_line(i, scale * ((i * 0.6180339887) % 1 - 0.3) ** 2) for i in range(count)]


def test_less_is_promised_the_more_is_known() -> None:
    """A smooth line, ten points and forty."""
    few, many = promised(measured(10)), promised(measured(40))
    assert few is not None
    assert many is not None
    assert 0 <= many < few < 0.1


def test_what_is_promised_has_the_unit_of_the_objective() -> None:
    """A thousand times the values, a thousand times the promise; and to maximize is to minimize the negative."""
    one, thousand = promised(measured(10)), promised(measured(10, scale=1000.0))
    assert thousand == pytest.approx(1000 * (one or 0), rel=0.05)
    assert promised(measured(10, scale=-1.0), goal="Maximize") == pytest.approx(one)


def test_nothing_is_promised_on_thin_evidence() -> None:
    """Below ten measured trials a model says nothing; failures are no measurements."""
    failures = [on_a_line(i, None, Outcome.FAILED) for i in range(9, 30)]
    assert promised([*measured(9), *failures]) is None


def test_what_is_promised_outlasts_the_end_that_it_brings_about() -> None:
    """Of three trials that the end cuts off, one is committed and then the operator dies: the next one must see it alike."""
    spec, history = sweep("Random", LINE), measured(12)
    opened = [on_a_line(i, None, Outcome.OPEN) for i in (12, 13, 14)]
    cut = replace(opened[0], outcome=Outcome.STOPPED, reason=Reason.SWEEP_ENDED)
    before = strategies.expected_improvement(spec, history=history, pending=opened)
    assert before is not None
    assert strategies.expected_improvement(spec, history=[*history, cut], pending=opened[1:]) == before


def test_nothing_is_promised_by_what_was_tried() -> None:
    """Of a small space, only the points that are left: once there are none, no number would be true."""
    spec = sweep("Random", [{"name": "n", "type": "Integer", "min": 0, "max": 11}])
    history = [ended(i, {"n": i}, (i - 4) ** 2 * 1.0) for i in range(12)]
    assert strategies.expected_improvement(spec, history=history[:11], pending=()) is not None
    assert strategies.expected_improvement(spec, history=history, pending=()) is None
