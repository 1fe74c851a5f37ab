"""What becomes of trials that wait at a rung: which go on now, and when those that are left are stopped for good. Pure.

Owns nothing of who is among the best (stoppers/promotion.py); a snapshot that does not know that yet moves nobody.
"""

from collections.abc import Iterator

from hypersweep.core.snapshot import Commit, Ending, Promote, Snapshot
from hypersweep.core.stoppers import promotes
from hypersweep.core.trial import Outcome, Result, Trial


def promoted(snapshot: Snapshot, room: int) -> list[Promote]:
    """The paused trials that go on in so many free slots."""
    ready = [index for index in snapshot.promotable or () if index not in snapshot.busy]
    return [Promote(index=index) for index in ready[: max(0, room)]]


def settled(snapshot: Snapshot, end: Ending | None, now: float, *, idle: bool) -> Iterator[Commit]:
    """The ends of paused trials, once nothing can promote them any more. `idle`: nothing else is to be done."""
    if end is None and promotes(snapshot.spec) and not (idle and _nobody_goes_on(snapshot)):
        return
    for index, trial in snapshot.paused.items():
        if index not in snapshot.busy:
            yield Commit(index=index, result=_stopped(trial, now))


def _nobody_goes_on(snapshot: Snapshot) -> bool:
    """Whether no trial is left that could come to a rung, and so raise another above the cut."""
    planned = snapshot.exhausted or snapshot.tally.ended + len(snapshot.paused) >= snapshot.spec.trials.max
    moves = snapshot.open or snapshot.busy or snapshot.to_retry or snapshot.promotable != () or snapshot.spec.suspend
    return planned and not moves


def _stopped(trial: Trial, now: float) -> Result:
    return Result(
        outcome=Outcome.STOPPED,
        value=trial.value,
        reason=trial.reason,
        message=f"{trial.message}; it was not resumed",
        where=trial.where,
        ended=now,
    )
