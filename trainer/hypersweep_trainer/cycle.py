"""The bounds of a triangular schedule that nobody gave: the range test finds them, before the first step.

Smith (2017, arXiv:1506.01186, section 3.3) takes both ends of the cycle from such a test. It is that of `lr-range`, on the
same first weights, and nothing of it remains but the two rates, which a checkpoint holds. Refuses to guess where the test
finds no interval: a rate that does not lower the loss would cost the whole training.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.lr_builtin import range_test_of
from hypersweep_trainer.lr_command import Range
from hypersweep_trainer.lr_report import ARTIFACTS, write
from hypersweep_trainer.rules import FULL_BATCH

if TYPE_CHECKING:
    from hypersweep_trainer.settings import Settings
    from hypersweep_trainer.tracking import Tracker
    from hypersweep_trainer.train import Training

log = logging.getLogger(__name__)


def wanted(settings: Settings) -> bool:
    """Whether the range test is to find the bounds: of a triangular schedule whose `lr` nobody has given."""
    return (
        settings.schedule == "triangular"
        and settings.optimizer not in FULL_BATCH
        and "lr" not in settings.model_fields_set
    )


def find_bounds(training: Training, tracker: Tracker) -> tuple[float, float] | None:
    """Low and high rate for a training that has not begun, the same for all its processes; None if none are wanted.

    The finding is kept with the results: `lr-range/`, and the params `lr_range_min` and `lr_range_max`. Where `final_lr` is
    given, the low rate is that part of the high one. Raises BadInputError where the loss falls at no rate.
    """
    if not wanted(training.settings):
        return None
    mine = _found(training, tracker) if training.processes.first else None
    low, high = training.processes.told_by_first(mine)
    return low, high


def _found(training: Training, tracker: Tracker) -> tuple[float, float]:
    settings, asked = training.settings, Range()
    finding = range_test_of(training, start=asked.start, end=asked.end, steps=asked.steps)
    if finding.suggestion is None:
        raise BadInputError(
            f"lr: found none with schedule triangular, and the range test no interval ({finding.verdict}: {finding.reason}), "
            "allowed: lr and final_lr, the high rate and which part of it the low one is"
        )
    low, high = finding.suggestion
    low = settings.final_lr * high if "final_lr" in settings.model_fields_set else low
    log.info("triangular between %.3g and %.3g: %s", low, high, finding.reason)
    tracker.log_params({"lr_range_min": low, "lr_range_max": high})
    if tracker.directory:
        folder = tracker.directory / ARTIFACTS
        write(finding, folder, title=f"{settings.data}, {settings.model}, {settings.optimizer}")
        tracker.log_file(folder, ARTIFACTS)
    return low, high
