"""The status's conditions: kstatus's rules (accepted and running is Current), each with a reason and a time. Pure.

Owns which conditions there are, when each holds, and how an end is read back from them after a restart; and what all parts of
the status keep to, the length of a message and the form of a time.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypersweep.core import on_complete
from hypersweep.core.snapshot import Decision, Ending, Fault, Health, Snapshot
from hypersweep.core.trial import Phase, Reason

Conditions = list[dict[str, Any]]

MESSAGE_LENGTH = 600  # characters of any message
STUCK_AFTER = 600.0  # seconds in which nothing could run, before that counts as Stalled


def conditions(
    snapshot: Snapshot,
    decision: Decision,
    now: float,
    *,
    previous: Mapping[str, Any],
    generation: int,
    registered: on_complete.Said,
) -> Conditions:
    """Every condition, each with a reason; `lastTransitionTime` moves only when the status does.

    `previous`: the status as it was; `registered`: what it says of the best model's registration.
    """
    health, end = snapshot.health, decision.ending if decision.finished else None
    complete, failed = end is not None and end.complete, end is not None and not end.complete
    over = (end.reason, end.message) if end else ("Running", "the sweep has not ended")
    stalled = _stalled(snapshot, decision, now)
    refusal, tracking = health.refused, health.tracking
    return listed(
        previous,
        generation,
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
            *(
                [(on_complete.CONDITION, *on_complete.condition(registered))]
                if snapshot.spec.on_complete is not None
                else []
            ),
        ],
    )


def listed(
    previous: Mapping[str, Any], generation: int, now: float, wanted: list[tuple[str, bool, str, str]]
) -> Conditions:
    """These conditions (type, whether it holds, reason, message), with the times of those that were there before."""
    before = {c["type"]: c for c in previous.get("conditions") or []}
    found = []
    for kind, holds, reason, message in wanted:
        status = "True" if holds else "False"
        last = before.get(kind, {})
        since = last["lastTransitionTime"] if last.get("status") == status else timestamp(now)
        found.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": clip(message),
                "lastTransitionTime": since,
                "observedGeneration": generation,
            }
        )
    return found


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


def clip(message: str) -> str:
    """A message at the length that a status bears."""
    return message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"


def timestamp(now: float) -> str:
    """A time as Kubernetes writes it."""
    return datetime.fromtimestamp(int(now), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
