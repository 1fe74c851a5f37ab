"""The sweep's status: small, honest, derived. Built from a snapshot and a decision; whoever writes it decides nothing.

Owns the conditions (kstatus's rules: accepted and running is Current), the summary, the top list and the failure groups,
and the Events that follow from a change of status. At most 30 KB whatever the sweep's size.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from hypersweep.core import account, on_complete, range_test
from hypersweep.core.range_test import is_range_test
from hypersweep.core.snapshot import Decision, Ending, Fault, Health, Snapshot
from hypersweep.core.spec import SweepSpec
from hypersweep.core.tally import FAILURE_GROUPS, Tally
from hypersweep.core.trial import Outcome, Phase, Reason, Trial
from hypersweep.core.warm_start import Lessons, summary

Status = dict[str, Any]

MESSAGE_LENGTH = 600  # characters of any message
HOURS_GRAIN = 0.1  # of a resource, below which nothing is told of running trials
STUCK_AFTER = 600.0  # seconds in which nothing could run, before that counts as Stalled
PARAMETERS_LENGTH = 20_480  # characters of assignments that a list repeats
ASSIGNMENT_LENGTH = 2048  # characters of one


@dataclass(frozen=True, kw_only=True)
class Event:
    """A transition worth telling, as a Kubernetes Event or a line on the terminal."""

    reason: str  # CamelCase
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the status says beside the trials: where the results are, and what was said before."""

    generation: int
    previous: Mapping[str, Any]
    experiment: str = ""
    parent_run: str = ""
    ui: str = ""  # base address of MLflow's pages
    effective: str = ""  # the strategy that proposes, and why
    reason: str = ""
    resumed: int = 0  # trials that the ledger already held when this object came
    errands: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # of the end, by the field that tells of each
    lessons: Lessons | None = None  # what a warm start has brought


def build(context: Context, snapshot: Snapshot, decision: Decision, now: float) -> Status:
    """The whole status for this look. Until the ledger was read, what was said of trials before stands."""
    if not snapshot.loaded:
        return _unread(context, snapshot, decision, now)
    tally, best = snapshot.tally, snapshot.tally.best
    views = [v for v in snapshot.open if not is_range_test(v.trial.index)]
    running = sum(v.attempt is not None and v.attempt.phase is Phase.RUNNING for v in views)
    phase = _phase(snapshot, decision)
    status: Status = {
        "observedGeneration": context.generation,
        "phase": phase,
        "progress": f"{tally.ended}/{snapshot.spec.trials.max}",
        "summary": _summary(snapshot, decision, running),
        "conditions": conditions(context, snapshot, decision, now),
        "trials": {
            "created": tally.ended + len(views) + len(snapshot.paused),
            "running": running,
            "paused": len(snapshot.paused),
            **{outcome.value.lower(): tally.counts[outcome] for outcome in Outcome if outcome.over},
            "resumed": context.resumed,
            "reused": tally.reused,
        },
        "failures": _failures(tally),
        "strategy": {"effective": context.effective, "reason": context.reason},
        "startTime": _time(snapshot.started),
    }
    if snapshot.spec.early_stopping is not None:
        status["earlyStopping"] = {"rule": snapshot.spec.early_stopping.type, "noCurve": tally.flat}
    if snapshot.spec.warm_start and context.lessons is not None:
        status["warmStart"] = summary(context.lessons) | {"told": _clip(context.lessons.told)}
    if snapshot.range_tests:
        status["learningRateRangeTests"] = range_test.report(snapshot.spec, snapshot.range_tests)
    if best is not None:
        status["best"] = _entry(best, snapshot.spec, context)
    for shown, trials in (("top", tally.leaders.top), ("paretoFront", tally.leaders.front)):
        if trials:
            most = min(ASSIGNMENT_LENGTH, PARAMETERS_LENGTH // len(trials))
            status[shown] = [_entry(trial, snapshot.spec, context, most=most) for trial in trials]
    if context.experiment:
        status["tracking"] = _tracking(context)
    status |= {name: dict(said) for name, said in context.errands.items() if said}
    if hours := _resource_hours(snapshot, status, context.previous, now):
        status["resourceHours"] = hours
    if decision.finished:
        status["completionTime"] = context.previous.get("completionTime") or _time(now)
    elif (eta := _eta(snapshot, decision, context.previous, now)) is not None:
        status["eta"] = eta
    return status


def _unread(context: Context, snapshot: Snapshot, decision: Decision, now: float) -> Status:
    """The status of a sweep of which nothing is known but what was said before (MLflow is away, or it is another's)."""
    kept = {k: v for k, v in context.previous.items() if k != "eta"}
    health = snapshot.health
    fault = health.refused or health.elsewhere or health.tracking
    said = {"phase": _phase(snapshot, decision), "summary": _clip(fault.message if fault else "reading the ledger")}
    found = conditions(context, snapshot, decision, now)
    return {**kept, **said, "observedGeneration": context.generation, "conditions": found}


def refused(*, generation: int, previous: Mapping[str, Any], fault: Fault, now: float) -> Status:
    """The status of a sweep whose spec cannot be run: what was reported stays, the verdict is added."""
    found = _conditions(
        previous,
        generation,
        now,
        [
            ("Accepted", False, fault.reason, fault.message),
            ("Reconciling", False, "Observed", "the spec was taken in"),
            ("Stalled", True, fault.reason, fault.message),
        ],
    )
    kept = {k: v for k, v in previous.items() if k not in ("eta", "observedGeneration")}
    summary = _clip(f"refused: {fault.message}")
    return {**kept, "observedGeneration": generation, "phase": "Refused", "summary": summary, "conditions": found}


def settle(status: Mapping[str, Any], errands: Mapping[str, Mapping[str, Any]], generation: int, now: float) -> Status:
    """The status of a sweep that ended before this process came, with what has become of its errands since."""
    said = {name: dict(about) for name, about in errands.items() if about}
    kept = list(status.get("conditions") or [])
    if registered := said.get(on_complete.FIELD):
        [fresh] = _conditions(status, generation, now, [(on_complete.CONDITION, *on_complete.condition(registered))])
        kept = [fresh if c["type"] == on_complete.CONDITION else c for c in kept]
    return {**status, **said, "conditions": kept}


def is_true(status: Mapping[str, Any], condition: str) -> bool:
    """Whether the status holds that condition."""
    return any(c.get("type") == condition and c.get("status") == "True" for c in status.get("conditions") or [])


def ended(status: Mapping[str, Any], generation: int) -> Ending | None:
    """The end that this generation already reached, read back from the status after a restart."""
    for condition in status.get("conditions") or []:
        kind, holds = condition.get("type"), condition.get("status") == "True"
        if kind in ("Complete", "Failed") and holds and condition.get("observedGeneration") == generation:
            return Ending(reason=condition["reason"], message=condition["message"], complete=kind == "Complete")
    return None


# ---- conditions ------------------------------------------------------------------------------------------------------


def conditions(context: Context, snapshot: Snapshot, decision: Decision, now: float) -> list[dict[str, Any]]:
    """Every condition, each with a reason; `lastTransitionTime` moves only when the status does."""
    health, end = snapshot.health, decision.ending if decision.finished else None
    complete, failed = end is not None and end.complete, end is not None and not end.complete
    over = (end.reason, end.message) if end else ("Running", "the sweep has not ended")
    stalled = _stalled(snapshot, decision, now)
    refusal, tracking = health.refused, health.tracking
    registered = on_complete.condition(context.errands.get(on_complete.FIELD, {}))
    return _conditions(
        context.previous,
        context.generation,
        now,
        [
            (
                "Accepted",
                refusal is None,
                refusal.reason if refusal else "Valid",
                refusal.message if refusal else "the spec is valid",
            ),
            ("Reconciling", False, "Observed", "the spec was taken in"),
            (
                "Stalled",
                stalled is not None or failed,
                *_why(stalled, over if failed else ("Progressing", "nothing is in the way")),
            ),
            ("Suspended", snapshot.spec.suspend, "Suspended" if snapshot.spec.suspend else "Active", "spec.suspend"),
            ("TrackingAvailable", tracking is None, *_why(tracking, ("Reachable", "MLflow answers"))),
            ("Finished", end is not None, *over),
            ("Complete", complete, *over),
            ("Failed", failed, *over),
            *([(on_complete.CONDITION, *registered)] if snapshot.spec.on_complete is not None else []),
        ],
    )


def _why(fault: Fault | None, otherwise: tuple[str, str]) -> tuple[str, str]:
    return (fault.reason, fault.message) if fault is not None else otherwise


def _stalled(snapshot: Snapshot, decision: Decision, now: float) -> Fault | None:
    """What keeps the sweep from going on: at once if it takes a person, after a while if it may pass."""
    health: Health = snapshot.health
    for fault in (health.refused, health.elsewhere):
        if fault is not None:
            return fault
    if health.tracking is not None and now - health.tracking.since > STUCK_AFTER:
        return health.tracking
    if decision.waiting and not any(v.attempt and v.attempt.phase is Phase.RUNNING for v in snapshot.open):
        since = [v.attempt.waiting_since for v in snapshot.open if v.attempt and v.attempt.waiting_since]
        since += [v.fault.since for v in snapshot.open if v.attempt is None and v.fault]
        reason, (count, message) = next(iter(decision.waiting.items()))
        if reason != Reason.QUEUED and since and now - min(since) > STUCK_AFTER:
            return Fault(reason=reason, message=f"{count} trials wait: {message}")
    return None


def _conditions(
    previous: Mapping[str, Any], generation: int, now: float, wanted: list[tuple[str, bool, str, str]]
) -> list[dict[str, Any]]:
    before = {c["type"]: c for c in previous.get("conditions") or []}
    found = []
    for kind, holds, reason, message in wanted:
        status = "True" if holds else "False"
        last = before.get(kind, {})
        since = last["lastTransitionTime"] if last.get("status") == status else _time(now)
        found.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": _clip(message),
                "lastTransitionTime": since,
                "observedGeneration": generation,
            }
        )
    return found


# ---- parts -----------------------------------------------------------------------------------------------------------


def _phase(snapshot: Snapshot, decision: Decision) -> str:
    if decision.finished and decision.ending is not None:
        return "Complete" if decision.ending.complete else "Failed"
    if snapshot.health.refused is not None:
        return "Refused"
    if snapshot.health.elsewhere is not None:
        return "Stalled"
    if decision.ending is not None:
        return "Ending"
    if snapshot.spec.suspend:
        return "Suspended"
    return "Running" if snapshot.open or snapshot.paused or snapshot.tally.ended else "Starting"


def _summary(snapshot: Snapshot, decision: Decision, running: int) -> str:
    spec, tally = snapshot.spec, snapshot.tally
    parts = [f"{tally.ended}/{spec.trials.max} trials", f"{running} running"]
    if snapshot.paused:
        parts.append(f"{len(snapshot.paused)} paused")
    if len(snapshot.range_tests) < len(tests := range_test.cases(spec)):
        parts.append(f"{len(snapshot.range_tests)}/{len(tests)} learning-rate range tests")
    if tally.counts[Outcome.FAILED]:
        parts.append(f"{tally.counts[Outcome.FAILED]} failed")
    if tally.best is not None:
        named = zip(spec.objectives, tally.best.values, strict=True)
        values = ", ".join(f"{objective.metric} {_number(value)}" for objective, value in named)
        parts.append(f"best {values} (trial {tally.best.index})")
    parts += [f"{count} wait: {reason}" for reason, (count, _) in decision.waiting.items()]
    if decision.ending is not None:
        parts.append(decision.ending.reason)
    return ", ".join(parts)


def _entry(trial: Trial, spec: SweepSpec, context: Context, *, most: int = ASSIGNMENT_LENGTH) -> dict[str, Any]:
    """A trial and its result; an assignment of more than `most` characters is left out."""
    entry: dict[str, Any] = {
        "trial": trial.index,
        "value": " / ".join(map(_number, trial.values)),
        "objectives": {o.metric: value for o, value in zip(spec.objectives, trial.values, strict=True)},
        "run": {"id": trial.run, **_url(context, trial.run)},
    }
    if spec.repeats.count > 1:
        entry["repeats"] = trial.repeats
        if trial.interval is not None and all(map(math.isfinite, trial.interval)):
            entry["interval"] = list(trial.interval)
    if sum(len(str(v)) + len(k) for k, v in trial.parameters.items()) <= most:
        entry["parameters"] = dict(trial.parameters)
    return entry


def _failures(tally: Tally) -> list[dict[str, Any]]:
    groups = sorted(tally.groups.values(), key=lambda g: (-g.count, g.trial))[:FAILURE_GROUPS]
    return [
        {
            "reason": g.reason,
            "message": _clip(_last_line(g.message)),
            "count": g.count,
            "trial": g.trial,
            "pod": g.where,
            "log": _clip_end(g.message),
        }
        for g in groups
    ]


def _tracking(context: Context) -> dict[str, Any]:
    return {"experimentId": context.experiment, "parentRun": context.parent_run, **_url(context, context.parent_run)}


def _url(context: Context, run: str) -> dict[str, str]:
    return (
        {"url": f"{context.ui.rstrip('/')}/#/experiments/{context.experiment}/runs/{run}"}
        if context.ui.startswith("http")
        else {}
    )


def _eta(snapshot: Snapshot, decision: Decision, previous: Mapping[str, Any], now: float) -> str | None:
    """When the last trial should end, by the pace so far; it moves only when a trial ends, so that it isn't noise."""
    tally, most = snapshot.tally, snapshot.spec.trials.max
    if decision.ending is not None or tally.ended == 0 or snapshot.spec.suspend:
        return None
    if previous.get("eta") and previous.get("progress") == f"{tally.ended}/{most}":
        return str(previous["eta"])
    return _time(now + (now - snapshot.started) / tally.ended * max(0, most - tally.ended))


def _resource_hours(snapshot: Snapshot, status: Status, previous: Mapping[str, Any], now: float) -> dict[str, float]:
    """What was used so far; it moves when a trial begins or ends, and else by a twentieth at least, so that it isn't noise."""
    hours = {resource: float(f"{n:.4g}") for resource, n in account.used(snapshot, now).items()}
    said: dict[str, float] = previous.get("resourceHours") or {}
    same = all(previous.get(part) == status[part] for part in ("trials", "progress", "phase"))
    if same and all(n - said.get(resource, 0.0) < max(HOURS_GRAIN, n / 20) for resource, n in hours.items()):
        return said
    return hours


def _number(value: float | None) -> str:
    """Six digits for people; the exact number stands in `objectives`."""
    return "" if value is None else f"{value:.6g}" if math.isfinite(value) else str(value)


def _last_line(message: str) -> str:
    lines = message.strip().splitlines()
    return lines[-1] if lines else ""


def _clip(message: str) -> str:
    return message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"


def _clip_end(message: str) -> str:
    """The last lines of a log are the ones that tell."""
    return message if len(message) <= MESSAGE_LENGTH else "…" + message[-MESSAGE_LENGTH + 1 :]


def _time(now: float) -> str:
    return datetime.fromtimestamp(int(now), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- events ----------------------------------------------------------------------------------------------------------

_TOLD = {  # condition -> (reason when it becomes true, when it becomes false); empty: its own reason, or not told
    "Accepted": ("Accepted", ""),
    "Stalled": ("", "Progressing"),
    "Suspended": ("Suspended", "Resumed"),
    "TrackingAvailable": ("TrackingAvailable", ""),
    "Finished": ("", "Continued"),
}
WARM_STARTED, NOT_REGISTERED = "WarmStarted", "ModelNotRegistered"
_BAD_WHEN_TRUE = {"Stalled"}
_BAD_WHEN_FALSE = {"Accepted", "TrackingAvailable"}


def events(before: Mapping[str, Any], after: Mapping[str, Any]) -> Sequence[Event]:
    """The transitions between two statuses, as Events: derived, so a restart neither repeats nor forgets one."""
    return [
        *_condition_events(before, after),
        *_warm_start_events(before, after),
        *_trial_events(before, after),
        *_registration_events(before, after),
    ]


def _condition_events(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Event]:
    old = {c["type"]: c["status"] for c in before.get("conditions") or []}
    for condition in after.get("conditions") or []:
        kind, status = condition["type"], condition["status"]
        quiet_at_first = "True" if kind == "TrackingAvailable" else "False"
        if kind not in _TOLD or old.get(kind, quiet_at_first) == status:
            continue
        bad = kind in (_BAD_WHEN_TRUE if status == "True" else _BAD_WHEN_FALSE)
        bad = bad or (kind == "Finished" and status == "True" and is_true(after, "Failed"))
        reason = _TOLD[kind][0 if status == "True" else 1] or condition["reason"]
        yield Event(reason=reason, message=condition["message"], type="Warning" if bad else "Normal")


def _warm_start_events(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Event]:
    if "warmStart" in after and "warmStart" not in before:
        said = after["warmStart"]
        yield Event(reason=WARM_STARTED, message=said["told"], type="Normal" if said["taken"] else "Warning")


def _registration_events(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Event]:
    said = after.get(on_complete.FIELD) or {}
    if said and said != before.get(on_complete.FIELD) and said["state"] != on_complete.PENDING:
        holds, reason, message = on_complete.condition(said)
        told = message if holds else f"{reason}: {message}"
        yield Event(
            reason=on_complete.CONDITION if holds else NOT_REGISTERED,
            message=_clip(told),
            type="Normal" if holds else "Warning",
        )


def _trial_events(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Event]:
    resumed = (after.get("trials") or {}).get("resumed", 0)
    if resumed and "trials" not in before:
        message = (
            f"{resumed} trials of this sweep had ended in the ledger, and are not run again; "
            "to start afresh, give it another tracking.sweep or strategy.seed"
        )
        yield Event(reason="ResumedFromLedger", message=message)
    yield from _range_test_events(before, after)
    old_best, best = before.get("best") or {}, after.get("best")
    if best and best["trial"] != old_best.get("trial"):
        yield Event(reason="NewBest", message=f"trial {best['trial']}: {best['value']}")
    known = {(g["reason"], g["trial"]) for g in before.get("failures") or []}
    for group in after.get("failures") or []:
        if (group["reason"], group["trial"]) not in known:
            where = f" ({group['pod']})" if group["pod"] else ""
            message = f"trial {group['trial']}{where}: {group['reason']}: {group['message']}; {group['count']} alike"
            yield Event(reason="TrialFailed", message=_clip(message), type="Warning")


def _range_test_events(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Event]:
    known = {test["run"]["id"] for test in before.get("learningRateRangeTests") or []}
    for test in after.get("learningRateRangeTests") or []:
        if test["run"]["id"] not in known:
            optimizer = f" with {test['optimizer']}" if "optimizer" in test else ""
            message = f"learning-rate range test{optimizer}: {test['verdict']}: {test['reason']}"
            bad = test["verdict"] == Outcome.FAILED
            yield Event(reason="RangeTested", message=_clip(message), type="Warning" if bad else "Normal")
