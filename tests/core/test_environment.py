"""What a trial is told, and that no value can become anything but a value."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core.environment import arguments, environment, is_reserved, text, trial_seed
from tests.core.builders import make_spec, make_trial

SPACE = [
    {"name": "lr", "type": "Float", "min": 1e-5, "max": 2.0},
    {"name": "layers", "type": "Integer", "min": 1, "max": 6},
    {"name": "batch-size", "type": "Discrete", "numbers": [16, 32]},
    {"name": "dropout", "type": "Discrete", "numbers": [0, 0.5, 1]},
    {"name": "opt", "type": "Categorical", "values": ["sgd", "adam", "a,b"]},
    {"name": "nesterov", "type": "Boolean", "when": [{"parameter": "opt", "values": ["sgd"]}]},
]
# Whole numbers arrive as floats from JSON and from samplers; a trial must not see that.
ASSIGNMENT = {"lr": 1e-05, "layers": 3.0, "batch-size": 16.0, "dropout": 1, "opt": "sgd", "nesterov": True}


@dataclass(frozen=True)
class Here:
    uri: str = "http://mlflow:5000"
    experiment: str = "4"


def told(*, assignment=ASSIGNMENT, trial=None, checkpoints=None, **changes):
    spec = make_spec(parameters=SPACE, strategy={"name": "Random", "seed": 7}, **changes)
    return environment(
        spec=spec,
        sweep="digits",
        identity="ab12",
        tracking=Here(),
        checkpoints=checkpoints,
        trial=make_trial(23, parameters=assignment, **(trial or {})),
    )


def test_a_trial_is_told_everything_under_the_documented_names():
    """The whole of it, name by name: these names are an interface that only grows."""
    assert told(trial={"attempt": 2}) == {
        "HYPERSWEEP_PARAMETERS": '{"batch-size": 16, "dropout": 1.0, "layers": 3, "lr": 1e-05, "nesterov": true, "opt": "sgd"}',
        "HP_LR": "1e-05",
        "HP_LAYERS": "3",
        "HP_BATCH_SIZE": "16",
        "HP_DROPOUT": "1.0",
        "HP_OPT": "sgd",
        "HP_NESTEROV": "true",
        "HYPERSWEEP_SWEEP": "digits",
        "HYPERSWEEP_TRIAL": "23",
        "HYPERSWEEP_ATTEMPT": "2",
        "HYPERSWEEP_SEED": "700031515",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "MLFLOW_EXPERIMENT_ID": "4",
        "MLFLOW_RUN_ID": "run-23",
        "MLFLOW_RUN_CONTEXT": '{"hypersweep.madeBy": "run-23"}',
    }


def test_an_inactive_parameter_is_not_there_at_all():
    """A trial that does not meet a `when` lacks that parameter, in the JSON as among the variables."""
    variables = told(assignment={"lr": 0.1, "opt": "adam"})
    assert json.loads(variables["HYPERSWEEP_PARAMETERS"]) == {"lr": 0.1, "opt": "adam"}
    assert [name for name in variables if name.startswith("HP_")] == ["HP_LR", "HP_OPT"]


def test_a_checkpoint_directory_is_told_where_there_is_one():
    """Its absence says that nothing outlives the attempt."""
    assert "HYPERSWEEP_CHECKPOINT_DIR" not in told()
    assert told(checkpoints="/ckpt/23")["HYPERSWEEP_CHECKPOINT_DIR"] == "/ckpt/23"


def test_the_built_in_trainer_gets_its_settings():
    """Settings are for the built-in trainer only, as they stand in the manifest."""
    assert "HYPERSWEEP_SETTINGS" not in told()
    assert json.loads(told(trainer={"settings": {"task": "digits", "epochs": 20}})["HYPERSWEEP_SETTINGS"]) == {
        "task": "digits",
        "epochs": 20,
    }


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("None", []),
        ("Flags", ["--batch-size=16", "--dropout=1.0", "--layers=3", "--lr=1e-05", "--nesterov=true", "--opt=sgd"]),
        ("Hydra", ["batch-size=16", "dropout=1.0", "layers=3", "lr=1e-05", "nesterov=true", "opt=sgd"]),
    ],
)
def test_arguments_are_spelled_as_asked(style, expected):
    """One argument per active parameter, in the order of names."""
    assert arguments(make_spec(parameters=SPACE, job={"arguments": style}), ASSIGNMENT) == expected


@pytest.mark.parametrize(
    ("value", "spelled"),
    # Each was read back unchanged by hydra-core 1.3.8 (`compose` with this override).
    [
        ("adam", "adam"),
        ("path/to-x.y", "path/to-x.y"),
        ("", "''"),
        ("a b", "'a b'"),
        ("a,b", "'a,b'"),
        ("[1,2]", "'[1,2]'"),
        ("{a: 1}", "'{a: 1}'"),
        ("true", "'true'"),
        ("Null", "'Null'"),
        ("1e-3", "'1e-3'"),
        ("it's", r"'it\'s'"),
        ("a\\b", r"'a\b'"),
        ("a\\", r"'a\\'"),
        ("a\\'b", r"'a\\\'b'"),
        ("${oc.env:HOME}", r"'\${oc.env:HOME}'"),
        ("\\${x}", r"'\\\${x}'"),
        ("$x", "'$x'"),
    ],
)
def test_hydra_reads_every_string_as_that_string(value, spelled):
    """No value becomes a list, a sweep, a number or an interpolation."""
    assert arguments(make_spec(parameters=SPACE, job={"arguments": "Hydra"}), {"opt": value}) == [f"opt={spelled}"]


@given(st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_read_back_alike(number):
    """What a trial parses is bit for bit what the strategy proposed."""
    assert type(number)(text(number)) == number


def test_a_trials_seed_is_its_own_and_the_same_for_each_attempt():
    """Same trial, same seed, in any process; another trial, sweep or strategy seed, another seed."""
    seeds = {trial_seed(seed=s, identity=i, trial=t) for s in (0, 1) for i in ("a", "b") for t in range(250)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert told(trial={"attempt": 1})["HYPERSWEEP_SEED"] == told(trial={"attempt": 2})["HYPERSWEEP_SEED"] == "700031515"


@pytest.mark.parametrize(
    "name", ["HP_LR", "HYPERSWEEP_TRIAL", "HYPERSWEEP_PARAMETERS", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"]
)
def test_what_identifies_a_trial_is_ours_to_set(name):
    """A template that set these would make the ledger untrue."""
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name",
    ["MLFLOW_TRACKING_URI", "HYPERSWEEP_CHECKPOINT_DIR", "HYPERSWEEP_SEED", "MLFLOW_TRACKING_TOKEN", "HPC", "PATH"],
)
def test_what_only_concerns_the_user_is_theirs_to_set(name):
    """Where to log to, where to checkpoint, a seed shared by all trials, credentials: legitimate wishes."""
    assert not is_reserved(name)
