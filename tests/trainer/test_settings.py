"""Settings: what is refused, before any Job is made and at the start of a process, and which source wins."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.options import parser, read_job
from hypersweep_trainer.settings import Problem, Settings, allowed, check_settings, properties


def problems(settings: dict[str, object], parameters: dict[str, Sequence[object]] | None = None) -> list[str]:
    return [f"{problem.where}.{problem.name}: {problem.message}" for problem in check_settings(settings, parameters)]


def test_defaults_have_no_problems() -> None:
    """A sweep that sets nothing, or every setting to its default, is fine."""
    assert check_settings({}) == []
    assert check_settings(Settings().model_dump()) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lrr": 0.1}, "settings.lrr: no such setting; did you mean 'lr'?"),
        ({"colour": "red"}, "settings.colour: no such setting; there are: defaults, data, target,"),
        ({"lr": -1}, "settings.lr: found -1, allowed: a number, 0 < lr ≤ 100"),
        ({"lr": float("nan")}, "settings.lr: found NaN, allowed: a number"),
        ({"lr": "0.1"}, 'settings.lr: found "0.1", allowed: a number'),
        ({"epochs": True}, "settings.epochs: found true, allowed: an integer"),
        ({"epochs": 2.5}, "settings.epochs: found 2.5, allowed: an integer"),
        ({"epochs": None}, "settings.epochs: found null, allowed: an integer"),
        (
            {"optimizer": "adamm"},
            'settings.optimizer: found "adamm", allowed: sgd | adam | adamw | nadam |',
        ),
        ({"nesterov": "true"}, 'settings.nesterov: found "true", allowed: true | false'),
        ({"layers": [1, 2]}, "settings.layers: found [1, 2], allowed: an integer"),
        ({"task": "digit"}, 'settings.task: found "digit", allowed: auto | classification'),
    ],
)
def test_an_impossible_setting_is_named_with_what_was_found_and_what_is_allowed(
    settings: dict[str, object], said: str
) -> None:
    """One problem, at its place, in words that a user can act on."""
    (found,) = problems(settings)
    assert found.startswith(said)


def test_every_problem_is_reported_at_once() -> None:
    """Nobody wants to learn of mistakes one by one."""
    assert [problem.name for problem in check_settings({"a": 1, "lr": 0}, {"b": [], "width": [0, 8]})] == [
        "a",
        "lr",
        "b",
        "width",
    ]


def test_searched_values_are_checked_like_fixed_ones() -> None:
    """A range or a choice that some trial could not use is refused before the first trial."""
    (found,) = problems({}, {"optimizer": ["sgd", "adamm"]})
    assert found.startswith('parameters.optimizer: found "adamm", allowed: sgd | adam | adamw |')
    assert problems({}, {"dropout": [0.0, 0.5, 1.0]}) == [
        "parameters.dropout: found 1.0, allowed: a number, 0 ≤ dropout < 1"
    ]
    assert problems({}, {"learning_rate": []})[0].startswith("parameters.learning_rate: no such setting")
    assert problems({}, {"layers": [1, 6], "lr": [1e-5, 0.1], "batch_size": [16, 32.0]}) == []


def test_a_combination_is_judged_only_where_it_is_fixed() -> None:
    """nesterov without momentum cannot work, unless a parameter decides one of them."""
    settings: dict[str, object] = {"optimizer": "sgd", "nesterov": True, "momentum": 0}
    assert check_settings(settings) == [
        Problem("settings", "nesterov", "found true with sgd and momentum 0, allowed: only with momentum above 0")
    ]
    assert check_settings(settings, {"momentum": [0.5, 0.9]}) == []
    assert check_settings({**settings, "optimizer": "adam"}) == []


@hypothesis.settings(deadline=None)  # a busy machine is no defect
@given(
    st.dictionaries(
        st.sampled_from(sorted(Settings.model_fields)),
        st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=5), st.sampled_from(["sgd", "cnn", 0.5])),
        max_size=4,
    )
)
def test_admission_and_trainer_agree(settings: dict[str, object]) -> None:
    """What the check lets pass, the trainer takes; what it refuses, the trainer refuses."""
    try:
        read_job([], {"HYPERSWEEP_SETTINGS": json.dumps(settings)})
    except BadInputError:
        assert check_settings(settings)
    else:
        assert check_settings(settings) == []


def test_parameters_win_over_flags_over_settings_over_defaults() -> None:
    """The order of precedence, each level seen to win over the next."""
    found = read_job(
        ["--lr=0.2", "--width=16"],
        {"HYPERSWEEP_PARAMETERS": '{"lr": 0.3}', "HYPERSWEEP_SETTINGS": '{"lr": 0.1, "width": 8, "layers": 5.0}'},
    ).settings
    assert (found.lr, found.width, found.layers, found.epochs) == (0.3, 16, 5, Settings().epochs)
    assert isinstance(found.layers, int)


def test_seed_and_budget_come_from_the_environment() -> None:
    """HYPERSWEEP_SEED is only a default; HYPERSWEEP_BUDGET overrides epochs whoever set them."""
    environment = {"HYPERSWEEP_SEED": "9223372036854775807", "HYPERSWEEP_BUDGET": "3"}
    found = read_job(["--epochs=7"], environment)
    assert (found.settings.seed, found.budget, found.settings.epochs) == (2**63 - 1, 3, 7)
    assert read_job(["--seed=5"], environment).settings.seed == 5
    assert read_job(["--epochs=7"], {}).budget == 7


@pytest.mark.parametrize(
    ("flags", "environment", "said"),
    [
        (["--lr=fast"], {}, "command line: argument --lr: found 'fast', allowed: a number, 0 < lr ≤ 100"),
        (["--batch-size=3"], {}, "command line: --batch-size=3: no such setting; did you mean 'batch_size'?"),
        (["--ep=3"], {}, "command line: --ep=3: no such setting"),
        (["digits"], {}, "command line: digits: no such setting"),
        ([], {"HYPERSWEEP_PARAMETERS": '{"momentum": 2}'}, "HYPERSWEEP_PARAMETERS: momentum: found 2, allowed"),
        (
            [],
            {"HYPERSWEEP_PARAMETERS": '{"lr": 1'},
            "HYPERSWEEP_PARAMETERS: found '{\"lr\": 1', allowed: a JSON object",
        ),
        ([], {"HYPERSWEEP_SETTINGS": "[]"}, "HYPERSWEEP_SETTINGS: found '[]', allowed: a JSON object"),
        ([], {"HYPERSWEEP_BUDGET": "0"}, "HYPERSWEEP_BUDGET: found '0', allowed: an integer, 1 ≤ epochs"),
        (["--optimizer=sgd", "--nesterov", "--momentum=0"], {}, "nesterov: found true with sgd and momentum 0"),
    ],
)
def test_a_mistake_is_answered_with_its_source(flags: list[str], environment: dict[str, str], said: str) -> None:
    """Where it stands, what was found, what is allowed."""
    with pytest.raises(BadInputError) as refused:
        read_job(flags, environment)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("flag", "expected"), [("--nesterov", True), ("--nesterov=true", True), ("--nesterov=false", False)]
)
def test_a_switch_may_be_written_with_or_without_its_value(flag: str, expected: bool) -> None:
    """`arguments: Flags` writes --nesterov=true; people write --nesterov."""
    assert read_job([flag], {}).settings.nesterov is expected


def test_help_tells_settings_environment_and_exit_codes() -> None:
    """--help is the reference of somebody without the docs."""
    text = parser().format_help()
    for name in properties():
        assert f"--{name} " in text
    for word in ("HYPERSWEEP_PARAMETERS", "MLFLOW_RUN_ID", "143 interrupted"):
        assert word in text


def test_every_setting_says_what_it_allows_and_means() -> None:
    """The docs and --help have no empty cells."""
    assert all(allowed(name) and schema["description"] for name, schema in properties().items())


def test_checking_settings_imports_neither_torch_nor_mlflow() -> None:
    """The operator's image has neither."""
    code = (
        "import sys, hypersweep_trainer.settings, hypersweep_trainer.options, hypersweep_trainer.exits;"
        "print(sorted({'torch', 'mlflow', 'numpy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
