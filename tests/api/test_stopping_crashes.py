"""A sweep with early stopping whose operator is killed again and again gives what one gives that was left alone.

Both run at once, each in a namespace of its own. Their trainers log on a timeline that depends on nothing but the trial: a
point is logged when all that come before it are, so that no delay of anybody's changes what was logged, and when. By
default a small sweep; `HYPERSWEEP_CRASHES=all` runs the whole: 60 trials, 20 kills.
"""

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hypersweep.cluster.client import connect, request
from tests.api import sweeps
from tests.api.fork_server import ForkServer, Process
from tests.api.operator_process import Operator, install
from tests.api.trainers import Play, Timeline, Told, Trainers, loss
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import fresh_namespace

pytestmark = pytest.mark.api

ALL = os.environ.get("HYPERSWEEP_CRASHES") == "all"
TRIALS, KILLS, SECONDS = (60, 20, 300.0) if ALL else (18, 6, 150.0)
PARALLEL, EPOCHS = 6, 9
RULE = {"type": "ASHA", "asha": {"minBudget": 1, "reductionFactor": 3, "maxBudget": EPOCHS}, "poll": "1s"}
KEPT = ("outcome", "reason", "message", "result", "rungs", "parameters")


class Learners:
    """Curves of their own, noisy at first, on one timeline: trial i + 1 begins 1.5 epochs after trial i."""

    def __init__(self) -> None:
        times = {i: [1.6e9 + 1.5 * i + epoch for epoch in range(1, EPOCHS + 1)] for i in range(TRIALS)}
        self.timeline = Timeline(times, pause=0.03)

    def __call__(self, told: Told) -> Play:
        chance = random.Random(told.trial)
        curve = [loss(told.parameters) + chance.random() / epoch for epoch in range(1, EPOCHS + 1)]
        return Play(metrics={"loss": curve}, timeline=self.timeline)


@pytest.fixture
def namespaces(crd: ControlPlane) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [stack.enter_context(fresh_namespace(crd.kubectl, name)) for name in ("alone", "killed")]


async def _sweep(api: Any, operator: Operator, forks: ForkServer, *, kills: int) -> dict[str, Any]:
    """The status at its end. The operator is killed at times that a generator says, as often, and started again."""
    path = f"/apis/hypersweep.dev/v1alpha1/namespaces/{operator.installation.namespace}/hyperparametersweeps"
    spec: dict[str, Any] = {"trials": {"max": TRIALS, "parallel": PARALLEL}, "earlyStopping": RULE}
    document = sweeps.manifest("curves", **spec, cleanup={"succeeded": "0s", "stopped": "0s"})
    await request(api, "POST", path, body=document)
    chance, process, left = random.Random(11), None, kills
    async with asyncio.timeout(SECONDS):
        while True:
            if process is None:
                process = _start(operator, forks)
            await asyncio.sleep(chance.uniform(0.4, 2.0))
            status = (await request(api, "GET", f"{path}/curves"))["status"]
            if any(c["type"] == "Complete" and c["status"] == "True" for c in status.get("conditions", ())):
                process.kill()
                assert left == 0, f"it was over before {left} of {kills} kills"
                return dict(status)
            if left:
                process.kill()
                process, left = None, left - 1


def _start(operator: Operator, forks: ForkServer) -> Process:
    return forks.start(config=operator.configure(), environment=operator.environment, log=operator.log_file)


def _told(mlflow: str, status: dict[str, Any]) -> dict[str, Any]:
    """What the ledger says of each trial, but for when it ended; and the best."""
    runs = sweeps.trials_among(sweeps.runs_in(mlflow, status["tracking"]["experimentId"]))
    best = {key: status["best"][key] for key in ("trial", "value", "objectives", "parameters")}
    found: dict[str, Any] = {"best": best, "counts": status["trials"]}
    for index, run in runs.items():
        said = {key: run.tags.get(f"hypersweep.{key}", "") for key in KEPT}
        found[f"trial {index}"] = {**said, "result": said["result"].split('"ended"')[0]}
    return found


async def test_the_same_trials_stop_though_the_operator_is_killed(
    crd: ControlPlane, namespaces: list[str], mlflow_server: str, trainers: Trainers, tmp_path: Path
) -> None:
    """Same stops at the same rungs with the same values and reasons, same trials, same best."""
    api = await connect(str(crd.kubeconfig))
    try:
        with ForkServer() as forks:
            stories = []
            for namespace, kills in zip(namespaces, (0, KILLS), strict=True):
                installed = await asyncio.to_thread(install, crd, namespace, mlflow=mlflow_server)
                trainers.cast[namespace, "curves"] = Learners()
                stories.append(_sweep(api, Operator(installed, tmp_path), forks, kills=kills))
            alone, killed = [_told(mlflow_server, status) for status in await asyncio.gather(*stories)]
    finally:
        await api.close()
    stopped = [name for name, said in alone.items() if said.get("outcome") == "Stopped"]
    assert TRIALS / 4 < len(stopped) < TRIALS
    assert killed == alone
