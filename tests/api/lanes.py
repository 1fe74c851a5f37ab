"""Lanes: namespaces in which sweeps are run one after the other, by an operator whose writes go wrong.

Owns the operator behind its two gates, which is started again whenever it is dead (as the kubelet would), and what must be
the same at the end of every sweep, whatever went wrong on the way. Which writes go wrong is a `Trouble`'s to say.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kubernetes.aio.client import ApiClient

from hypersweep.cluster.client import request
from tests.api import sweeps
from tests.api.fork_server import ForkServer, Process
from tests.api.gate import Fault, Gate, Request, gate, through
from tests.api.operator_process import Operator, install
from tests.api.trainers import Play, Told, Trainers, loss
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kwok import scenario

TRIALS, PARALLEL, SEED = 6, 3, 7


def quick(told: Told) -> Play:
    """A trainer that is done at once."""
    return Play(metrics={"loss": [loss(told.parameters)]}, ends=scenario("succeed", duration="10ms"))


def is_event(write: Request) -> bool:
    """Events are a courtesy to people: what becomes of them is told apart."""
    return "/events" in write.path


@dataclass
class Trouble:
    """Counts the writes of one sweep as they pass the gates, and says which of them go wrong.

    `pick` is asked for each write, with its number among the writes (or among the Events) so far.
    """

    pick: Callable[[Request, int], Fault | None] = lambda *_: None
    writes: list[str] = field(default_factory=list)  # kinds, in order
    events: list[str] = field(default_factory=list)
    struck: list[tuple[Fault, str]] = field(default_factory=list)

    def __call__(self, write: Request) -> Fault | None:
        passed = self.events if is_event(write) else self.writes
        passed.append(write.kind)
        fault = self.pick(write, len(passed))
        if fault is not None:
            self.struck.append((fault, write.kind))
        return fault


@dataclass
class Lane:
    """A namespace with an operator behind gates."""

    api: ApiClient  # the administrator's
    operator: Operator
    forks: ForkServer
    gates: Sequence[Gate]
    trainers: Trainers
    mlflow: str
    process: Process | None = None

    @property
    def namespace(self) -> str:
        return self.operator.installation.namespace

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()

    async def run(self, name: str, trouble: Trouble, *, seconds: float) -> dict[str, Any]:
        """A sweep, from its creation until it is complete and cleaned up; how it ended, see `_outcome`.

        Raises:
            AssertionError: it was not over in time, or a trial has two runs.
        """
        self.trainers.cast[self.namespace, name] = quick
        for one in self.gates:
            one.kill, one.on_write = self.kill, _of(name, trouble)
        path = f"/apis/hypersweep.dev/v1alpha1/namespaces/{self.namespace}/hyperparametersweeps"
        spec: dict[str, Any] = {"trials": {"max": TRIALS, "parallel": PARALLEL}, "cleanup": {"succeeded": "0s"}}
        document = sweeps.manifest(name, strategy={"name": "Random", "seed": SEED}, **spec)
        await request(self.api, "POST", path, body=document)
        try:
            async with asyncio.timeout(seconds):
                status = await self._over(f"{path}/{name}")
        except TimeoutError:
            found = (await request(self.api, "GET", f"{path}/{name}"))["status"]
            said = self.operator.log[-4000:]
            raise AssertionError(f"{name} is not over: {found}\nstruck: {trouble.struck}\nlog:\n{said}") from None
        await request(self.api, "DELETE", f"{path}/{name}")
        return await self._outcome(name, status)

    async def _over(self, path: str) -> dict[str, Any]:
        """The status once the sweep is complete and its Jobs are gone; the operator is started whenever it is dead."""
        while True:
            if self.process is None or not self.process.runs:
                self._start()
            body = await request(self.api, "GET", path)
            if any(c["type"] == "Complete" and c["status"] == "True" for c in body["status"].get("conditions", [])):
                query = {"labelSelector": f"hypersweep.dev/sweep={body['metadata']['name']}"}
                jobs = await request(self.api, "GET", f"/apis/batch/v1/namespaces/{self.namespace}/jobs", query=query)
                if not jobs["items"]:
                    return dict(body["status"])
            await asyncio.sleep(0.15)

    def _start(self) -> None:
        """As the kubelet restarts a container: in the same pod."""
        told = self.operator
        self.process = self.forks.start(config=told.configure(), environment=told.environment, log=told.log_file)

    async def _outcome(self, name: str, status: dict[str, Any]) -> dict[str, Any]:
        """Trials, attempts, results, parent run, counts and best: all that an undisturbed sweep has the same."""
        all_runs = await asyncio.to_thread(sweeps.runs_in, self.mlflow, status["tracking"]["experimentId"])
        found, told = sweeps.trials_among(all_runs), self.trainers.of(self.namespace, name)
        assert {index: run.id for index, run in found.items()} == {one.trial: one.run for one in told}
        return {
            "attempts": sorted((one.trial, one.attempt) for one in told),
            "trials": {index: json.loads(run.tags["hypersweep.parameters"]) for index, run in found.items()},
            "results": {index: (run.status, run.outcome, run.metrics, run.params) for index, run in found.items()},
            "parents": [(run.status, run.metrics) for run in sweeps.parents_among(all_runs)],
            "counts": status["trials"],
            "best": {key: status["best"][key] for key in ("trial", "value", "objectives", "parameters")},
            "top": [entry["trial"] for entry in status["top"]],
        }


def _of(sweep: str, trouble: Trouble) -> Callable[[Request], Fault | None]:
    """The trouble, for this sweep's writes alone; all in the ledger are, since a finished sweep writes nothing there."""

    def on_write(write: Request) -> Fault | None:
        mine = "/mlflow/" in write.path or f'"{sweep}"' in write.body or f"/{sweep}" in write.path
        return trouble(write) if mine else None

    return on_write


@asynccontextmanager
async def lane(
    plane: ControlPlane,
    namespace: str,
    *,
    api: ApiClient,
    mlflow: str,
    forks: ForkServer,
    trainers: Trainers,
    folder: Path,
) -> AsyncIterator[Lane]:
    """A lane in a namespace that exists; its operator is started by the first sweep."""
    async with gate(plane.server, ca=plane.state / "pki" / "ca.crt") as front, gate(mlflow) as back:
        installed = await asyncio.to_thread(install, plane, namespace, mlflow=mlflow)
        server = {"name": "default", "uri": back.uri, "trialUri": mlflow}
        config = {**installed.config, "trackingServers": [server]}
        behind = replace(installed, kubeconfig=through(installed.kubeconfig, front.uri), config=config)
        it = Lane(api, Operator(behind, folder), forks, (front, back), trainers, mlflow)
        try:
            yield it
        finally:
            it.kill()
