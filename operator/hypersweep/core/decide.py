"""What to do next: a pure function of (snapshot, now).

Each open trial is asked what its next step is, by rules in order of precedence; then free slots are filled; then Jobs that
nobody needs go. Owns every such rule; knows no kopf, no Kubernetes, no MLflow, no asyncio, and keeps no memory: an action
that had no effect is simply decided again (the loop backs off).
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from hypersweep.core import account, endings
from hypersweep.core.exits import ADVICE
from hypersweep.core.feasibility import breaches, violation
from hypersweep.core.objective import missing_message
from hypersweep.core.reading import apart_message
from hypersweep.core.resources import Spent, charged
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
    Plan,
    Remove,
    Reopen,
    Retry,
    Snapshot,
)
from hypersweep.core.spec import SweepSpec, seconds
from hypersweep.core.stoppers import Verdict, metric_of
from hypersweep.core.trial import Attempt, Measurement, Outcome, Phase, Reason, Result, Trial

RESYNC = 60.0  # seconds: look again at the latest
NO_CURVE = "early stopping could not judge it: log the metric as training goes, each point with its own step"
OBJECTIVE_GRACE = 30.0  # seconds that a metric may arrive after its trainer's end
NEVER_STARTS = 300.0  # seconds that an image or a container may fail to come up
CONFLICT_GRACE = 300.0  # seconds that a foreign Job may keep our name (an old sweep's Jobs being collected)
MAX_INTERRUPTIONS = 30  # attempts that cost nothing, before a trial that is always interrupted fails
_RETRY_DELAY, _RETRY_DELAY_MOST = 10.0, 300.0  # seconds: doubles with each crash
_NOT_REPEATED = {Reason.BAD_SETTINGS, Reason.WRONG_EXPERIMENT, Reason.DEADLINE_EXCEEDED, Reason.LAUNCH_REFUSED}
_INFEASIBLE = {Reason.OUT_OF_MEMORY, Reason.NON_FINITE}
_CANNOT_START = {Reason.IMAGE_NOT_PULLED, Reason.CONTAINER_NOT_CREATED}


@dataclass(frozen=True)
class Step:
    """A trial's next step. `slot`: it runs, or will run again, and so takes one of trials.parallel."""

    action: Action | None = None
    slot: bool = True
    wait: float = RESYNC  # seconds until the answer may change by time alone


def decide(snapshot: Snapshot, now: float) -> Decision:
    """The actions that bring the sweep forward, and its end if it has one."""
    if not snapshot.loaded and snapshot.ended is None:
        return Decision(actions=tuple(_all_active(snapshot)) if snapshot.spec.suspend else ())
    end = endings.ending(snapshot, now)
    steps = [
        (view, _next_step(view, snapshot.spec, end, now))
        for view in snapshot.open
        if view.trial.index not in snapshot.busy
    ]
    actions, waits = _admitted(snapshot, steps, end)
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
        finished=snapshot.ended is not None or (end is not None and not snapshot.open and not snapshot.busy),
        waiting=_waiting(snapshot),
        look_again=max(0.05, min([RESYNC, *waits])),
    )


# ---- one trial -------------------------------------------------------------------------------------------------------


def _next_step(view: OpenTrial, spec: SweepSpec, end: Ending | None, now: float) -> Step:
    attempt = view.attempt
    if attempt is not None and attempt.phase.ended and not view.judged:
        return Step(Judge(index=view.trial.index), slot=attempt.phase is Phase.FAILED)
    if attempt is not None and attempt.phase is Phase.SUCCEEDED:
        return _after_success(view, attempt, spec, now)
    if view.verdict is not None and spec.early_stopping is not None:
        return _stopped(view, view.verdict, spec, now)
    if attempt is not None and attempt.phase is Phase.FAILED:
        return _after_failure(view, attempt, spec, end, now)
    if end is not None and (end.stops or attempt is None or attempt.phase is not Phase.RUNNING):
        return _commit(view, Outcome.STOPPED, Reason.SWEEP_ENDED, end.reason, now)
    if spec.suspend:
        return Step(Remove(index=view.trial.index, attempt=attempt, spent=_spent(view, now)) if attempt else None)
    if attempt is None:
        return _reused(view, spec, now) if _repeats(view) else _to_launch(view, now)
    if account.unaccounted(view):
        return Step(Account(index=view.trial.index, spent=_spent(view, now)))
    return _while_running(view, attempt, spec, now)


def _after_success(view: OpenTrial, attempt: Attempt, spec: SweepSpec, now: float) -> Step:
    """Its result counts once the objective has been read; a metric may arrive a little late."""
    measured = view.measured
    if measured is None:
        return Step(Measure(index=view.trial.index), slot=False)
    if view.verdict is not None and spec.early_stopping is not None and not measured.flat:
        return _stopped(view, view.verdict, spec, now)
    if measured.value is None:
        late = now - (attempt.ended or now)
        if late < OBJECTIVE_GRACE:
            return Step(Measure(index=view.trial.index), slot=False, wait=OBJECTIVE_GRACE - late)
        return _commit(view, Outcome.FAILED, Reason.OBJECTIVE_MISSING, _unread(measured, spec), now)
    return _judged(view, measured, spec, now)


def _unread(measured: Measurement, spec: SweepSpec) -> str:
    """Why there is no result, though the attempt succeeded."""
    objectives = [objective.metric for objective in spec.objectives]
    if not measured.missing and measured.logged and objectives[0] in measured.logged:
        return apart_message(spec)
    missing = measured.missing or objectives[0]
    role = "objective" if missing in objectives else "constraint's metric"
    return missing_message(missing, measured.logged, elsewhere=measured.elsewhere, role=role)


def _judged(view: OpenTrial, measured: Measurement, spec: SweepSpec, now: float) -> Step:
    """What was measured wins only if it is finite, and within the constraints."""
    beyond = violation(spec.constraints, measured.constrained)
    if not all(map(math.isfinite, measured.values)):
        named = [f"{o.metric} is {value}" for o, value in zip(spec.objectives, measured.values, strict=True)]
        message = f"the objective {', '.join(named)}"
        return _commit(view, Outcome.INFEASIBLE, Reason.NON_FINITE, message, now, measured=measured, violation=beyond)
    if beyond > 0:
        message = "; ".join(breaches(spec.constraints, measured.constrained))
        reason = Reason.CONSTRAINT_VIOLATED
        return _commit(view, Outcome.INFEASIBLE, reason, message, now, measured=measured, violation=beyond)
    told = (Reason.NO_CURVE, NO_CURVE) if measured.flat else ("", "")
    if view.attempt is None:
        told = Reason.REUSED, f"the result of run {view.trial.source}"
    return _commit(view, Outcome.SUCCEEDED, *told, now, measured=measured)


def _stopped(view: OpenTrial, verdict: Verdict, spec: SweepSpec, now: float) -> Step:
    """Early stopping has spoken: the verdict goes into the ledger, and then the Job goes. The value is what it was judged by."""
    value = verdict.value if metric_of(spec) == spec.objectives[0].metric else None
    return _commit(view, Outcome.STOPPED, verdict.rule, verdict.message, now, measured=Measurement(value=value))


def _after_failure(view: OpenTrial, attempt: Attempt, spec: SweepSpec, end: Ending | None, now: float) -> Step:
    """Infeasible ones are not repeated unchanged; disruptions cost nothing; crashes cost an attempt."""
    trial, reason = view.trial, attempt.reason
    if reason in _INFEASIBLE:
        return _commit(view, Outcome.INFEASIBLE, reason, attempt.message, now)
    interrupted = reason == Reason.INTERRUPTED and trial.attempt - trial.charged <= MAX_INTERRUPTIONS
    charged = trial.charged + (0 if interrupted else 1)
    if reason in _NOT_REPEATED or charged >= spec.trials.attempts:
        return _commit(view, Outcome.FAILED, reason, _explained(attempt), now)
    if end is not None:  # nothing is started any more
        return _commit(view, Outcome.STOPPED, Reason.SWEEP_ENDED, end.reason, now)
    delay = 0.0 if interrupted else min(_RETRY_DELAY * 2 ** (charged - 1), _RETRY_DELAY_MOST)
    due = (attempt.ended or now) + delay - now
    if due > 0:
        return Step(wait=due)
    return Step(Retry(index=trial.index, attempt=trial.attempt + 1, charged=charged, spent=_spent(view, now)))


def _repeats(view: OpenTrial) -> bool:
    """Whether an equal trial's result is to be had; one that has gone meanwhile was measured without a value."""
    return (
        bool(view.trial.source)
        and view.trial.attempt == 1
        and (view.measured is None or view.measured.value is not None)
    )


def _reused(view: OpenTrial, spec: SweepSpec, now: float) -> Step:
    if view.measured is None:
        return Step(Measure(index=view.trial.index, source=view.trial.source))
    return _judged(view, view.measured, spec, now)


def _to_launch(view: OpenTrial, now: float) -> Step:
    fault = view.fault
    if fault is not None and fault.reason == Reason.LAUNCH_REFUSED:
        return _commit(view, Outcome.FAILED, Reason.LAUNCH_REFUSED, fault.message, now)
    if fault is not None and fault.reason == Reason.NAME_CONFLICT and now - fault.since > CONFLICT_GRACE:
        return _commit(view, Outcome.FAILED, Reason.NAME_CONFLICT, fault.message, now)
    if view.older_active:
        return Step(wait=5.0)
    return Step(Launch(index=view.trial.index, attempt=view.trial.attempt))


def _while_running(view: OpenTrial, attempt: Attempt, spec: SweepSpec, now: float) -> Step:
    """Waits are bounded: a container that never starts, and a run that logs nothing."""
    if attempt.phase is Phase.PENDING and attempt.reason in _CANNOT_START:
        waited = now - (attempt.waiting_since or attempt.created)
        if waited < NEVER_STARTS:
            return Step(wait=NEVER_STARTS - waited)
        return _give_up(view, spec, attempt.reason, attempt.message, now)
    if attempt.phase is Phase.RUNNING and spec.trials.no_progress is not None and attempt.started is not None:
        allowed = seconds(spec.trials.no_progress)
        idle = now - max(attempt.started, view.trial.progress or 0.0)
        if idle < allowed:
            return Step(wait=allowed - idle)
        return _give_up(view, spec, Reason.NO_PROGRESS, f"logged no metric for {spec.trials.no_progress}", now)
    return Step()


def _give_up(view: OpenTrial, spec: SweepSpec, reason: str, message: str, now: float) -> Step:
    """An attempt that we end: charged first, so that a crash of ours in between cannot make it free."""
    trial = view.trial
    if trial.charged + 1 >= spec.trials.attempts:
        return _commit(view, Outcome.FAILED, reason, message, now)
    spent = _spent(view, now)
    return Step(Retry(index=trial.index, attempt=trial.attempt + 1, charged=trial.charged + 1, spent=spent))


def _explained(attempt: Attempt) -> str:
    """Its last words, and what follows from them where those would mislead."""
    return "\n".join(filter(None, (attempt.message, ADVICE.get(attempt.reason))))


def _commit(
    view: OpenTrial,
    outcome: Outcome,
    reason: str,
    message: str,
    now: float,
    *,
    measured: Measurement | None = None,
    violation: float = 0.0,
) -> Step:
    attempt = view.attempt
    ended = (attempt.ended if attempt else None) or now
    where = attempt.where if attempt else ""
    result = Result(
        outcome=outcome,
        value=measured.value if measured else None,
        values=measured.values if measured else (),
        violation=violation,
        reason=str(reason),
        message=message,
        where=where,
        ended=ended,
        spent=_spent(view, now),
    )
    return Step(Commit(index=view.trial.index, result=result), slot=False)


def _spent(view: OpenTrial, now: float) -> Spent:
    return charged(view.trial.spent, view.attempt.usage if view.attempt else (), now)


# ---- the whole sweep -------------------------------------------------------------------------------------------------


def _admitted(
    snapshot: Snapshot, steps: list[tuple[OpenTrial, Step]], end: Ending | None
) -> tuple[list[Action], list[float]]:
    """The steps that may be taken now: what needs MLflow waits while it is down, launches wait for a free slot."""
    health, spec = snapshot.health, snapshot.spec
    held = health.refused is not None or health.elsewhere is not None
    active = sum(view.attempt is not None and not view.attempt.phase.ended for view in snapshot.open)
    active += sum(not attempt.phase.ended for attempt, _ in snapshot.strays)  # on their way out
    room = spec.trials.parallel - active
    actions: list[Action] = []
    for _, step in steps:
        match step.action:
            case None:
                continue
            case Launch() | Retry() if held or spec.suspend:
                continue
            case Launch():
                if room <= 0:
                    continue
                room -= 1
            case Retry() | Judge() | Measure() | Account() | Commit() if (
                health.tracking is not None or health.elsewhere is not None
            ):
                continue
        actions.append(step.action)
    if end is None and not held and not spec.suspend and health.tracking is None and not snapshot.exhausted:
        actions += _planned(snapshot, slots=sum(step.slot for _, step in steps))
    return actions, [step.wait for _, step in steps]


def _planned(snapshot: Snapshot, *, slots: int) -> Iterator[Plan]:
    """New trials for the slots that no open trial takes, up to trials.max in all."""
    trials, tally = snapshot.spec.trials, snapshot.tally
    known = {view.trial.index for view in snapshot.open}
    being_made = sum(isinstance(a, Plan | Reopen) and i not in known for i, a in snapshot.busy.items())
    in_motion = sum(isinstance(a, Launch | Retry | Remove) and i in known for i, a in snapshot.busy.items())
    count = min(trials.parallel - slots - being_made - in_motion, trials.max - tally.ended - len(known) - being_made)
    if count > 0:
        yield from (Plan(index=index) for index in tally.free(count, besides=frozenset(snapshot.busy)))


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
    if trial is not None and trial.outcome in (Outcome.STOPPED, Outcome.INFEASIBLE):
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
