"""`python -m hypersweep_trainer lr-range`: the range test on the built-in data, model and optimizer.

Owns the command's flags and what a sweep says instead of them (HYPERSWEEP_RANGE_TEST). The settings are those of a
training; `lr` itself has no effect, since the test sets it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hypersweep_trainer.exits import BadInputError, UndeliveredError
from hypersweep_trainer.lr_interval import FEWEST, Finding
from hypersweep_trainer.lr_report import send, write
from hypersweep_trainer.options import read_job
from hypersweep_trainer.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

COMMAND = "lr-range"
VARIABLE = "HYPERSWEEP_RANGE_TEST"


class Range(NamedTuple):
    """The rates to try, and how many mini-batches to take for it."""

    start: float = 1e-7
    end: float = 1.0
    steps: int = 200


def asked_for(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether the range test is wanted instead of a training."""
    return list(argv[:1]) == [COMMAND] or bool(environ.get(VARIABLE))


def range_test(argv: Sequence[str], environ: Mapping[str, str]) -> Finding:
    """Do the test, print the finding, write the files, and send them where MLFLOW_TRACKING_URI points.

    Raises BadInputError, UndeliveredError.
    """
    options, rest = _parser().parse_known_args(argv[1:] if list(argv[:1]) == [COMMAND] else argv)
    given = Range(options.start, options.end, options.steps)
    asked = _asked(environ.get(VARIABLE, ""), given)
    settings = read_job(rest, environ).settings
    from hypersweep_trainer.lr_builtin import find  # torch takes seconds: not before all is known to be right

    finding = find(settings, start=asked.start, end=asked.end, steps=asked.steps)
    print(f"{finding.verdict}: {finding.reason}", flush=True)
    if options.out is None and environ.get("MLFLOW_TRACKING_URI"):
        with tempfile.TemporaryDirectory() as folder:
            _deliver(finding, write(finding, Path(folder), title=_title(settings)), environ)
        return finding
    files = write(finding, options.out or Path(COMMAND), title=_title(settings))
    print("written:", *files, flush=True)
    if environ.get("MLFLOW_TRACKING_URI"):
        _deliver(finding, files, environ)
    return finding


def _title(settings: Settings) -> str:
    return f"{settings.data}, {settings.model}, {settings.optimizer}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m hypersweep_trainer {COMMAND}",
        description="Find the learning rates at which the loss falls. Takes the trainer's settings as well: see its --help.",
        allow_abbrev=False,
    )
    default = Range()
    parser.add_argument("--start", type=float, default=default.start, help=f"smallest rate [{default.start:g}]")
    parser.add_argument("--end", type=float, default=default.end, help=f"largest rate [{default.end:g}]")
    parser.add_argument("--steps", type=int, default=default.steps, help=f"mini-batches [{default.steps}]")
    parser.add_argument(
        "--out", type=Path, help=f"folder for the JSON and the plot [{COMMAND}; with MLflow: only the run's artifacts]"
    )
    return parser


def _asked(text: str, given: Range) -> Range:
    """The range that a sweep asks for, else the flags'. Raises BadInputError."""
    where = "command line"
    if text:
        where = VARIABLE
        try:
            said = json.loads(text)
            given = Range(float(said["min"]), float(said["max"]), int(said.get("steps", given.steps)))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadInputError(f'{VARIABLE}: found {text[:200]!r}, allowed: {{"min": …, "max": …}}') from None
    if not 0 < given.start < given.end <= 1e6 or not FEWEST <= given.steps <= 100_000:
        raise BadInputError(
            f"{where}: found rates from {given.start:g} to {given.end:g} in {given.steps} steps, "
            f"allowed: 0 < smallest < largest ≤ 1e6, and {FEWEST} to 100000 steps"
        )
    return given


def _deliver(finding: Finding, files: list[Path], environ: Mapping[str, str], *, tries: int = 4) -> None:
    """To the prepared run, or to one of its own. Raises UndeliveredError when the server takes nothing."""
    from mlflow import MlflowClient

    client = MlflowClient()
    prepared = environ.get("MLFLOW_RUN_ID")
    for attempt in range(1, tries + 1):
        try:
            run = prepared or client.create_run(_experiment(client, environ), run_name=COMMAND).info.run_id
            send(finding, files, client=client, run=run)
            if not prepared:
                client.set_terminated(run)
        except Exception as error:  # its own, urllib3's, the store's
            if attempt == tries:
                raise UndeliveredError(f"MLflow did not take the range test: {error}") from error
            time.sleep(2**attempt)
        else:
            return


def _experiment(client: MlflowClient, environ: Mapping[str, str]) -> str:
    if given := environ.get("MLFLOW_EXPERIMENT_ID"):
        return given
    name = environ.get("MLFLOW_EXPERIMENT_NAME", "Default")
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))
