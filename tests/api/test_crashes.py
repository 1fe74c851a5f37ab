"""kill -9 before and after every write of a sweep, and every write's answer lost: nothing is lost, nothing is done twice.

In one form, each write of one sweep goes wrong once, one after the other. In the other, a sweep is run again and again, and a
single write goes wrong, each time another: `HYPERSWEEP_CRASHES=all` runs these for every write, else some are picked evenly.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from hypersweep.cluster.client import connect
from tests.api.fork_server import ForkServer
from tests.api.gate import Fault, Request
from tests.api.lanes import TRIALS, Lane, Trouble, is_event, lane
from tests.api.trainers import Trainers
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import fresh_namespace

pytestmark = pytest.mark.api

FAULTS: tuple[Fault, ...] = get_args(Fault)
LANES = 3  # sweeps at a time
SECONDS, MANY = 90.0, 240.0  # for a sweep with one fault, and with one at each write, on a busy machine
PICKED = 7  # every so many of the single faults are tried by default; no multiple of the number of kinds of fault
ALL = os.environ.get("HYPERSWEEP_CRASHES") == "all"

KINDS = {
    "experiments/create",
    "runs/create",
    "runs/update",
    "runs/log-batch",
    "create jobs",
    "delete jobs",
    "patch hyperparametersweeps/status",
}
"""Every kind of write that a sweep consists of."""


@dataclass(frozen=True)
class Single:
    """One write (or Event) of a sweep, by its number, and how it goes wrong."""

    fault: Fault
    event: bool
    number: int

    @property
    def name(self) -> str:
        return f"{'event' if self.event else 'write'}-{self.number}-{self.fault.replace(' ', '-')}"

    def pick(self, write: Request, number: int) -> Fault | None:
        return self.fault if (is_event(write), number) == (self.event, self.number) else None


class Each:
    """Every write goes wrong once: the first time that it is tried."""

    def __init__(self, fault: Fault) -> None:
        self.fault, self._seen = fault, set[tuple[str, ...]]()

    def pick(self, write: Request, number: int) -> Fault | None:
        key = what(write)
        if key in self._seen:
            return None
        self._seen.add(key)
        return self.fault


def what(write: Request) -> tuple[str, ...]:
    """What a write is about, the same when it is tried again."""
    body: dict[str, Any] = json.loads(write.body or "{}")
    tags = {tag["key"]: tag["value"] for tag in body.get("tags", ())}
    about: tuple[str, ...]
    match write.kind:
        case "runs/create":
            about = (tags.get("hypersweep.trial", "the sweep's own"),)
        case "runs/update" | "runs/log-batch":
            about = (body["run_id"], body.get("status", ""), *sorted(tags))
        case "create jobs":
            about = (body["metadata"]["name"],)
        case "patch hyperparametersweeps/status":
            about = (body["status"]["phase"], body["status"].get("progress", ""))
        case _:
            about = (write.path,)
    return (write.kind, *about)


@pytest.fixture
def namespaces(crd: ControlPlane) -> Iterator[list[str]]:
    """A namespace for each lane."""
    with ExitStack() as stack:
        yield [stack.enter_context(fresh_namespace(crd.kubectl, f"lane-{n}")) for n in range(LANES)]


@pytest.fixture
async def lanes(
    crd: ControlPlane, namespaces: list[str], mlflow_server: str, trainers: Trainers, tmp_path: Path
) -> AsyncIterator[list[Lane]]:
    async with AsyncExitStack() as stack:
        api = await connect(str(crd.kubeconfig))
        stack.push_async_callback(api.close)
        forks = stack.enter_context(ForkServer())
        parts = {"api": api, "mlflow": mlflow_server, "forks": forks, "trainers": trainers, "folder": tmp_path}
        yield [await stack.enter_async_context(lane(crd, name, **parts)) for name in namespaces]


async def undisturbed(one: Lane) -> tuple[Trouble, dict[str, Any]]:
    """What a sweep consists of, and how it ends, when nothing goes wrong."""
    trouble = Trouble()
    expected = await one.run("undisturbed", trouble, seconds=SECONDS)
    assert expected["attempts"] == [(index, 1) for index in range(TRIALS)]
    assert set(trouble.writes) == KINDS
    return trouble, expected


async def test_each_write_of_one_sweep_goes_wrong_once(lanes: list[Lane]) -> None:
    """The operator is killed at each of its writes in turn, or hears of none: same trials, runs, results and best."""
    _, expected = await undisturbed(lanes[0])

    async def suffer(one: Lane, fault: Fault) -> None:
        trouble = Trouble(Each(fault).pick)
        found = await one.run(f"each-{fault.replace(' ', '-')}", trouble, seconds=MANY)
        assert found == expected, fault
        assert {kind for _, kind in trouble.struck} >= KINDS
        assert sum(kind == "create jobs" for _, kind in trouble.struck) == TRIALS

    async with asyncio.TaskGroup() as group:
        for one, fault in zip(lanes, FAULTS, strict=True):
            group.create_task(suffer(one, fault))


async def test_a_single_write_goes_wrong(lanes: list[Lane]) -> None:
    """Whichever it is: same trials, runs, results and best. By default some writes, picked evenly."""
    trouble, expected = await undisturbed(lanes[0])
    every = [
        Single(fault, event, number)
        for event, passed in ((False, trouble.writes), (True, trouble.events))
        for number in range(1, len(passed) + 1)
        for fault in FAULTS
    ]
    todo = iter(every if ALL else every[::PICKED])
    missed: list[str] = []

    async def work(one: Lane) -> None:
        for case in todo:
            trouble = Trouble(case.pick)
            found = await one.run(case.name, trouble, seconds=SECONDS)
            assert found == expected, f"{case}: {trouble.struck}"
            if not trouble.struck:
                missed.append(case.name)

    async with asyncio.TaskGroup() as group:
        for one in lanes:
            group.create_task(work(one))
    assert len(missed) <= 3 * len(FAULTS), f"how many writes there are depends on the clock, but not so much: {missed}"


@pytest.mark.skipif(
    not ALL, reason=f"{PICKED - 1} of {PICKED} single faults; HYPERSWEEP_CRASHES=all runs all, 10 minutes"
)
def test_every_single_fault_was_tried() -> None:
    """Says in the summary what the test above left out."""
