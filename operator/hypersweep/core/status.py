"""The sweep's status: small, honest, derived. Built from a snapshot and a decision; whoever writes it decides nothing.

Owns the summary, the top list and the failure groups; the conditions are in `conditions.py`, the Events that follow from a
change in `events.py`, the types in `status_schema.py`. At most 30 KB whatever the sweep's size.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hypersweep.core import account, on_complete, range_test
from hypersweep.core.conditions import MESSAGE_LENGTH, Conditions, clip, conditions, listed, timestamp
from hypersweep.core.range_test import is_range_test
from hypersweep.core.snapshot import Decision, Fault, Snapshot
from hypersweep.core.spec import SweepSpec
from hypersweep.core.tally import FAILURE_GROUPS, Tally
from hypersweep.core.trial import Outcome, Phase, Trial
from hypersweep.core.warm_start import Lessons, summary

Status = dict[str, Any]

LAST_INSTANT = datetime.max.replace(
    tzinfo=UTC
).timestamp()  # that a date can say: one slow trial of 100,000 is beyond it
HOURS_GRAIN = 0.1  # of a resource, below which nothing is told of running trials
PARAMETERS_LENGTH = 20_480  # characters of assignments that a list repeats
ASSIGNMENT_LENGTH = 2048  # characters of one


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
    errands: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # of the end, by the field of each
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
        "conditions": _conditions(context, snapshot, decision, now),
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
        "startTime": timestamp(snapshot.started),
    }
    if snapshot.spec.early_stopping is not None:
        status["earlyStopping"] = {"rule": snapshot.spec.early_stopping.type, "noCurve": tally.flat}
    if snapshot.spec.warm_start and context.lessons is not None:
        status["warmStart"] = summary(context.lessons) | {"told": clip(context.lessons.told)}
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
        status["completionTime"] = context.previous.get("completionTime") or timestamp(now)
    elif (eta := _eta(snapshot, decision, context.previous, now)) is not None:
        status["eta"] = eta
    return status


def _unread(context: Context, snapshot: Snapshot, decision: Decision, now: float) -> Status:
    """The status of a sweep of which nothing is known but what was said before (MLflow is away, or it is another's)."""
    kept = {k: v for k, v in context.previous.items() if k != "eta"}
    health = snapshot.health
    fault = health.refused or health.elsewhere or health.tracking
    said = {"phase": _phase(snapshot, decision), "summary": clip(fault.message if fault else "reading the ledger")}
    found = _conditions(context, snapshot, decision, now)
    return {**kept, **said, "observedGeneration": context.generation, "conditions": found}


def refused(*, generation: int, previous: Mapping[str, Any], fault: Fault, now: float) -> Status:
    """The status of a sweep whose spec cannot be run: what was reported stays, the verdict is added."""
    found = listed(
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
    summary = clip(f"refused: {fault.message}")
    return {**kept, "observedGeneration": generation, "phase": "Refused", "summary": summary, "conditions": found}


def settle(status: Mapping[str, Any], errands: Mapping[str, Mapping[str, Any]], generation: int, now: float) -> Status:
    """The status of a sweep that ended before this process came, with what has become of its errands since."""
    said = {name: dict(about) for name, about in errands.items() if about}
    kept = list(status.get("conditions") or [])
    if registered := said.get(on_complete.FIELD):
        [fresh] = listed(status, generation, now, [(on_complete.CONDITION, *on_complete.condition(registered))])
        kept = [fresh if c["type"] == on_complete.CONDITION else c for c in kept]
    return {**status, **said, "conditions": kept}


# ---- parts -----------------------------------------------------------------------------------------------------------


def _conditions(context: Context, snapshot: Snapshot, decision: Decision, now: float) -> Conditions:
    said = context.errands.get(on_complete.FIELD, {})
    return conditions(
        snapshot, decision, now, previous=context.previous, generation=context.generation, registered=said
    )


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
            "message": clip(_last_line(g.message)),
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
    end = now + (now - snapshot.started) / tally.ended * max(0, most - tally.ended)
    return timestamp(end) if end < LAST_INSTANT else None


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


def _clip_end(message: str) -> str:
    """The last lines of a log are the ones that tell."""
    return message if len(message) <= MESSAGE_LENGTH else "…" + message[-MESSAGE_LENGTH + 1 :]
