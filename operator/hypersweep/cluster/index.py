"""What is known of every sweep's Jobs and pods: where `attempts()` is answered from. Pure; informers feed it.

Owns the join of Jobs with their pods, the index by sweep, and who is woken when something changed. A Job that we have
just made is known at once, so that no loop makes it twice on a stale view; a pod that is gone is remembered as it was
last seen while its Job exists, since the Job does not say how it ended.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypersweep.cluster.attempts import attempt, leftover
from hypersweep.cluster.records import JobRecord, PodRecord, job_record
from hypersweep.cluster.usage import usage
from hypersweep.core.resources import Usage
from hypersweep.core.trial import Attempt, Phase, Reason

Key = tuple[str, str]
"""Namespace and name of an object."""

Sweep = tuple[str, str]
"""Namespace and UID of a sweep: a UID alone could be claimed by labels in another namespace."""

REMEMBERED = 10_000  # Jobs that are gone, of which late news is not believed
REPLACED = 32  # pods of one Job whose usage is remembered; of those before, the ledger knows
CONFIRMED_WITHIN = 60.0  # seconds in which the API server shows a Job that it said it had made
SHUTDOWN = 60.0  # seconds that a deleted pod may take beyond its grace period; then its node is lost, and nobody waits

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Explanation:
    """What an attempt waits for, where its Job and its pod don't say."""

    reason: Reason
    message: str


class JobIndex:
    """Jobs and pods of all sweeps that are looked at. `problem`: why what is known may be out of date, or None."""

    def __init__(self, *, wake: Callable[[str], None], clock: Callable[[], float] = time.time) -> None:
        """`wake` is told the UID of a sweep of which something has changed."""
        self.wake, self._clock = wake, clock
        self._jobs: dict[str, JobRecord] = {}  # by UID
        self._pods: dict[str, dict[str, PodRecord]] = {}  # by the Job's UID, then by their own
        self._members: dict[Sweep, set[str]] = {}  # UIDs of a sweep's Jobs, also of those of which only pods are left
        self._answers: dict[str, Attempt] = {}  # by the Job's UID; forgotten when anything of it changes
        self._used: dict[str, list[Usage]] = {}  # by the Job's UID: pods that others have replaced since
        self._explained: dict[str, Explanation] = {}
        self._unconfirmed: dict[str, float] = {}  # Jobs that we made and no informer has shown: since when
        self._gone: dict[str, None] = {}  # UIDs, oldest first

    @property
    def problem(self) -> str | None:
        return None

    def attempts(self, sweep: Sweep) -> list[Attempt]:
        """Every attempt of a sweep that exists: its Jobs, and pods whose Job was deleted and that still shut down."""
        return [found for uid in list(self._members.get(sweep, ())) for found in self._of(sweep, uid)]

    def job(self, sweep: Sweep, trial: int, number: int) -> JobRecord | None:
        """The Job of an attempt, if there is one."""
        jobs = (self._jobs.get(uid) for uid in self._members.get(sweep, ()))
        return next((job for job in jobs if job and (job.trial, job.attempt) == (trial, number)), None)

    def insert(self, document: Mapping[str, Any]) -> None:
        """Take in a Job as the API server answered it, unless more is known of it already."""
        job = job_record(document)
        if job is not None and job.uid not in self._jobs and job.uid not in self._gone:
            self._unconfirmed[job.uid] = self._clock()
            self._put_job(job)

    def forget(self, uid: str) -> None:
        """The API server said that this Job exists no more."""
        job = self._jobs.get(uid)
        if job is not None:
            self._drop_job(job)

    # ---- answers -----------------------------------------------------------------------------------------------------

    def _of(self, sweep: Sweep, uid: str) -> Iterator[Attempt]:
        job, pods = self._jobs.get(uid), self._pods.get(uid, {}).values()
        if job is None:
            yield from (leftover(pod) for pod in pods if self._shuts_down(pod))
        elif (job.namespace, job.sweep) != sweep:  # a pod's labels name another sweep than its Job's owner
            return
        elif self._is_unconfirmed_for_long(uid):
            _log.warning("Job %s/%s was made, and has not been seen since", job.namespace, job.name)
            self._drop_job(job)
        else:
            yield self._answers.get(uid) or self._answer(job, list(pods))

    def _answer(self, job: JobRecord, pods: list[PodRecord]) -> Attempt:
        found, why = attempt(job, pods), self._explained.get(job.uid)
        found = replace(found, usage=(*self._used.get(job.uid, ()), *found.usage))
        if why is not None and found.phase is Phase.PENDING and found.reason == Reason.STARTING:
            found = replace(found, reason=why.reason, message=why.message)
        self._answers[job.uid] = found
        return found

    def _shuts_down(self, pod: PodRecord) -> bool:
        late = pod.leaves is not None and self._clock() > pod.leaves + SHUTDOWN
        return pod.phase in ("Pending", "Running") and not late

    def _is_unconfirmed_for_long(self, uid: str) -> bool:
        since = self._unconfirmed.get(uid)
        return since is not None and self._clock() - since > CONFIRMED_WITHIN and self.problem is None

    # ---- what waits without saying why -------------------------------------------------------------------------------

    def starting(self) -> Iterator[tuple[JobRecord, PodRecord | None, float]]:
        """Jobs that wait for nothing that their own records could tell, their pod if they have one, and since when."""
        for job in self._jobs.values():
            if job.complete or job.failed or job.suspended:
                continue
            pods = self._pods.get(job.uid, {})
            found = attempt(job, list(pods.values()))
            if found.phase is Phase.PENDING and found.reason == Reason.STARTING:
                pod = next((pod for pod in pods.values() if pod.name == found.where), None)
                yield job, pod, found.waiting_since or found.created

    def explain(self, uid: str, why: Explanation) -> None:
        job = self._jobs.get(uid)
        if job is not None and self._explained.get(uid) != why:
            self._explained[uid] = why
            self._answers.pop(uid, None)
            self.wake(job.sweep)

    # ---- what has changed --------------------------------------------------------------------------------------------

    def job_changed(self, _: Key, old: JobRecord | None, new: JobRecord | None) -> None:
        if old is not None and (new is None or new.uid != old.uid):
            self._drop_job(old)
        if new is not None and new.uid not in self._gone:
            self._unconfirmed.pop(new.uid, None)
            self._put_job(new)

    def pod_changed(self, _: Key, old: PodRecord | None, new: PodRecord | None) -> None:
        if old is not None and (new is None or new.uid != old.uid):
            self._drop_pod(old)
        if new is not None and new.job:
            self._pods.setdefault(new.job, {})[new.uid] = new
            self._changed((new.namespace, new.sweep), new.job)

    def _put_job(self, job: JobRecord) -> None:
        self._jobs[job.uid] = job
        self._changed((job.namespace, job.sweep), job.uid)

    def _drop_job(self, job: JobRecord) -> None:
        self._jobs.pop(job.uid, None)
        self._unconfirmed.pop(job.uid, None)
        self._used.pop(job.uid, None)
        self._gone[job.uid] = None
        if len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]
        pods = self._pods.get(job.uid, {})
        for pod in [pod for pod in pods.values() if pod.vanished]:
            del pods[pod.uid]
        self._changed((job.namespace, job.sweep), job.uid)

    def _drop_pod(self, pod: PodRecord) -> None:
        pods = self._pods.get(pod.job, {})
        pods.pop(pod.uid, None)
        if pod.job in self._jobs:
            for earlier in [earlier for earlier in pods.values() if earlier.vanished]:
                del pods[earlier.uid]  # only the last one's end can matter, and what the others used
                self._remember_usage(earlier)
            left = min(pod.leaves or math.inf, self._clock())
            self._pods.setdefault(pod.job, pods)[pod.uid] = replace(pod, vanished=True, leaves=left)
        self._changed((pod.namespace, pod.sweep), pod.job)

    def _remember_usage(self, pod: PodRecord) -> None:
        used = usage(pod, over=None)
        if used is not None:
            self._used[pod.job] = [*self._used.get(pod.job, ()), used][-REPLACED:]

    def _changed(self, sweep: Sweep, uid: str) -> None:
        """Something of a Job (or of what is left of it) is new: forget what was concluded, and wake its sweep."""
        self._answers.pop(uid, None)
        self._explained.pop(uid, None)
        if not self._pods.get(uid):
            self._pods.pop(uid, None)
        members = self._members.setdefault(sweep, set())
        if uid in self._jobs or uid in self._pods:
            members.add(uid)
        else:
            members.discard(uid)
        if not members:
            del self._members[sweep]
        self.wake(sweep[1])
