"""`python -m hypersweep_trainer --check …`: look at data, model and settings before anything is trained.

Owns the flags, what is printed, and the files: `check.json`, and samples as a picture or a table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypersweep_trainer.exits import CheckFailedError
from hypersweep_trainer.options import read_job

FLAG, FOLDER, VERDICTS = "--check", "check", "check.json"


def asked_for(argv: Sequence[str]) -> bool:
    """Whether checks are wanted instead of a training."""
    return FLAG in argv


def check(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    """Print what the data look like, then each check as it is done, and write the files.

    Raises BadInputError; CheckFailedError if a verdict is FAIL.
    """
    options, rest = _parser().parse_known_args(argv)
    settings = read_job(rest, environ).settings
    from hypersweep_trainer import checks, samples  # torch takes seconds: not before the settings are right
    from hypersweep_trainer.train import Training

    training = Training(settings, horizon=1)
    print(*samples.summary(training.data), sep="\n", flush=True)
    written, done = [samples.write(training.data, options.out)], []
    for found in checks.run(training):
        done.append(found)
        print(
            f"{found.verdict:4} {found.name}: {found.found}" + (f". Try: {found.advice}" if found.advice else ""),
            flush=True,
        )
    written.append(options.out / VERDICTS)
    written[-1].write_text(json.dumps([found._asdict() for found in done], indent=1, ensure_ascii=False) + "\n")
    print("written:", *written, flush=True)
    if failed := [found.name for found in done if found.verdict is checks.Verdict.FAIL]:
        raise CheckFailedError(f"failed: {', '.join(failed)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(FLAG, action="store_true")
    parser.add_argument("--out", type=Path, default=Path(FOLDER))
    return parser
