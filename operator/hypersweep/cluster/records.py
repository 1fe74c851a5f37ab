"""What is kept of a Job and of a pod: slim, frozen records, made from the API server's raw JSON.

Owns which fields matter; refuses to judge them (`attempts.py` does). Times are seconds since the epoch. A record is
compared by equality to see whether anything that matters has changed, so nothing else may be in it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from hypersweep.core import names
from hypersweep.core.exits import last_words
from hypersweep.core.resources import Amounts, requested

Object = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One condition of a status that holds."""

    reason: str
    message: str
    since: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord:
    """A trial's Job. `sweep` is the UID of the sweep that owns it, by owner reference: labels can be forged."""

    namespace: str
    name: str
    uid: str
    sweep: str
    trial: int
    attempt: int
    run: str
    container: str
    queue: str
    created: float
    started: float | None
    ended: float | None
    suspended: bool
    deleting: bool
    held: Condition | None  # why it is suspended
    complete: Condition | None
    failed: Condition | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerRecord:
    """A container that waits (`reason`), runs (`started`), or has terminated (`exit_code`)."""

    name: str
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    started: float | None = None
    ended: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PodRecord:
    """A pod of a trial. `job` is the UID of its Job, by owner reference; `sweep`, trial and attempt are its labels."""

    namespace: str
    name: str
    uid: str
    job: str
    sweep: str
    trial: int
    attempt: int
    phase: str
    reason: str
    message: str
    created: float
    started: float | None
    leaves: float | None  # when it should be gone: it is being deleted
    scheduled: Condition | None
    unscheduled: Condition | None  # it has no node yet: why
    disrupted: Condition | None  # preempted, drained, evicted, its node lost: by whom
    containers: tuple[ContainerRecord, ...] = ()  # those that initialize it first
    requests: Amounts = ()  # what it reserves on its node
    vanished: bool = False  # it is gone; this is how it was last seen

    @property
    def deleting(self) -> bool:
        """It is going, or gone."""
        return self.vanished or self.leaves is not None


def job_record(job: Object) -> JobRecord | None:
    """The record of a Job; None of one that is not a trial's."""
    meta, spec, status = job["metadata"], job["spec"], job.get("status") or {}
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    sweep, trial, attempt = _owner(meta, "HyperparameterSweep"), *_place(labels)
    if sweep is None or trial is None or attempt is None:
        return None
    return JobRecord(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        sweep=sweep,
        trial=trial,
        attempt=attempt,
        run=annotations.get(names.RUN_ANNOTATION, ""),
        container=annotations.get(names.CONTAINER_ANNOTATION, ""),
        queue=labels.get("kueue.x-k8s.io/queue-name", ""),
        created=_seconds(meta["creationTimestamp"]) or 0.0,
        started=_seconds(status.get("startTime")),
        ended=_seconds(status.get("completionTime")),
        suspended=bool(spec.get("suspend")),
        deleting="deletionTimestamp" in meta,
        held=_condition(status, "Suspended"),
        complete=_condition(status, "Complete"),
        failed=_condition(status, "Failed"),
    )


def pod_record(pod: Object) -> PodRecord | None:
    """The record of a pod; None of one that is not a trial's."""
    meta, status = pod["metadata"], pod.get("status") or {}
    labels = meta.get("labels") or {}
    trial, attempt = _place(labels)
    if trial is None or attempt is None:
        return None
    return PodRecord(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        job=_owner(meta, "Job") or "",
        sweep=labels.get(names.UID_LABEL, ""),
        trial=trial,
        attempt=attempt,
        phase=status.get("phase", "Pending"),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        created=_seconds(meta["creationTimestamp"]) or 0.0,
        started=_seconds(status.get("startTime")),
        leaves=_seconds(meta.get("deletionTimestamp")),
        scheduled=_condition(status, "PodScheduled"),
        unscheduled=_condition(status, "PodScheduled", holds="False"),
        disrupted=_condition(status, "DisruptionTarget"),
        containers=tuple(_containers(status)),
        requests=_shared(requested(pod.get("spec") or {})),
    )


@lru_cache(maxsize=1024)
def _shared(amounts: Amounts) -> Amounts:
    """The same object for equal ones: a sweep's pods all request alike."""
    return amounts


def _containers(status: Object) -> Iterator[ContainerRecord]:
    for found in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        for state in (found.get("state") or {}).values():
            yield ContainerRecord(
                name=found["name"],
                reason=state.get("reason", ""),
                message=last_words(state.get("message", "")),
                exit_code=state.get("exitCode"),
                started=_seconds(state.get("startedAt")),
                ended=_seconds(state.get("finishedAt")),
            )


def _condition(status: Object, kind: str, *, holds: str = "True") -> Condition | None:
    for found in status.get("conditions") or ():
        if found["type"] == kind and found["status"] == holds:
            since = _seconds(found.get("lastTransitionTime"))
            return Condition(reason=found.get("reason") or "", message=found.get("message") or "", since=since)
    return None


def _owner(meta: Object, kind: str) -> str | None:
    """The UID of the controlling owner, if it is of that kind."""
    for owner in meta.get("ownerReferences") or ():
        if owner.get("controller") and owner["kind"] == kind:
            return str(owner["uid"])
    return None


def _place(labels: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Trial and attempt, as their labels say."""
    trial, attempt = labels.get(names.TRIAL_LABEL, ""), labels.get(names.ATTEMPT_LABEL, "")
    return (int(trial) if trial.isdecimal() else None), (int(attempt) if attempt.isdecimal() else None)


def _seconds(time: str | None) -> float | None:
    return datetime.fromisoformat(time).timestamp() if time else None
