"""What `hypersweep plan` says before anything is spent: counts, estimates, first trials, warnings, cost."""

import json
from pathlib import Path
from typing import Any

import pytest

from hypersweep.cli.main import main
from hypersweep.core import strategies
from hypersweep.core.plan import Estimate, Outlook, assignments, hints, outlook
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Outcome, Trial
from hypersweep.testing.spaces import OPTIMIZER, Json
from tests.corpus.cases import manifest

CONDITIONAL: list[Json] = [
    {"name": "layers", "type": "Integer", "min": 1, "max": 4},
    {"name": "width", "type": "Discrete", "numbers": [16, 32, 64], "when": [{"parameter": "layers", "min": 2}]},
    {"name": "bias", "type": "Boolean"},
]


def sweep(parameters: list[Json], *, constraints: tuple[str, ...] = (), **fields: Any) -> SweepSpec:
    return SweepSpec.model_validate(
        {
            "objectives": [{"metric": "accuracy", "goal": "Maximize"}],
            "parameters": parameters,
            "parameterConstraints": [{"expression": e} for e in constraints],
            "strategy": {"name": "Random", "seed": 3},
            **fields,
        }
    )


def plan(parameters: list[Json], *, constraints: tuple[str, ...] = (), **fields: Any) -> Outlook:
    return outlook(sweep(parameters, constraints=constraints, **fields))


def test_the_size_is_counted_and_what_conditions_do_to_it() -> None:
    """Without `when` there would be 24 points; layers 1 has no width, so there are 20."""
    found = plan(CONDITIONAL)
    assert (found.size, found.unconditional) == (20, 24)
    width = next(s for s in found.parameters if s.name == "width")
    assert (width.values, width.condition) == ("16, 32, 64", "layers is at least 2")
    assert width.active is not None
    assert abs(width.active.share - 0.75) < 0.05
    assert all(s.active is None for s in found.parameters if s.name != "width")


def test_an_interval_makes_the_space_infinite() -> None:
    """No number is made up for it."""
    found = plan([{"name": "x", "type": "Float", "min": 0, "max": 0.9, "scale": "ReverseLog"}])
    assert (found.size, found.unconditional) == (None, None)
    assert found.parameters[0].values == "0 to 0.9, ReverseLog"


def test_the_share_that_meets_the_constraints_is_an_estimate_with_its_interval() -> None:
    """A third of the points meets one constraint, a sixth both; each interval holds the truth."""
    made = [{"name": n, "type": "Float", "min": 0, "max": 1} for n in "ab"]
    found = plan(made, constraints=("a * 3 < 1", "b * 2 < 1"))
    shares = {c.expression: e for c, e in found.constraints}
    assert found.meets is not None
    for estimate, truth in ((shares["a * 3 < 1"], 1 / 3), (shares["b * 2 < 1"], 1 / 2), (found.meets, 1 / 6)):
        low, high = estimate.interval
        assert low < truth < high
        assert high - low < 0.05


def test_a_grid_is_sampled_on_its_points() -> None:
    """All of a small one: what is called an estimate is exact there."""
    found = plan(
        [{"name": n, "type": "Integer", "min": 1, "max": 10} for n in "ab"],
        constraints=("a < b",),
        strategy={"name": "Grid"},
    )
    assert found.meets == Estimate(45, 100)


@pytest.mark.parametrize("name", ["Auto", "Grid", "Random", "TPE", "Sobol"])
def test_the_first_trials_are_those_of_the_sweep(name: str) -> None:
    """What is shown as certain is what the operator will launch, whatever the results are."""
    spec = sweep(
        OPTIMIZER,
        strategy={"name": name, "seed": 5},
        initialTrials=[{"parameters": {"optimizer": "adam"}}],
        trials={"max": 9, "parallel": 3},
    )
    found = outlook(spec)
    assert (len(found.first), found.certain) == (5, 3)
    assert found.first[0] == {"optimizer": "adam"}
    pending: list[Trial] = []
    for index in range(found.certain):
        answer = strategies.suggest(spec, history=(), pending=pending, trial=index)
        assert answer == found.first[index]
        pending.append(Trial(index=index, run="", parameters=answer, outcome=Outcome.OPEN))


def test_a_space_smaller_than_the_first_trials_is_shown_whole() -> None:
    """Two points are two trials."""
    found = plan([{"name": "bias", "type": "Boolean"}])
    assert sorted(a["bias"] for a in found.first) == [False, True]


WARNINGS = [
    ("a linear scale over four decades", [{"name": "x", "type": "Float", "min": 1e-4, "max": 1}], {}, "`scale: Log`?"),
    (
        "one value",
        [{"name": "kind", "type": "Categorical", "values": ["a"]}],
        {},
        'kind is always "a": nothing is searched',
    ),
    ("a space smaller than the budget", CONDITIONAL, {"trials": {"max": 50}}, "the space has 20 points"),
    ("a budget that is too small", CONDITIONAL, {"trials": {"max": 14}}, "found 14 for 3 parameters"),
    (
        "too few assignments, though trials enough",
        CONDITIONAL,
        {"trials": {"max": 16}, "repeats": {"count": 2}},
        "found 16, which makes 8 assignments, for 3 parameters",
    ),
    (
        "a grid larger than the budget",
        CONDITIONAL,
        {"strategy": {"name": "Grid"}, "trials": {"max": 5}},
        "the grid has 20 points, of which 25.0% are tried",
    ),
    (
        "a loss ranked by itself",
        [{"name": "loss", "type": "Categorical", "values": ["mse", "huber"]}, CONDITIONAL[0]],
        {"objectives": [{"metric": "val_loss", "goal": "Minimize"}], "trials": {"max": 8}},
        "found val_loss, while loss (spec.parameters[0]) is searched",
    ),
    (
        "a wide learning rate",
        [{"name": "learning_rate", "type": "Float", "min": 1e-5, "max": 1, "scale": "Log"}],
        {},
        "ranges over a factor of 100,000; a learning-rate range test",
    ),
]


@pytest.mark.parametrize(
    ("parameters", "fields", "says"), [row[1:] for row in WARNINGS], ids=[row[0] for row in WARNINGS]
)
def test_what_is_probably_not_meant_is_warned_of(parameters: list[Json], fields: Json, says: str) -> None:
    """Each with its place."""
    messages = [str(w) for w in plan(parameters, **fields).warnings]
    assert any(says in m and m.startswith("spec.") for m in messages), messages


def test_range_tests_are_told_of_and_make_no_hint() -> None:
    """What they will find may change every trial but the initial ones."""
    rate = {"name": "lr", "type": "Float", "min": 1e-5, "max": 1, "scale": "Log"}
    asked: Json = {"learningRateRangeTest": {"parameter": "lr"}, "initialTrials": [{"parameters": {"lr": 0.1}}]}
    found = plan([rate], **asked)
    assert not [w for w in found.warnings if "range test" in w.message]
    assert (found.range_tests, found.certain) == (1, 1)
    other = {**rate, "name": "critic_lr"}
    assert [w.path for w in plan([rate, other], **asked).warnings if "range test" in w.message] == [
        "spec.parameters[1]"
    ]


def test_a_sound_sweep_has_no_warnings() -> None:
    """Enough trials, a narrow rate on its scale, an accuracy for searched losses."""
    made = [
        {"name": "lr", "type": "Float", "min": 1e-3, "max": 0.1, "scale": "Log"},
        {"name": "loss", "type": "Categorical", "values": ["mse", "huber"]},
        {
            "name": "decay",
            "type": "Float",
            "min": 1e-6,
            "max": 1,
            "distribution": "LogNormal",
            "mean": 1e-3,
            "deviation": 1,
        },
    ]
    spec = sweep(made, trials={"max": 15})
    assert outlook(spec).warnings == ()
    assert hints(spec) == []


@pytest.mark.parametrize(
    ("repeats", "least"),
    [({"count": 1}, 20), ({"count": 3}, 7), ({"count": 3, "racing": True}, 10)],
    ids=["once", "three times", "racing"],
)
def test_the_budget_of_a_model_is_counted_in_assignments(repeats: Json, least: int) -> None:
    """A model learns from an assignment once, however often it is run."""
    assert assignments(sweep(CONDITIONAL, trials={"max": 20}, repeats=repeats)) == least


def test_repeats_of_initial_trials_are_certain_and_shown() -> None:
    """The first trials are those that a sweep begins with: each assignment with all its seeds."""
    numbers = [{"name": "x", "type": "Float", "min": 0, "max": 1}]
    initial = [{"parameters": {"x": 0.5}}, {"parameters": {"x": 0.25}}]
    spec = sweep(numbers, repeats={"count": 2}, initialTrials=initial, trials={"parallel": 1, "max": 9})
    found = outlook(spec, first=4)
    assert [a["x"] for a in found.first] == [0.5, 0.5, 0.25, 0.25]
    assert found.certain == 4


COSTS = [
    ("by trials", {"trials": {"max": 10, "parallel": 4}}, (10, 5.0, 1.5)),
    ("of a space that ends before", {"trials": {"max": 50, "parallel": 4}}, (20, 10.0, 2.5)),
    (
        "of a space that repeats do not exhaust",
        {"trials": {"max": 50, "parallel": 4}, "repeats": {"count": 2}},
        (40, 20.0, 5.0),
    ),
    ("cut by a duration", {"trials": {"max": 10, "parallel": 4}, "stopWhen": {"duration": "1h"}}, (10, 4.0, 1.0)),
    ("while drained", {"trials": {"max": 2, "parallel": 0}}, (2, 1.0, 1.0)),
]


@pytest.mark.parametrize(("fields", "expected"), [row[1:] for row in COSTS], ids=[row[0] for row in COSTS])
def test_the_cost_is_an_upper_bound(fields: Json, expected: tuple[int, float, float]) -> None:
    """Trials, hours of trials and hours on the clock, half an hour a trial; at 3 an hour."""
    cost = outlook(sweep(CONDITIONAL, **fields), trial_hours=0.5, price=3).cost
    assert cost is not None
    assert (cost.trials, cost.trial_hours, cost.clock_hours) == expected
    assert cost.total == 3 * expected[1]


# ---- the command


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "sweep.yaml"
    found.write_text(
        manifest(
            "planned",
            "parameters:\n- {name: lr, type: Float, min: 0.001, max: 0.1, scale: Log}\n"
            "- {name: layers, type: Integer, min: 1, max: 4}\n"
            "- {name: skip, type: Boolean, when: [{parameter: layers, min: 3}]}\n"
            "parameterConstraints: [{expression: 'lr * layers < 0.2'}]\ntrials: {max: 30}\nstrategy: {name: TPE}\n",
        )
    )
    return found


def test_the_plan_is_a_page_of_text(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that was asked for, in one look."""
    assert main(["plan", str(path), "--price", "2", "--trial-hours", "0.25"]) == 0
    said = capsys.readouterr().out
    for fragment in (
        "planned: minimize loss; 30 trials, 1 at a time",
        "strategy: TPE (as asked for",
        "space: infinitely many points",
        "of its points meet `lr * layers < 0.2`",
        "0.001 to 0.1, Log",
        "layers is at least 3",
        "trial 4",
        "from trial 1 on, results may change them",
        "no warnings",
        "at most 7.5 hours of trials, 7.5 on the clock, for 30 trials: 15.00 at 2 an hour",
    ):
        assert fragment in said, said


def test_the_plan_is_data_for_machines(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same, as JSON; what is unknown is null."""
    assert main(["plan", str(path), "--output", "json", "--first", "2"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["name"], said["space"]["size"], said["space"]["sizeIsExact"], said["cost"]) == (
        "planned",
        None,
        False,
        None,
    )
    assert [t["certain"] for t in said["firstTrials"]] == [True, False]
    assert said["space"]["constraints"][0]["met"]["drawn"] == 2000


def test_a_sweep_that_would_be_refused_has_no_plan(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The problems are those of `validate`, and the exit code says so."""
    path.write_text(manifest("wrong", "parameterConstraints: [{expression: 'rl < 1'}]\n"))
    assert main(["plan", str(path)]) == 1
    assert "no parameter is named `rl`; allowed: lr" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--price", "2"], ["--trial-hours", "-1"], ["--first", "1000"]])
def test_wrong_options_are_refused(path: Path, wrong: list[str]) -> None:
    """A price needs hours, and amounts are positive."""
    try:
        code = main(["plan", str(path), *wrong])
    except SystemExit as end:
        code = int(end.code or 0)
    assert code in (1, 2)


@pytest.mark.parametrize("command", ["plan", "validate"])
def test_what_is_registered_in_the_end_is_told_before(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By both commands that run nothing."""
    path = tmp_path / "sweep.yaml"
    path.write_text(manifest("digits", "onComplete: {registerModel: team.digits, alias: champion}\n"))
    assert main([command, str(path)]) == 0
    assert "the best trial's model becomes a version of team.digits@champion" in capsys.readouterr().out
