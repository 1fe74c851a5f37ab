"""Where a run's settings come from: flags, the environment of a trial, defaults.

Owns the precedence: HYPERSWEEP_PARAMETERS over flags over the file of --settings over HYPERSWEEP_SETTINGS over
defaults. Refuses to guess: a name or value that the settings don't know is the user's mistake, answered with where it
stands. Imports no torch.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml
from pydantic import ValidationError

from hypersweep_trainer.exits import MEANING, BadInputError
from hypersweep_trainer.presets import for_settings, published
from hypersweep_trainer.settings import Settings, adapter, allowed, properties, spelled, value_problem

DESCRIPTION = """\
Train a small torch model and report its metrics after every epoch, to MLflow if MLFLOW_TRACKING_URI is set.

Examples:  python -m hypersweep_trainer --data my.csv --target y
           python -m hypersweep_trainer --model=cnn --optimizer=sgd --lr=0.05 --epochs=10
           python -m hypersweep_trainer --settings settings.yaml
           python -m hypersweep_trainer --check --data my.csv --target y    checks, no training; files in --out [check]
           python -m hypersweep_trainer lr-range --help                     find a learning rate
"""

# Name → what it means, for --help and the docs.
ENVIRONMENT: Mapping[str, str] = {
    "HYPERSWEEP_PARAMETERS": "JSON object, name → value: a trial's parameters; they override flags",
    "HYPERSWEEP_SETTINGS": "JSON object, name → value: settings under the flags and over the defaults",
    "HYPERSWEEP_SEED": "the default of `seed`",
    "HYPERSWEEP_BUDGET": "epochs to train in all, instead of `epochs`; more than a checkpoint has: goes on from there",
    "HYPERSWEEP_CHECKPOINT_DIR": "directory of this trial's checkpoints; without it there are none",
    "HYPERSWEEP_RANGE_TEST": 'JSON object {"min": …, "max": …}: do the learning-rate range test between, do not train',
    "HYPERSWEEP_TERMINATION_LOG": "file for the termination message, instead of /dev/termination-log",
    "HYPERSWEEP_IMAGE": "the container image, to be noted with the results; set for trials on a cluster",
    "WORLD_SIZE": "processes that train one model together; also MASTER_ADDR, MASTER_PORT, and RANK or JOB_COMPLETION_INDEX",
    "MLFLOW_TRACKING_URI": "where metrics go; without it they are only printed",
    "MLFLOW_RUN_ID": "a prepared run to log to, left open at the end; without it the trainer starts and ends its own",
    "MLFLOW_EXPERIMENT_ID": "experiment of an own run; also MLFLOW_EXPERIMENT_NAME",
}


FILE = "the file of --settings"  # no setting has this name


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one process has to do."""

    settings: Settings
    budget: int  # epochs in all, those of earlier attempts included
    checkpoint_dir: Path | None
    rank: int = 0  # of this process among `processes` that train one model
    processes: int = 1
    searched: frozenset[str] = frozenset()  # settings that a sweep searches


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting with argparse's own code, which says nothing to whoever started the process."""
        raise BadInputError(f"command line: {message}")


def read_job(argv: Sequence[str], environ: Mapping[str, str]) -> Job:
    """The job that flags and environment describe. Raises BadInputError for what cannot be."""
    flags = _flags(argv)
    file = flags.pop(FILE, None)
    sources: tuple[tuple[str, Mapping[str, object]], ...] = (
        ("HYPERSWEEP_PARAMETERS", _json_object(environ, "HYPERSWEEP_PARAMETERS")),
        ("command line", flags),
        *([(str(file), _file(Path(str(file))))] if file else []),
        ("HYPERSWEEP_SETTINGS", _json_object(environ, "HYPERSWEEP_SETTINGS")),
        ("HYPERSWEEP_SEED", _number(environ, "HYPERSWEEP_SEED", setting="seed")),
    )
    values: dict[str, object] = {}
    for source, found in sources:
        for name, value in found.items():
            if problem := value_problem(name, value):
                raise BadInputError(f"{source}: {name}: {problem}")
        values = {**found, **values}
    if values.get("defaults") == "published":
        preset = published(*for_settings(values))
        values = {**{name: one.value for name, one in preset.items()}, **values}
    settings = _settings(values)
    budget = _number(environ, "HYPERSWEEP_BUDGET", setting="epochs").get("epochs", settings.epochs)
    directory = environ.get("HYPERSWEEP_CHECKPOINT_DIR")
    rank, processes = _place(environ)
    return Job(
        settings=settings,
        budget=budget,
        checkpoint_dir=Path(directory) if directory else None,
        rank=rank,
        processes=processes,
        searched=frozenset(_json_object(environ, "HYPERSWEEP_PARAMETERS")),
    )


def _place(environ: Mapping[str, str]) -> tuple[int, int]:
    """The process's rank, and how many there are. `torchrun` says all; an Indexed Job's rank is its completion index."""
    size = _count(environ, "WORLD_SIZE") if environ.get("WORLD_SIZE") else 1
    if size == 1:
        return 0, 1
    name = "RANK" if environ.get("RANK") else "JOB_COMPLETION_INDEX"
    if missing := [one for one in (name, "MASTER_ADDR", "MASTER_PORT") if not environ.get(one)]:
        lacking = " and ".join("RANK (or JOB_COMPLETION_INDEX)" if one == name else one for one in missing)
        raise BadInputError(f"environment: found WORLD_SIZE={size} without {lacking}; torchrun sets all of them")
    rank = _count(environ, name)
    if rank >= size:
        raise BadInputError(f"environment: found {name}={rank}, allowed: less than WORLD_SIZE={size}")
    return rank, size


def _count(environ: Mapping[str, str], name: str) -> int:
    if not environ[name].isdecimal():
        raise BadInputError(f"environment: found {name}={environ[name]!r}, allowed: a number")
    return int(environ[name])


def _flags(argv: Sequence[str]) -> dict[str, object]:
    given, strangers = parser().parse_known_args(argv)
    for text in strangers:
        name = text.lstrip("-").partition("=")[0]
        raise BadInputError(f"command line: {text}: {value_problem(name, None)}")
    return {name: value for name, value in vars(given).items() if value is not None}


def _file(path: Path) -> dict[str, object]:
    """The settings in a YAML file (JSON is YAML). YAML's readers differ on `1e-2`: it is a number where one is wanted."""
    try:
        found = yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInputError(f"command line: --settings: {path} can't be read as YAML: {error}") from None
    if not isinstance(found, dict):
        raise BadInputError(f"command line: --settings: found {type(found).__name__} in {path}, allowed: name: value")
    return {str(name): _number_in(str(name), value) for name, value in found.items()}


def _number_in(name: str, value: object) -> object:
    if isinstance(value, str) and properties().get(name, {}).get("type") in ("number", "integer"):
        with suppress(ValidationError):
            return adapter(name).validate_strings(value)
    return value


def _settings(values: Mapping[str, object]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:  # each value alone is fine: a combination is not
        raise BadInputError(
            "; ".join(str(one["msg"]).removeprefix("Value error, ") for one in error.errors())
        ) from None


def _json_object(environ: Mapping[str, str], variable: str) -> dict[str, object]:
    text = environ.get(variable) or "{}"
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInputError(f"{variable}: found {text[:200]!r}, allowed: a JSON object ({error})") from None
    if not isinstance(found, dict):
        raise BadInputError(f"{variable}: found {text[:200]!r}, allowed: a JSON object")
    return found


def _number(environ: Mapping[str, str], variable: str, *, setting: str) -> dict[str, int]:
    """The variable read as the value of `setting`; empty where it is not set."""
    text = environ.get(variable)
    if not text:
        return {}
    try:
        return {setting: adapter(setting).validate_strings(text)}
    except ValidationError:
        raise BadInputError(f"{variable}: found {text!r}, allowed: {allowed(setting)}") from None


def parser() -> argparse.ArgumentParser:
    """The command line: one --name=value per setting, in the order of the model."""
    epilog = ["environment:", *(f"  {name:27} {text}" for name, text in ENVIRONMENT.items())]
    epilog += ["", "exit codes:", *(f"  {code:3} {code.name.lower():14} {text}" for code, text in MEANING.items())]
    result = _Parser(
        prog="python -m hypersweep_trainer",
        description=DESCRIPTION,
        epilog="\n".join(epilog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("--settings", dest=FILE, metavar="FILE", help="YAML file, name: value; flags override it")
    for name, schema in properties().items():
        flag = result.add_argument(
            f"--{name}",
            metavar=_metavar(name),
            type=_reader(name),
            help=f"{schema['description']} [{spelled(schema['default'])}]".replace("%", "%%"),
        )
        if schema.get("type") == "boolean":
            flag.nargs, flag.const = "?", True  # --nesterov alone means --nesterov=true
    return result


def _metavar(name: str) -> str:
    return {"integer": "N", "number": "X"}.get(properties()[name].get("type", ""), allowed(name).replace(" ", ""))


def _reader(name: str) -> Callable[[str], object]:
    """What turns a flag's text into the setting's type."""

    def read(text: str) -> object:
        try:
            return adapter(name).validate_strings(text)
        except ValidationError:
            raise argparse.ArgumentTypeError(f"found {text!r}, allowed: {allowed(name)}") from None

    return read
