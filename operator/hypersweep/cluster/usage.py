"""From when to when a pod held its resources, as its record shows. Pure.

A pod holds what it requests from the moment a node is found for it: a GPU whose image is being pulled is nobody else's.
It lets go when its last container has ended.
"""

from hypersweep.cluster.records import PodRecord
from hypersweep.core.resources import Usage


def usage(pod: PodRecord, *, over: float | None) -> Usage | None:
    """What the pod has used; None of one that never had a node, or requests nothing. `over`: when its attempt ended."""
    since = (pod.scheduled.since if pod.scheduled else None) or pod.started
    if since is None or not pod.requests:
        return None
    return Usage(id=pod.uid.partition("-")[0], amounts=pod.requests, since=since, until=_until(pod, over))


def _until(pod: PodRecord, over: float | None) -> float | None:
    """None: it goes on. One that was evicted, or whose node was lost, may never have shown its containers' end."""
    if pod.phase in ("Succeeded", "Failed"):
        ends = [container.ended for container in pod.containers if container.ended is not None]
        return max(ends) if ends else (pod.disrupted.since if pod.disrupted else None) or pod.leaves or over
    return pod.leaves if pod.vanished else over
