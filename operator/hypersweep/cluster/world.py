"""The world of a cluster: an attempt is a Job. Implements the controller's World protocol for one sweep.

Owns the requests that a loop causes, and what their answers mean to it. Each is idempotent: a Job's name is a function
of what it is for, so that "exists already" means "done" if the one there is ours. Reads Jobs from the cache only;
decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from kubernetes.aio.client import ApiClient

from hypersweep.cluster.cache import JobCache
from hypersweep.cluster.client import APPLY_PATCH, ApiError, request
from hypersweep.cluster.events import Announcer, Told
from hypersweep.cluster.jobs import Owner, manifest
from hypersweep.cluster.records import JobRecord, job_record
from hypersweep.core.environment import Target
from hypersweep.core.errors import LaunchConflict, LaunchDelayed, LaunchError, LaunchRefused, SpecError
from hypersweep.core.names import CONTAINER_ANNOTATION
from hypersweep.core.spec import GROUP, KIND, PLURAL, VERSION, Parameter, SweepSpec
from hypersweep.core.strategies import initial
from hypersweep.core.trial import Assignment, Attempt, Trial, Value

FIELD_MANAGER = "hypersweep"

# Refusals that do not mean that the Job is bad: they pass, or an administrator mends them.
_PASSING = ("exceeded quota", "is being terminated", "cannot create resource")


class Identified(Protocol):
    """The sweep's identity in the ledger, of which Jobs carry the hash of the search."""

    @property
    def search(self) -> str: ...


class Host(Protocol):
    """The sweep that this world belongs to: its newest copy, and who is to know a newer one."""

    @property
    def body(self) -> Mapping[str, Any]: ...

    @property
    def spec(self) -> SweepSpec: ...

    def identity(self, spec: SweepSpec) -> Identified: ...

    def see(self, body: Mapping[str, Any]) -> bool:
        """Keep this newer copy. True when its generation is new."""
        ...


@dataclass(frozen=True)
class _Nowhere:
    """Where the Job of a dry run logs to."""

    uri: str = "http://localhost"
    experiment: str = "0"


class ClusterWorld:
    """Attempts as Jobs of one namespace."""

    def __init__(self, api: ApiClient, *, cache: JobCache, host: Host, trainer_image: str) -> None:
        """`trainer_image` is the built-in trainer's, for sweeps whose template names none."""
        self._api, self._cache, self._host, self._trainer_image = api, cache, host, trainer_image
        meta = host.body["metadata"]
        self._namespace, self._name, self._uid = meta["namespace"], meta["name"], meta["uid"]
        self._sweep = (self._namespace, self._uid)
        self._jobs = f"/apis/batch/v1/namespaces/{self._namespace}/jobs"
        self._object = f"/apis/{GROUP}/{VERSION}/namespaces/{self._namespace}/{PLURAL}/{self._name}"
        kind = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND}
        self._announcer = Announcer(
            api, regarding={**kind, "namespace": self._namespace, "name": self._name, "uid": self._uid}
        )
        self._written: tuple[Mapping[str, Any], Any] = ({}, None)  # the status last sent, and what became of it

    def attempts(self) -> Sequence[Attempt]:
        """Every attempt of this sweep that exists now, from a cache."""
        return self._cache.attempts(self._sweep)

    # ---- Jobs --------------------------------------------------------------------------------------------------------

    def image(self) -> str:
        """The image of the container that trains, as the template names it now. LaunchRefused: see `check`."""
        spec = self._host.spec
        job = self._manifest(Trial(index=0, run="", parameters=placeholders(spec)), _Nowhere())
        trains = job["metadata"]["annotations"][CONTAINER_ANNOTATION]
        containers = job["spec"]["template"]["spec"]["containers"]
        return str(next(c.get("image", "") for c in containers if c["name"] == trains))

    async def check(self) -> None:
        """Try the Job of trial 0 on the API server, strictly and without making it.

        Raises:
            LaunchRefused: it could never be made; the message is the API server's.
            LaunchDelayed: the API server could not say.
        """
        trial = Trial(index=0, run="0" * 32, parameters=placeholders(self._host.spec), attempt=0)
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        try:
            await request(self._api, "POST", self._jobs, query=query, body=self._manifest(trial, _Nowhere()))
        except ApiError as error:
            if error.already_exists or "exceeded quota" in error.message:
                return  # told after everything else was found good
            raise launch_error(error) from error

    async def launch(self, trial: Trial, *, tracking: Target) -> None:
        """Make the Job of `trial.attempt`, or find it made.

        Raises:
            LaunchRefused: the API server will never take it.
            LaunchConflict: another Job, not this attempt's, has its name.
            LaunchDelayed: not now.
        """
        job = self._manifest(trial, tracking)
        try:
            made = await request(self._api, "POST", self._jobs, body=job)
        except ApiError as error:
            if not error.already_exists:
                raise launch_error(error) from error
            made = await self._found(job["metadata"]["name"], trial)
        self._cache.insert(made)

    async def remove(self, attempt: Attempt) -> None:
        """Delete the attempt's Job, and with it its pods; gone already is success. ApiError: try again."""
        job = self._cache.job(self._sweep, attempt.trial, attempt.number)
        if job is not None:
            await self._delete(job)

    def _manifest(self, trial: Trial, tracking: Target) -> dict[str, Any]:
        try:
            spec = self._host.spec
            identity = self._host.identity(spec).search
            owner = Owner(name=self._name, namespace=self._namespace, uid=self._uid, identity=identity)
            return manifest(owner=owner, spec=spec, trial=trial, tracking=tracking, trainer_image=self._trainer_image)
        except SpecError as error:
            raise LaunchRefused(str(error)) from error

    async def _found(self, name: str, trial: Trial) -> Mapping[str, Any]:
        """The Job that has the name already, if it is this attempt's."""
        try:
            there: Mapping[str, Any] = await request(self._api, "GET", f"{self._jobs}/{name}")
        except ApiError as error:
            if error.not_found:
                raise LaunchDelayed(f"Job {name} has just gone") from error
            raise launch_error(error) from error
        record = job_record(there)
        if there["metadata"].get("deletionTimestamp"):
            raise LaunchDelayed(f"Job {name} is being deleted")
        if record is None or record.sweep != self._uid:
            raise LaunchConflict(f"Job {name} exists already, and belongs to {_owner_of(there)}")
        if (record.trial, record.attempt, record.run) == (trial.index, trial.attempt, trial.run):
            return there
        if record.complete or record.failed:  # of a run that this trial had before: its result counts no more
            await self._delete(record)
            raise LaunchDelayed(f"Job {name}, of run {record.run}, is being deleted")
        raise LaunchConflict(f"Job {name} exists already, and logs to run {record.run}, not {trial.run}")

    async def _delete(self, job: JobRecord) -> None:
        options = {"propagationPolicy": "Background", "preconditions": {"uid": job.uid}}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        try:
            answer = await request(self._api, "DELETE", f"{self._jobs}/{job.name}", body=body)
        except ApiError as error:
            if not (error.not_found or error.is_conflict):  # a conflict: the name is another Job's by now
                raise
            self._cache.forget(job.uid)
        else:
            if answer.get("kind") == "Status":  # else finalizers hold it: the informer will tell
                self._cache.forget(job.uid)

    # ---- the sweep itself --------------------------------------------------------------------------------------------

    async def report(self, status: Mapping[str, Any], events: Sequence[Told]) -> None:
        """Write the status if it changed, then tell the events.

        Raises:
            ApiError: the status was not written, and so no event told; `not_found` when the object is gone.
        """
        there = self._host.body.get("status")
        if status != there and self._written != (status, there):
            try:
                await self._apply(status)
            except ApiError as error:
                if not error.is_conflict:
                    raise
                await self._look_again()
                await self._apply(status)
        await self._announcer.tell(events)

    async def _apply(self, status: Mapping[str, Any]) -> None:
        """Server-side apply: what we no longer say goes away. The version guards against a namesake of another UID."""
        version = self._host.body["metadata"]["resourceVersion"]
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": {"name": self._name, "namespace": self._namespace, "resourceVersion": version},
            "status": status,
        }
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        path = f"{self._object}/status"
        answer = await request(self._api, "PATCH", path, query=query, body=body, content_type=APPLY_PATCH)
        self._written = (status, answer.get("status"))
        self._see(answer)

    async def _look_again(self) -> None:
        """Someone wrote to the object since: take that in."""
        fresh = await request(self._api, "GET", self._object)
        if fresh["metadata"]["uid"] != self._uid:
            raise ApiError(HTTPStatus.NOT_FOUND, "NotFound", f"{self._name} is another object now")
        self._see(fresh)

    def _see(self, body: Mapping[str, Any]) -> None:
        if self._host.see(body):
            self._cache.wake(self._uid)  # or the loop would learn of the edit only when it looks again anyway


def launch_error(error: ApiError) -> LaunchError:
    """What it means for a launch that the API server did not make the Job."""
    passes = error.is_transient or error.is_conflict or error.not_found or error.status == HTTPStatus.UNAUTHORIZED
    if passes or (error.status == HTTPStatus.FORBIDDEN and any(words in error.message for words in _PASSING)):
        return LaunchDelayed(error.message or str(error))
    return LaunchRefused(error.message or str(error))


def placeholders(spec: SweepSpec) -> Assignment:
    """Values that stand for trial 0's in a dry run: of the first initial trial, else the first of each parameter."""
    if spec.initial_trials:
        return initial.assignments(spec)[0]
    return {parameter.name: _first(parameter) for parameter in spec.parameters if not parameter.when}


def _first(parameter: Parameter) -> Value:
    if parameter.type == "Boolean":
        return False
    for values in (parameter.values, parameter.numbers):
        if values:
            return values[0]
    return parameter.min or 0.0


def _owner_of(document: Mapping[str, Any]) -> str:
    owners = document["metadata"].get("ownerReferences") or ()
    return ", ".join(f"{owner['kind']} {owner['name']} ({owner['uid']})" for owner in owners) or "nobody"
