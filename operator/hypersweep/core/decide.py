"""What to do next: a pure function of (snapshot, now).

Each open trial is asked what its next step is (`steps.py`); then free slots are filled; then Jobs that nobody needs go.
Owns what concerns the sweep as a whole; knows no kopf, no Kubernetes, no MLflow, no asyncio, and keeps no memory: an action
that had no effect is simply decided again (the loop backs off).
"""

from collections import Counter
from collections.abc import Iterator

from hypersweep.core import account, endings, pausing
from hypersweep.core.range_test import cases
from hypersweep.core.snapshot import (
    Account,
    Action,
    Commit,
    Decision,
    Ending,
    Judge,
    Launch,
    Measure,
    OpenTrial,
    Pause,
    Plan,
    Promote,
    Remove,
    Reopen,
    Retry,
    Snapshot,
)
from hypersweep.core.spec import SweepSpec, seconds
from hypersweep.core.steps import RESYNC, Step, next_step
from hypersweep.core.trial import Attempt, Outcome, Phase, Reason, Trial


def decide(snapshot: Snapshot, now: float) -> Decision:
    """The actions that bring the sweep forward, and its end if it has one."""
    if not snapshot.loaded and snapshot.ended is None:
        return Decision(actions=tuple(_all_active(snapshot)) if snapshot.spec.suspend else ())
    end = endings.ending(snapshot, now)
    steps = [
        (view, next_step(view, snapshot.spec, end, now))
        for view in snapshot.open
        if view.trial.index not in snapshot.busy
    ]
    actions, waits = _admitted(snapshot, steps, end, now)
    for action, wait in _clean(snapshot, now):
        waits.append(wait)
        if action is not None:
            actions.append(action)
    if end is None:
        waits.append(account.seconds_left(snapshot, now))
        actions += _reopened(snapshot)
        if snapshot.spec.stop_when.duration is not None:
            waits.append(snapshot.started + seconds(snapshot.spec.stop_when.duration) - now)
    return Decision(
        actions=tuple(a for a in actions if a.index not in snapshot.busy),
        ending=end,
        finished=snapshot.ended is not None
        or (end is not None and not (snapshot.open or snapshot.paused or snapshot.busy)),
        waiting=_waiting(snapshot),
        look_again=max(0.05, min([RESYNC, *waits])),
    )


def _admitted(
    snapshot: Snapshot, steps: list[tuple[OpenTrial, Step]], end: Ending | None, now: float
) -> tuple[list[Action], list[float]]:
    """The steps that may be taken now: what needs MLflow waits while it is down, launches wait for a free slot."""
    health, spec = snapshot.health, snapshot.spec
    held = health.refused is not None or health.elsewhere is not None
    active = sum(_runs(view) or isinstance(snapshot.busy.get(view.trial.index), Launch) for view in snapshot.open)
    active += sum(not attempt.phase.ended for attempt, _ in snapshot.strays)  # on their way out
    room = spec.trials.parallel - active
    actions: list[Action] = []
    for _, step in sorted(steps, key=lambda pair: not _may_run(pair[0])):
        match step.action:
            case None:
                continue
            case Launch() | Retry() if held or spec.suspend:
                continue
            case Launch():
                if room <= 0:
                    continue
                room -= 1
            case Retry() | Judge() | Measure() | Account() | Pause() | Commit() if (
                health.tracking is not None or health.elsewhere is not None
            ):
                continue
        actions.append(step.action)
    if end is None and not held and not spec.suspend and health.tracking is None:
        actions += _begun(snapshot, slots=sum(step.slot for _, step in steps))
    if health.tracking is None and health.elsewhere is None:
        actions += pausing.settled(snapshot, end, now, idle=not actions)
    return actions, [step.wait for _, step in steps]


def _runs(view: OpenTrial) -> bool:
    return view.attempt is not None and not view.attempt.phase.ended


def _may_run(view: OpenTrial) -> bool:
    """Whether its Job may be there, though nobody has seen it yet: its launch had no answer. It has the first claim to a slot."""
    return view.attempt is None and view.fault is not None and view.fault.reason == Reason.LAUNCH_DELAYED


def _begun(snapshot: Snapshot, *, slots: int) -> Iterator[Plan | Promote]:
    """For free slots: range tests; once these have ended, paused trials that may go on, and new ones up to trials.max."""
    trials, tally = snapshot.spec.trials, snapshot.tally
    known = {view.trial.index for view in snapshot.open}
    being_made = sum(isinstance(a, Plan | Reopen) and i not in known for i, a in snapshot.busy.items())
    going_on = sum(isinstance(a, Promote) for i, a in snapshot.busy.items() if i not in known)
    in_motion = sum(isinstance(a, Launch | Retry | Remove) and i in known for i, a in snapshot.busy.items())
    room = trials.parallel - slots - being_made - going_on - in_motion
    tests = _range_tests(snapshot)
    if tests is not None:
        yield from (Plan(index=index) for index in tests[: max(0, room)])
        return
    promoted = pausing.promoted(snapshot, room)
    yield from promoted
    planned = tally.ended + len(known) + len(snapshot.paused) + being_made
    count = min(room - len(promoted), trials.max - planned)
    if count > 0 and not snapshot.exhausted and snapshot.promotable is not None:
        yield from (Plan(index=index) for index in tally.free(count, besides=frozenset(snapshot.busy)))


def _range_tests(snapshot: Snapshot) -> list[int] | None:
    """Range tests that have yet to be planned; none left, but some under way: an empty list. None: all have ended."""
    ended = {test.index for test in snapshot.range_tests}
    left = [index for index in cases(snapshot.spec) if index not in ended]
    known = {view.trial.index for view in snapshot.open} | set(snapshot.busy)
    return [index for index in left if index not in known] if left else None


def _reopened(snapshot: Snapshot) -> Iterator[Reopen]:
    """Another chance for those that the retry token asks for."""
    if snapshot.health.tracking is None and snapshot.health.elsewhere is None:
        yield from (Reopen(index=index, retry=snapshot.spec.retry) for index in snapshot.to_retry)


def _clean(snapshot: Snapshot, now: float) -> Iterator[tuple[Remove | None, float]]:
    """Jobs that nobody needs: orphans, older attempts that still run, and finished ones past their time."""
    for attempt, trial in snapshot.strays:
        if trial is None and snapshot.health.tracking is not None:
            continue
        due = _keep_until(attempt, trial, snapshot.spec) - now
        yield (Remove(index=attempt.trial, attempt=attempt) if due <= 0 else None), (due if due > 0 else RESYNC)


def _keep_until(attempt: Attempt, trial: Trial | None, spec: SweepSpec) -> float:
    if not attempt.phase.ended or attempt.ended is None:
        return 0.0
    kept = spec.cleanup.succeeded if attempt.phase is Phase.SUCCEEDED else spec.cleanup.failed
    if trial is not None and trial.outcome in (Outcome.STOPPED, Outcome.PAUSED, Outcome.INFEASIBLE):
        kept = spec.cleanup.stopped
    return attempt.ended + seconds(kept)


def _all_active(snapshot: Snapshot) -> Iterator[Remove]:
    """Without the ledger, a suspension can still be obeyed."""
    yield from (Remove(index=a.trial, attempt=a) for a, _ in snapshot.strays if not a.phase.ended)


def _waiting(snapshot: Snapshot) -> dict[str, tuple[int, str]]:
    """What attempts wait for: reason -> how many, and one of the messages."""
    found: Counter[str] = Counter()
    example: dict[str, str] = {}
    for view in snapshot.open:
        reason, message = "", ""
        if view.attempt is None and view.fault is not None:
            reason, message = view.fault.reason, view.fault.message
        elif view.attempt is not None and view.attempt.phase in (Phase.PENDING, Phase.QUEUED):
            reason, message = view.attempt.reason, view.attempt.message
        if reason and reason != Reason.STARTING:
            found[reason] += 1
            example.setdefault(reason, message)
    return {reason: (count, example[reason]) for reason, count in found.items()}
