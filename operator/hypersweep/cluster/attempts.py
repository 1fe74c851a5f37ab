"""What a Job and its pods say of an attempt: where it stands, and why it waits or how it ended. Pure.

Owns the reading of Kubernetes' words. What exit codes and last words mean is said in `core/exits.py`; what follows
from a reason is decided in `core/steps.py`. Only the Job's own Complete or Failed ends an attempt: before that its pod
may be replaced, or may still be shutting down.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hypersweep.cluster.records import Condition, ContainerRecord, JobRecord, PodRecord
from hypersweep.cluster.usage import usage
from hypersweep.core.exits import last_words, reason_of
from hypersweep.core.trial import Attempt, Phase, Reason

# What a waiting container's reason means (kubelet: pkg/kubelet/images/types.go, pkg/kubelet/container/sync_result.go).
_WAITS = {
    "ErrImagePull": Reason.IMAGE_NOT_PULLED,
    "ImagePullBackOff": Reason.IMAGE_NOT_PULLED,
    "InvalidImageName": Reason.IMAGE_NOT_PULLED,
    "ErrImageNeverPull": Reason.IMAGE_NOT_PULLED,
    "ImageInspectError": Reason.IMAGE_NOT_PULLED,
    "RegistryUnavailable": Reason.IMAGE_NOT_PULLED,
    "SignatureValidationFailed": Reason.IMAGE_NOT_PULLED,
    "CreateContainerConfigError": Reason.CONTAINER_NOT_CREATED,
    "CreateContainerError": Reason.CONTAINER_NOT_CREATED,
    "RunContainerError": Reason.CONTAINER_NOT_CREATED,
    "StartError": Reason.CONTAINER_NOT_CREATED,
    "PreStartHookError": Reason.CONTAINER_NOT_CREATED,
    "PostStartHookError": Reason.CONTAINER_NOT_CREATED,
    "CrashLoopBackOff": Reason.CONTAINER_NOT_CREATED,  # of a sidecar that initializes: the one that trains never starts
}
_NEVER_STARTED = {"StartError", "ContainerCannotRun", "RunContainerError"}  # of a terminated container, exit code 128
_KILLED = 137  # 128 + SIGKILL: of a pod being deleted, it did not end within its grace period
_ROOT_HINT = (
    "give the image a user by number that is not 0, or say `runAsNonRoot: false` in the template's securityContext"
)


def attempt(job: JobRecord, pods: Sequence[PodRecord]) -> Attempt:
    """The attempt that a Job is. `pods` are all that are known of it, also the last that vanished."""
    found = _standing(job, _newest(pods))
    used = (usage(pod, over=found.ended) for pod in sorted(pods, key=lambda pod: (pod.created, pod.name)))
    return replace(found, usage=tuple(filter(None, used)))


def _standing(job: JobRecord, pod: PodRecord | None) -> Attempt:
    """Where it stands, by the pod that counts."""
    base = Attempt(
        trial=job.trial,
        number=job.attempt,
        phase=Phase.PENDING,
        created=job.created,
        run=job.run,
        where=pod.name if pod else job.name,
    )
    if job.complete is not None:
        return _succeeded(base, job, pod)
    if job.failed is not None:
        return _failed(base, job, pod, job.failed)
    if job.suspended:
        return _queued(base, job)
    if pod is None or pod.deleting or pod.phase in ("Succeeded", "Failed"):
        return _between_pods(base, job, pod)
    if pod.phase == "Pending":
        return _pending(base, pod)
    return replace(base, phase=Phase.RUNNING, started=_started(job, pod))


def leftover(pod: PodRecord) -> Attempt:
    """The attempt of a pod whose Job was deleted: it still runs, until it has shut down."""
    return Attempt(
        trial=pod.trial,
        number=pod.attempt,
        phase=Phase.RUNNING,
        message="its Job was deleted; it is shutting down",
        created=pod.created,
        started=pod.started,
        where=pod.name,
    )


# ---- it has ended ----------------------------------------------------------------------------------------------------


def _succeeded(base: Attempt, job: JobRecord, pod: PodRecord | None) -> Attempt:
    trained = _trained(job, pod)
    ended = (trained.ended if trained else None) or job.ended or job.created
    return replace(base, phase=Phase.SUCCEEDED, exit_code=0, started=_started(job, pod), ended=ended)


def _failed(base: Attempt, job: JobRecord, pod: PodRecord | None, failed: Condition) -> Attempt:
    culprit = _culprit(job, pod)
    ended = (culprit.ended if culprit else None) or failed.since or job.created
    base = replace(base, phase=Phase.FAILED, started=_started(job, pod), ended=ended)
    if failed.reason == "DeadlineExceeded":
        return replace(base, reason=Reason.DEADLINE_EXCEEDED, message=_deadline_message(job, pod, failed))
    if pod is None:
        message = f"its pod is gone, and nobody saw its end ({failed.reason}: {failed.message})"
        return replace(base, reason=Reason.INTERRUPTED, message=message)
    if pod.reason == "Evicted" and pod.disrupted is None:  # for using more than its own limits allow
        return replace(base, reason=Reason.CRASHED, message=last_words(pod.message))
    if culprit is None:  # the node turned it away (`OutOfcpu`, `UnexpectedAdmissionError`), or it was never seen to end
        said = last_words(f"{pod.reason}: {pod.message}") if pod.reason else "its pod was deleted"
        return replace(base, reason=Reason.INTERRUPTED, message=said)
    reason = _why(culprit, pod)
    message = culprit.message or _unsaid(culprit, reason)
    return replace(base, reason=reason, message=message, exit_code=culprit.exit_code)


def _why(culprit: ContainerRecord, pod: PodRecord) -> Reason:
    if culprit.reason == "OOMKilled":
        return Reason.OUT_OF_MEMORY
    if culprit.reason in _NEVER_STARTED:
        return Reason.CONTAINER_NOT_CREATED
    if pod.disrupted is not None or (pod.deleting and culprit.exit_code == _KILLED):
        return Reason.INTERRUPTED
    return reason_of(culprit.exit_code, culprit.message)


def _unsaid(culprit: ContainerRecord, reason: Reason) -> str:
    """For a container that left no words."""
    if reason is Reason.OUT_OF_MEMORY:
        return f"container {culprit.name} used more memory than its limit, and was killed"
    return f"container {culprit.name} exited with code {culprit.exit_code}, and said nothing"


def _deadline_message(job: JobRecord, pod: PodRecord | None, failed: Condition) -> str:
    """The Job's own words, and why it never ran if it did not: then the limit was spent on waiting."""
    if pod is None or _started_training(job, pod):
        return failed.message
    waited = _pending(Attempt(trial=job.trial, number=job.attempt, phase=Phase.PENDING), pod)
    return f"{failed.message}; it never ran: {waited.reason}: {waited.message}"


# ---- it has not ended ------------------------------------------------------------------------------------------------


def _queued(base: Attempt, job: JobRecord) -> Attempt:
    """Suspended, by a queue or by a person; none of its clocks runs."""
    where = f"waits in queue {job.queue}" if job.queue else ""
    said = job.held.message if job.held else ""
    since = (job.held.since if job.held else None) or job.created
    message = ": ".join(part for part in (where, said) if part)
    return replace(base, phase=Phase.QUEUED, reason=Reason.QUEUED, message=message, waiting_since=since)


def _between_pods(base: Attempt, job: JobRecord, pod: PodRecord | None) -> Attempt:
    """It has no pod yet, or none any more; the Job makes one, or will soon say that it failed."""
    if pod is None:
        return replace(
            base, reason=Reason.STARTING, message="it has no pod yet", waiting_since=job.started or job.created
        )
    if pod.disrupted is not None:
        message = f"its pod was disrupted ({pod.disrupted.reason}: {pod.disrupted.message})"
        return replace(base, reason=Reason.STARTING, message=message, waiting_since=pod.disrupted.since)
    if pod.deleting:
        return replace(
            base, reason=Reason.STARTING, message="its pod was deleted", waiting_since=job.started or job.created
        )
    return replace(base, phase=Phase.RUNNING, started=_started(job, pod))


def _pending(base: Attempt, pod: PodRecord) -> Attempt:
    if pod.unscheduled is not None:
        gated = pod.unscheduled.reason == "SchedulingGated"
        phase, reason = (Phase.QUEUED, Reason.QUEUED) if gated else (Phase.PENDING, Reason.UNSCHEDULABLE)
        since = pod.unscheduled.since or pod.created
        return replace(base, phase=phase, reason=reason, message=pod.unscheduled.message, waiting_since=since)
    since = (pod.scheduled.since if pod.scheduled else None) or pod.created
    for container in pod.containers:
        if container.reason in _WAITS:
            return replace(base, reason=_WAITS[container.reason], message=_hindrance(container), waiting_since=since)
    return replace(base, reason=Reason.STARTING, waiting_since=since)


def _hindrance(container: ContainerRecord) -> str:
    """What keeps a container from starting, in words that are the same at every try and for every pod."""
    if "runAsNonRoot" in container.message:
        return f"{container.message.split(' (pod:')[0]}; {_ROOT_HINT}"
    return container.message.split("ErrImagePull: ", 1)[-1] or container.reason


# ---- pods and containers ---------------------------------------------------------------------------------------------


def _newest(pods: Iterable[PodRecord]) -> PodRecord | None:
    """The one that counts: a replacement is newer than what it replaces."""
    return max(pods, key=lambda pod: (pod.created, not pod.deleting, pod.name), default=None)


def _trained(job: JobRecord, pod: PodRecord | None) -> ContainerRecord | None:
    """The container that trains, as soon as it has a state."""
    containers = pod.containers if pod else ()
    return next((container for container in containers if container.name == job.container), None)


def _culprit(job: JobRecord, pod: PodRecord | None) -> ContainerRecord | None:
    """The container that made the pod fail: the one that trains, if it failed; else the first that did."""
    failed = [container for container in (pod.containers if pod else ()) if container.exit_code]
    return next((container for container in failed if container.name == job.container), failed[0] if failed else None)


def _started(job: JobRecord, pod: PodRecord | None) -> float | None:
    trained = _trained(job, pod)
    return (trained.started if trained else None) or (pod.started if pod else None) or job.started


def _started_training(job: JobRecord, pod: PodRecord) -> bool:
    trained = _trained(job, pod)
    return trained is not None and trained.started is not None
