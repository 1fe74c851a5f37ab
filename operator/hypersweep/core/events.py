"""The Events that follow from a change of the status: derived, so that a restart neither repeats nor forgets one. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hypersweep.core import on_complete
from hypersweep.core.conditions import clip, is_true
from hypersweep.core.trial import Outcome

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


@dataclass(frozen=True, kw_only=True)
class Event:
    """A transition worth telling, as a Kubernetes Event or a line on the terminal."""

    reason: str  # CamelCase
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


def events(before: Mapping[str, Any], after: Mapping[str, Any]) -> Sequence[Event]:
    """The transitions between two statuses, as Events."""
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
            message=clip(told),
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
            yield Event(reason="TrialFailed", message=clip(message), type="Warning")


def _range_test_events(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Event]:
    known = {test["run"]["id"] for test in before.get("learningRateRangeTests") or []}
    for test in after.get("learningRateRangeTests") or []:
        if test["run"]["id"] not in known:
            optimizer = f" with {test['optimizer']}" if "optimizer" in test else ""
            message = f"learning-rate range test{optimizer}: {test['verdict']}: {test['reason']}"
            bad = test["verdict"] == Outcome.FAILED
            yield Event(reason="RangeTested", message=clip(message), type="Warning" if bad else "Normal")
