"""What the next step of one open trial is: rules in order of precedence, from its attempt, its verdict and what was measured.

Owns every such rule; knows nothing of other trials, nor whether there is a free slot (`decide.py`). Pure.
"""

import math
from dataclasses import dataclass, replace

from hypersweep.core import account
from hypersweep.core.exits import ADVICE
from hypersweep.core.feasibility import breaches, violation
from hypersweep.core.objective import missing_message
from hypersweep.core.range_test import ANSWER, is_range_test, read
from hypersweep.core.reading import apart_message
from hypersweep.core.resources import Spent, charged
from hypersweep.core.snapshot import (
    Account,
    Action,
    Commit,
    Ending,
    Judge,
    Launch,
    Measure,
    OpenTrial,
    Pause,
    Remove,
    Retry,
)
from hypersweep.core.spec import SweepSpec, seconds
from hypersweep.core.stoppers import Verdict, metric_of, promotes
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


def next_step(view: OpenTrial, spec: SweepSpec, end: Ending | None, now: float) -> Step:
    attempt = view.attempt
    if attempt is not None and attempt.phase.ended and not view.judged:
        return Step(Judge(index=view.trial.index), slot=attempt.phase is Phase.FAILED)
    if attempt is not None and attempt.phase is Phase.SUCCEEDED:
        return _after_success(view, attempt, spec, now)
    if view.verdict is not None and spec.early_stopping is not None:
        return _cut_short(view, view.verdict, spec, end, now)
    if attempt is not None and attempt.phase is Phase.FAILED:
        return _after_failure(view, attempt, spec, end, now)
    if end is not None and (end.stops or attempt is None or attempt.phase is not Phase.RUNNING):
        return _commit(view, Outcome.STOPPED, Reason.SWEEP_ENDED, end.reason, now)
    if spec.suspend and attempt is not None:
        return Step(Remove(index=view.trial.index, attempt=attempt, spent=_spent(view, now)))
    if view.owed:
        return Step(Account(index=view.trial.index, spent=_spent(view, now)))
    if spec.suspend:
        return Step(None)
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
    if is_range_test(view.trial.index):
        return _after_range_test(view, measured, attempt, now)
    stops = spec.early_stopping is not None and not promotes(spec)  # a whole training is not taken back to a rung
    if view.verdict is not None and stops and not measured.flat:
        return _stopped(view, view.verdict, spec, now)
    if measured.value is None:
        late = now - (attempt.ended or now)
        if late < OBJECTIVE_GRACE:
            return Step(Measure(index=view.trial.index), slot=False, wait=OBJECTIVE_GRACE - late)
        return _commit(view, Outcome.FAILED, Reason.OBJECTIVE_MISSING, _unread(measured, spec), now)
    return _judged(view, measured, spec, now)


def _after_range_test(view: OpenTrial, measured: Measurement, attempt: Attempt, now: float) -> Step:
    """What it found is its message. A trainer that knows no range tests leaves no answer: the sweep goes on without."""
    if not measured.answer:
        late = now - (attempt.ended or now)
        if late < OBJECTIVE_GRACE:
            return Step(Measure(index=view.trial.index), slot=False, wait=OBJECTIVE_GRACE - late)
        message = f"its run has no tag {ANSWER}: does the image know of learning-rate range tests? See docs/lr-range.md"
        return _commit(view, Outcome.FAILED, Reason.NO_ANSWER, message, now)
    try:
        finding = read(measured.answer)
    except ValueError as error:
        return _commit(view, Outcome.FAILED, Reason.NO_ANSWER, f"its run's tag {ANSWER} cannot be read: {error}", now)
    return _commit(view, Outcome.SUCCEEDED, "", finding.text, now)


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


def _cut_short(view: OpenTrial, verdict: Verdict, spec: SweepSpec, end: Ending | None, now: float) -> Step:
    """It is stopped; or, with `mode: Promote`, paused. An attempt that failed is charged before."""
    if not promotes(spec) or end is not None:
        return _stopped(view, verdict, spec, now)
    charged, attempt = view.trial.charged, view.attempt
    if attempt is not None and attempt.phase is Phase.FAILED:
        again = _after_failure(view, attempt, spec, end, now)
        if isinstance(again.action, Commit):
            return again
        charged += not _interrupted(view.trial, attempt)
    value = _at_rung(verdict, spec).value
    paused = Result(outcome=Outcome.PAUSED, value=value, reason=verdict.rule, message=f"paused {verdict.message}")
    result = _attested(paused, view, now)
    return Step(Pause(index=view.trial.index, rung=verdict.budget, charged=charged, result=result), slot=False)


def _stopped(view: OpenTrial, verdict: Verdict, spec: SweepSpec, now: float) -> Step:
    """Early stopping has spoken: the verdict goes into the ledger, and then the Job goes."""
    message = f"stopped {verdict.message}"
    return _commit(view, Outcome.STOPPED, verdict.rule, message, now, measured=_at_rung(verdict, spec))


def _at_rung(verdict: Verdict, spec: SweepSpec) -> Measurement:
    """The value is what it was judged by, if that is the objective."""
    return Measurement(value=verdict.value if metric_of(spec) == spec.objectives[0].metric else None)


def _after_failure(view: OpenTrial, attempt: Attempt, spec: SweepSpec, end: Ending | None, now: float) -> Step:
    """Infeasible ones are not repeated unchanged; disruptions cost nothing; crashes cost an attempt."""
    trial, reason = view.trial, attempt.reason
    if reason in _INFEASIBLE:
        return _commit(view, Outcome.INFEASIBLE, reason, attempt.message, now)
    interrupted = _interrupted(trial, attempt)
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


def _interrupted(trial: Trial, attempt: Attempt) -> bool:
    return attempt.reason == Reason.INTERRUPTED and trial.attempt - trial.charged <= MAX_INTERRUPTIONS


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
    result = Result(
        outcome=outcome,
        value=measured.value if measured else None,
        values=measured.values if measured else (),
        violation=violation,
        reason=str(reason),
        message=message,
    )
    return Step(Commit(index=view.trial.index, result=_attested(result, view, now)), slot=False)


def _attested(result: Result, view: OpenTrial, now: float) -> Result:
    """With what its attempt adds: where, how much was used, and the time, which is the attempt's end if it came to one."""
    attempt = view.attempt
    where = attempt.where if attempt else ""
    ended = (attempt.ended if attempt else None) or now
    return replace(result, where=where, ended=ended, spent=_spent(view, now))


def _spent(view: OpenTrial, now: float) -> Spent:
    return charged(view.trial.spent, view.attempt.usage if view.attempt else (), now)
