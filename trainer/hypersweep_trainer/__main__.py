"""`python -m hypersweep_trainer`: read the job, train, and end with an exit code and a message that say how it went.

The one place where errors become exit codes.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence

from hypersweep_trainer import check_command, export_command, lr_command
from hypersweep_trainer.exits import ExitCode, TrainerError, exit_code, message_path, termination_message
from hypersweep_trainer.options import read_job
from hypersweep_trainer.stall import watchdog
from hypersweep_trainer.startup import Interruption, prepare
from hypersweep_trainer.tracking import Tracker, open_tracker

log = logging.getLogger("hypersweep_trainer")


def main(argv: Sequence[str]) -> ExitCode:
    """Do what flags and environment say. Returns the exit code; every way to end is in `exits.py`."""
    interruption = Interruption()
    prepare(os.environ)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    log.setLevel(logging.INFO)
    tracker = Tracker()
    try:
        if export_command.asked_for(argv):
            export_command.run(argv, os.environ)
        elif lr_command.asked_for(argv, os.environ):
            lr_command.range_test(argv, os.environ)
        elif check_command.asked_for(argv):
            check_command.check(argv, os.environ)
        else:
            job = read_job(argv, os.environ)
            tracker = open_tracker(job, os.environ)
            from hypersweep_trainer.train import train  # torch takes seconds: not before the settings are right

            with watchdog(
                job.settings.stall_seconds, last_words=lambda error: tracker.close(report(error, tracker))
            ) as watching:
                train(job, tracker=tracker, interruption=interruption, watchdog=watching)
    except Exception as error:  # noqa: BLE001  # each has an exit code, and a defect shows its traceback
        code = report(error, tracker)
    else:
        code = report(None, tracker)
    tracker.close(code)
    return code


def report(error: Exception | None, tracker: Tracker) -> ExitCode:
    """Say on stderr and in the termination message how the training ended."""
    code = exit_code(error) if error else ExitCode.DONE
    text = detail = ""
    if error:
        if isinstance(error, TrainerError):
            text, detail = str(error), error.detail
        else:
            text, detail = f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
        log.error("%s%s", detail, f"{code.name.lower()}: {text}")
    if path := message_path(os.environ):
        message = termination_message(
            code=code, step=tracker.step, metrics=tracker.metrics, error=text or None, detail=detail
        )
        try:
            path.write_text(message)
        except OSError as problem:
            log.warning("termination message not written: %s", problem)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
