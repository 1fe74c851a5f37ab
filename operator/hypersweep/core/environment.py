"""What a trial is told: environment variables and arguments. The same on a laptop and in a cluster.

Owns the names and spellings of DESIGN §5; knows nothing of Jobs or processes. Values are data: nothing here is put into
a text that something else evaluates, and who must escape for a shell or for Kubernetes does so where it hands them on.
"""

import hashlib
import json
import re
from typing import Protocol

from hypersweep.core.names import parameter_variable
from hypersweep.core.range_test import VARIABLE as RANGE_TEST
from hypersweep.core.range_test import is_range_test, request
from hypersweep.core.spec import Parameter, SweepSpec
from hypersweep.core.trial import Assignment, Trial, Value

# Set by us unless the user's own template or shell says otherwise; every other name of `environment` is ours alone.
YIELDING = frozenset({"MLFLOW_TRACKING_URI", "MLFLOW_RUN_CONTEXT", "HYPERSWEEP_CHECKPOINT_DIR", "HYPERSWEEP_SEED"})
MADE_BY = "hypersweep.madeBy"  # tag of runs that a trial makes besides its own: the id of its own
_OURS = re.compile(r"HP_.*|HYPERSWEEP_.*|MLFLOW_(TRACKING_URI|EXPERIMENT_ID|EXPERIMENT_NAME|RUN_ID)")

_HYDRA_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_HYDRA_WORDS = frozenset({"true", "false", "null", "nan", "inf"})  # which Hydra would not read as strings


class Target(Protocol):
    """Where trials log to: the tracking server's URI, and the id of the experiment."""

    @property
    def uri(self) -> str: ...

    @property
    def experiment(self) -> str: ...


def environment(
    *, spec: SweepSpec, sweep: str, identity: str, trial: Trial, tracking: Target, checkpoints: str | None = None
) -> dict[str, str]:
    """The variables of the attempt that `trial.attempt` counts.

    `sweep` is the sweep's name, for people and paths; `identity` is the sweep's in the ledger, and seeds depend on it;
    `checkpoints` is a directory of this trial's own that outlives the attempt, if there is one.
    """
    parameters = typed(spec, trial.parameters)
    variables = {"HYPERSWEEP_PARAMETERS": json.dumps(parameters, sort_keys=True)}
    variables |= {parameter_variable(name): text(value) for name, value in parameters.items()}
    variables |= {
        "HYPERSWEEP_SWEEP": sweep,
        "HYPERSWEEP_TRIAL": str(trial.index),
        "HYPERSWEEP_ATTEMPT": str(trial.attempt),
        "HYPERSWEEP_SEED": str(seed_of(spec, identity=identity, trial=trial)),
        "MLFLOW_TRACKING_URI": tracking.uri,
        "MLFLOW_EXPERIMENT_ID": tracking.experiment,
        "MLFLOW_RUN_ID": trial.run,
        "MLFLOW_RUN_CONTEXT": json.dumps({MADE_BY: trial.run}),  # tags that MLflow gives to every run it makes
    }
    if is_range_test(trial.index):
        variables[RANGE_TEST] = request(spec)
    if checkpoints is not None:
        variables["HYPERSWEEP_CHECKPOINT_DIR"] = checkpoints
    if spec.trainer is not None:
        variables["HYPERSWEEP_SETTINGS"] = json.dumps(spec.trainer.settings, sort_keys=True)
    return variables


def arguments(spec: SweepSpec, parameters: Assignment) -> list[str]:
    """One argument per active parameter, in the order of their names, spelled as `job.arguments` says."""
    style = spec.job.arguments if spec.job is not None else "None"
    values = sorted(typed(spec, parameters).items())
    if style == "Flags":
        return [f"--{name}={text(value)}" for name, value in values]
    if style == "Hydra":
        return [f"{name}={_hydra(value)}" for name, value in values]
    return []


def is_reserved(variable: str) -> bool:
    """Whether a user's template may not set this variable, since what it says of the trial would be untrue."""
    return variable not in YIELDING and _OURS.fullmatch(variable) is not None


def trial_seed(*, seed: int, identity: str, trial: int) -> int:
    """The trial's own seed, 0 to 2³¹-1: the same for each of its attempts, another for every other trial and sweep."""
    digest = hashlib.sha256(f"{seed}\0{identity}\0{trial}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def seed_of(spec: SweepSpec, *, identity: str, trial: Trial) -> int:
    """The trial's seed; with `reuse`, equal assignments have equal ones, in whatever sweep of the same strategy's seed."""
    if spec.reuse is None:
        return trial_seed(seed=spec.strategy.seed, identity=identity, trial=trial.index)
    assignment = json.dumps(typed(spec, trial.parameters), sort_keys=True)
    return trial_seed(seed=spec.strategy.seed, identity=assignment, trial=0)


def typed(spec: SweepSpec, parameters: Assignment) -> dict[str, Value]:
    """The assignment with each value in its parameter's own type: `16`, not `16.0`, of a Discrete of whole numbers."""
    kinds = {parameter.name: parameter for parameter in spec.parameters}
    return {name: _typed(kinds.get(name), value) for name, value in parameters.items()}


def text(value: Value) -> str:
    """A value as text: strings as they are, numbers in their shortest form that reads back, `true`, `false`."""
    return value if isinstance(value, str) else json.dumps(value)


def _typed(parameter: Parameter | None, value: Value) -> Value:
    if parameter is None or isinstance(value, (str, bool)):
        return value
    whole = parameter.type == "Integer" or all(number == int(number) for number in parameter.numbers or [0.5])
    return int(value) if whole else float(value)


def _hydra(value: Value) -> str:
    """A value in Hydra's override grammar, such that Hydra reads back that value (but `???`, which it cannot say)."""
    spelled = text(value)
    if not isinstance(value, str) or (_HYDRA_BARE.fullmatch(spelled) and spelled.lower() not in _HYDRA_WORDS):
        return spelled
    # Lists, sweeps and numbers are strings once quoted; interpolations are not, and need a backslash. Backslashes
    # count only before those and before the quotes: there they are doubled.
    plain = re.sub(r"(\\*)\$\{", r"\1\1\\${", spelled)
    return "'" + re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), plain) + "'"
