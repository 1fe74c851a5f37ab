"""One Job that repeats a trial: made with the user's own rights, followed to its end, and removed.

It belongs to no sweep (no owner reference, none of the labels by which an operator knows its Jobs), so that no operator counts,
waits for or deletes it. Its checkpoints are its own: HYPERSWEEP_SWEEP is the Job's name.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from kubernetes.aio.client import ApiClient

from hypersweep.cluster.client import ApiError, request
from hypersweep.cluster.jobs import Owner, manifest
from hypersweep.core import names
from hypersweep.core.environment import Target
from hypersweep.core.spec import GROUP, SweepSpec
from hypersweep.core.trial import Trial

log = logging.getLogger(__name__)

LABEL = f"{GROUP}/rerun"
EVERY = 2.0  # seconds between two looks
PATIENCE = 300.0  # seconds without an answer from the API server, before it is given up


def job(*, name: str, namespace: str, spec: SweepSpec, trial: Trial, tracking: Target, image: str) -> dict[str, Any]:
    """The Job that the operator would make of this trial, as nobody's. `image`: of the built-in trainer."""
    owner = Owner(name=name, namespace=namespace, uid="", identity="")
    made = manifest(owner=owner, spec=spec, trial=trial, tracking=tracking, trainer_image=image)
    ours = names.labels(sweep=name, uid="", trial=0, attempt=0)
    for meta in (made["metadata"], made["spec"]["template"]["metadata"]):
        meta["labels"] = {k: v for k, v in meta["labels"].items() if k not in ours} | {LABEL: name}
    del made["metadata"]["ownerReferences"]
    made["metadata"]["name"] = name
    return made


async def followed(api: ApiClient, made: Mapping[str, Any], *, seconds: float) -> str:
    """Make the Job, wait for its end, remove it. Empty when it succeeded, else why not. ApiError: it cannot be made."""
    jobs = f"/apis/batch/v1/namespaces/{made['metadata']['namespace']}/jobs"
    place = f"{jobs}/{made['metadata']['name']}"
    try:
        await request(api, "POST", jobs, query={"fieldValidation": "Strict"}, body=made)
        async with asyncio.timeout(seconds):
            return await _end(api, place)
    except TimeoutError:
        return f"it did not end within {seconds:g} s"
    finally:
        await asyncio.shield(_remove(api, place))


async def _end(api: ApiClient, place: str) -> str:
    silent = 0.0
    while True:
        try:
            found = await request(api, "GET", place)
        except ApiError as error:
            silent += EVERY
            if not error.is_transient or silent > PATIENCE:
                raise
        else:
            silent = 0.0
            for condition in (found.get("status") or {}).get("conditions") or []:
                if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
                    told = f"{condition.get('reason', '')}: {condition.get('message', '')}"
                    return "" if condition["type"] == "Complete" else told
        await asyncio.sleep(EVERY)


async def _remove(api: ApiClient, place: str) -> None:
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    try:
        await request(api, "DELETE", place, body=options)
    except ApiError as error:
        if not error.not_found:
            log.warning("the Job is left behind (%s): kubectl delete %s", error, place)
