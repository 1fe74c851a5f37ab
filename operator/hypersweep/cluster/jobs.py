"""The Job of an attempt: the user's template, and what the operator owns of it. Pure: no request is made here.

Owns the merge. The template's labels and annotations are kept; the sweep's own never reach a Job, or GitOps tools would
take the Job for theirs. The operator never sets a TTL (it deletes a Job once its result is in the ledger) nor `suspend`
(that is a queue's, such as Kueue). What the template leaves open in its pod is filled in by `pods.py`.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypersweep.cluster import pods
from hypersweep.core import names, template
from hypersweep.core.environment import Target, arguments, environment
from hypersweep.core.errors import SpecError
from hypersweep.core.spec import GROUP, KIND, VERSION, SweepSpec, seconds
from hypersweep.core.trial import Trial

Object = dict[str, Any]

_TRAINER_COMMAND = ("python", "-m", "hypersweep_trainer")
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"  # `kubectl logs` then needs no -c
_DISRUPTED: Object = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The sweep that a Job belongs to: the object, and its identity in the ledger."""

    name: str
    namespace: str
    uid: str
    identity: str

    def job(self, trial: int, attempt: int) -> str:
        """The name of an attempt's Job."""
        return names.job_name(sweep=self.name, identity=self.identity, trial=trial, attempt=attempt)

    def reference(self) -> Object:
        """The owner reference: deleting the sweep removes its Jobs, and never waits for them."""
        object_ = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "name": self.name, "uid": self.uid}
        return {**object_, "controller": True, "blockOwnerDeletion": False}


def manifest(*, owner: Owner, spec: SweepSpec, trial: Trial, tracking: Target, trainer_image: str) -> Object:
    """The whole batch/v1 Job of `trial.attempt` of the trial. The spec is not changed.

    Raises:
        SpecError: the template can't be one of a trial's Job; see `core/template.py`.
    """
    problems = template.problems(spec)
    if problems:
        raise SpecError(problems)
    job = copy.deepcopy(spec.job.template) if spec.job is not None else {}
    meta, job_spec = _part(job, "metadata"), _part(job, "spec")
    pod_template = _part(job_spec, "template")
    pod_meta, pod = _part(pod_template, "metadata"), _part(pod_template, "spec")

    container = _training_container(pod, spec)
    if spec.trainer is not None:
        container.setdefault("image", trainer_image)
        container.setdefault("command", [*_TRAINER_COMMAND])
    variables = environment(spec=spec, sweep=owner.name, identity=owner.identity, trial=trial, tracking=tracking)
    if spec.trainer is not None:  # a container can't ask what it was made from
        variables = {**variables, "HYPERSWEEP_IMAGE": container["image"]}
    container["env"] = _variables(variables, container.get("env") or [])
    given = [_literal(argument) for argument in arguments(spec, trial.parameters)]
    if given:
        container["args"] = [*(container.get("args") or []), *given]
    pods.fill_in(pod, [*pod["containers"], *(pod.get("initContainers") or [])])

    ours = names.labels(sweep=owner.name, uid=owner.uid, trial=trial.index, attempt=trial.attempt)
    about = {
        names.RUN_ANNOTATION: trial.run,
        names.TEMPLATE_ANNOTATION: names.template_hash(spec),
        names.CONTAINER_ANNOTATION: container["name"],
    }
    pod_meta["labels"] = {**(pod_meta.get("labels") or {}), **ours}
    pod_meta["annotations"] = {_DEFAULT_CONTAINER: container["name"], **(pod_meta.get("annotations") or {})}
    meta |= {
        "name": owner.job(trial.index, trial.attempt),
        "namespace": owner.namespace,
        "labels": {**(meta.get("labels") or {}), **ours},
        "annotations": {**(meta.get("annotations") or {}), **about},
        "ownerReferences": [owner.reference()],
    }
    return {**job, "apiVersion": "batch/v1", "kind": "Job", "spec": {**job_spec, **_owned(job_spec, spec)}}


def _owned(job_spec: Mapping[str, Any], spec: SweepSpec) -> Object:
    """What the operator says of the Job itself: one pod at a time, disruptions replaced, all else for us to judge."""
    owned: Object = {
        "backoffLimit": 0,
        "completions": 1,
        "parallelism": 1,
        "podReplacementPolicy": "Failed",  # never two pods on one checkpoint
    }
    match job_spec.get("podFailurePolicy"):
        case None:
            owned["podFailurePolicy"] = {"rules": [_DISRUPTED]}
        case {"rules": [*rules]}:
            owned["podFailurePolicy"] = {"rules": [_DISRUPTED, *rules]}  # else the API server refuses what it is
    if spec.trials.timeout is not None:
        limits = (math.ceil(seconds(spec.trials.timeout)), job_spec.get("activeDeadlineSeconds"))
        owned["activeDeadlineSeconds"] = min(limit for limit in limits if isinstance(limit, int))
    return owned


def _training_container(pod: Object, spec: SweepSpec) -> Object:
    """The container that trains: the one that is named, else the first, else the built-in trainer's own."""
    name = spec.job.container if spec.job is not None else None
    containers: list[Object] = pod.get("containers") or [{"name": name or "train"}]
    pod["containers"] = containers
    container = next(one for one in containers if name in (None, one.get("name")))
    container.setdefault("name", "train")
    return container


def _variables(ours: Mapping[str, str], theirs: list[Object]) -> list[Object]:
    """Ours first, so that theirs can refer to them as `$(HP_LR)`; of names that both may set, theirs alone."""
    set_by_them = {entry.get("name") for entry in theirs}
    mine = [{"name": name, "value": _literal(value)} for name, value in ours.items() if name not in set_by_them]
    return [*mine, *theirs]


def _literal(value: str) -> str:
    """A value that Kubernetes will not look for `$(NAME)` in."""
    return value.replace("$", "$$")


def _part(parent: Object, key: str) -> Object:
    """The object at a key, made where there is none."""
    if parent.get(key) is None:
        parent[key] = {}
    part: Object = parent[key]
    return part
