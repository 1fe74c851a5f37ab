"""`hypersweep rerun`: one trial again, exactly, here or in a cluster, and whether it came out the same.

Owns the order and what is told. Exit codes: 0 the same, 1 not the same, 2 it could not be repeated, 130 interrupted.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence

from hypersweep.controller.world import TrackingTarget
from hypersweep.core.errors import HyperSweepError
from hypersweep.core.names import template_hash
from hypersweep.core.repeat import complete, same, seeded
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Outcome, Phase, Trial
from hypersweep.local.world import LocalWorld, ignored
from hypersweep.tracking.base import KILLED
from hypersweep.tracking.client import ClientStore
from hypersweep.tracking.originals import Original, conclude, measured, original, repetition

SAME, DIFFERS, IMPOSSIBLE, INTERRUPTED = 0, 1, 2, 130
CHANGED = "this is not quite the trial's template: a value that MLflow does not hold was another one then"
WORDS = 2000  # characters of a failed trial's log that are shown


def main(given: argparse.Namespace) -> int:
    """Repeat the trial. The exit code."""
    try:
        return asyncio.run(_cancellable(given))
    except (HyperSweepError, OSError) as error:
        print(f"hypersweep: {error}", file=sys.stderr)
        return IMPOSSIBLE
    except asyncio.CancelledError:
        return INTERRUPTED


async def _cancellable(given: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    store = ClientStore(given.tracking_uri)
    try:
        await store.migrate()
        return await _repeat(given, store)
    finally:
        await store.close()


async def _repeat(given: argparse.Namespace, store: ClientStore) -> int:
    first = await original(store, given.run)
    seed = first.seed if given.seed is None else str(given.seed)
    whole = complete(first.spec, {**os.environ, **dict(given.set_env)})
    spec = seeded(whole, seed=seed, forced=given.seed is not None)
    for warning in _warnings(given, first, whole):
        print(f"note: {warning}", file=sys.stderr)
    run = (await repetition(store, first, seed=seed, now=time.time())).id
    trial = Trial(index=first.trial.index, run=run, parameters=first.trial.parameters)
    print(f"trial {trial.index} of {first.identity.sweep}, seed {seed}: run {run}")
    where = _in_cluster if given.cluster else _here
    try:
        failure = await where(given, first, spec, trial)
    except BaseException:
        await asyncio.shield(store.finish(run, status=KILLED, ended=time.time()))
        raise
    after = () if failure else (await measured(store, first, run)).values
    before = first.trial.values
    equal = same(before, after, tolerance=given.tolerance) if before or after else bool(failure)
    await conclude(store, first, run, ok=not failure, same=equal, now=time.time())
    _tell(first, after, failure, equal=equal)
    return SAME if equal else DIFFERS


async def _here(given: argparse.Namespace, first: Original, spec: SweepSpec, trial: Trial) -> str:
    """As a process. Empty when it succeeded, else its last words."""
    ended, name = asyncio.Event(), _name(trial)
    world = LocalWorld(
        spec=lambda: spec,
        name=name,
        search=first.identity.search,
        folder=given.folder / name,
        wake=ended.set,
        report=lambda _status, _events: None,
    )
    try:
        await world.check()
        await world.launch(trial, tracking=TrackingTarget(uri=given.tracking_uri, experiment=first.run.experiment))
        await ended.wait()
        (attempt,) = world.attempts()
        print(f"log: {attempt.where}")
        return "" if attempt.phase is Phase.SUCCEEDED else f"{attempt.reason}: {attempt.message[-WORDS:]}"
    finally:
        await world.close()


async def _in_cluster(given: argparse.Namespace, first: Original, spec: SweepSpec, trial: Trial) -> str:
    """As a Job. Empty when it succeeded, else why not."""
    from hypersweep.cluster.client import connect  # noqa: PLC0415  (the cluster's libraries, for this alone)
    from hypersweep.cluster.repetition import followed, job  # noqa: PLC0415

    namespace = given.namespace or first.identity.sweep.rpartition("/")[0]
    if not namespace:
        raise HyperSweepError(f"the sweep {first.identity.sweep} is of no namespace: give --namespace")
    uri = given.trial_tracking_uri or given.tracking_uri
    tracking = TrackingTarget(uri=uri, experiment=first.run.experiment)
    made = job(name=_name(trial), namespace=namespace, spec=spec, trial=trial, tracking=tracking, image=first.image)
    api = await connect()
    try:
        print(f"Job {namespace}/{made['metadata']['name']}")
        return await followed(api, made, seconds=given.timeout)
    finally:
        await api.close()


def _name(trial: Trial) -> str:
    return f"rerun-{trial.run[:12]}"


def _warnings(given: argparse.Namespace, first: Original, spec: SweepSpec) -> Sequence[str]:
    changed = template_hash(spec) != first.template
    return [*([CHANGED] if changed else []), *_left_aside(given, first, spec)]


def _left_aside(given: argparse.Namespace, first: Original, spec: SweepSpec) -> Sequence[str]:
    if not given.cluster:
        told = [f"what is installed here runs, not the image {first.image}"] if first.image else []
        left = [part for part in ignored(spec) if part != "container image"]
        return told + ([f"on this machine these are left aside: {', '.join(left)}"] if left else [])
    if "@sha256:" not in first.image:
        return [f"the image {first.image or '(none recorded)'} has no digest: it may be another one by now"]
    return []


def _tell(first: Original, after: Sequence[float], failure: str, *, equal: bool) -> None:
    metrics = [o.metric for o in first.spec.objectives]
    before = first.trial.values
    if before and after:
        for metric, a, b in zip(metrics, before, after, strict=False):
            print(f"{metric}: {a!r} then, {b!r} now" + ("" if a == b else f" (differs by {b - a:.6g})"))
    else:
        print(f"then: {_ended(first, before)}; now: {failure or (list(after) or 'no value of the objective')}")
    print("the same" if equal else "not the same")


def _ended(first: Original, before: Sequence[float]) -> str:
    trial = first.trial
    return (
        f"{trial.outcome} {list(before)}" if trial.outcome is Outcome.SUCCEEDED else f"{trial.outcome}, {trial.reason}"
    )
