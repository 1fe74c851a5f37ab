"""Who plays the trainer: simulated nodes run no code, so this logs to MLflow in the pods' stead, and then ends them.

A pod takes part if its annotations say so (`PLAYED`): kwok holds it Running until the play is over. The play is told
what a container would see in its environment, its metrics go to the run named there by MLflow's REST API, and only
then is the pod annotated with how it ends. While MLflow is down, the play waits, as a patient trainer would.
"""

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

from hypersweep.cluster.client import MERGE_PATCH, ApiError, connect, request
from hypersweep.cluster.informer import Informer
from hypersweep.core.names import SWEEP_LABEL
from hypersweep.tracking.wire import number_to_wire
from tests.cluster.kwok import PREFIX, scenario
from tests.cluster_unit.waiting import until

PLAYED = {PREFIX + "trainer": "played", **scenario("hold")}
"""Annotations of a pod whose trainer is played."""

PAUSE = 0.3  # seconds between two tries while something is down


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a trainer is told, by its environment."""

    namespace: str
    sweep: str
    trial: int
    attempt: int
    parameters: Mapping[str, Any]
    run: str
    uri: str
    pod: str
    uid: str
    environment: Mapping[str, str] = field(repr=False)


class Timeline:
    """When each point of each trial is logged, in a time of its own. A point has its turn when all earlier ones are logged, or
    their trials over: so what is logged, and when, depends on nothing that anybody does in the meantime.

    It must fit the sweep: with `trials.parallel` P, trial i + P has no point before the last of trial i.
    """

    def __init__(self, times: Mapping[int, Sequence[float]], *, pause: float) -> None:
        """`times`: of the points of each trial, in seconds since the epoch; `pause`: real seconds between two points."""
        self._left = {trial: list(its) for trial, its in times.items()}
        self._pause = pause
        self._moved = asyncio.Event()

    async def turn(self, trial: int) -> float:
        """Wait for the turn of a trial's next point; its time."""
        while min((its[0], index) for index, its in self._left.items() if its)[1] != trial:
            self._moved.clear()
            await self._moved.wait()
        await asyncio.sleep(self._pause)
        return self._left[trial][0]

    def logged(self, trial: int) -> None:
        """It was logged."""
        self._left[trial].pop(0)
        self._moved.set()

    def over(self, trial: int) -> None:
        """The trial logs no more."""
        self._left[trial].clear()
        self._moved.set()


@dataclass(frozen=True, kw_only=True)
class Play:
    """What it does: metrics, params and tags to log, then how the pod ends (None: it goes on until someone else ends it)."""

    metrics: Mapping[str, Sequence[float]] = field(default_factory=dict)  # each a curve, one point a step
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    timeline: Timeline | None = None  # None: all points are logged at once, now
    ends: Mapping[str, str] | None = field(default_factory=lambda: scenario("succeed", duration="50ms"))


Role = Callable[[Told], Play]


def loss(parameters: Mapping[str, Any]) -> float:
    """The objective of most tests: best at x = 0.3, side = a."""
    return float(math.fabs(parameters["x"] - 0.3) + (parameters.get("side") == "b"))


def learn(told: Told) -> Play:
    """A loss that falls to what the parameters allow."""
    end = loss(told.parameters)
    return Play(metrics={"loss": [end + 2, end + 1, end]})


def crash(message: str, *, code: int = 1, reason: str = "Error") -> Play:
    """It logs nothing, and fails with these last words."""
    return Play(ends=scenario("fail", duration="50ms", exit_code=str(code), reason=reason, message=message))


def hold(told: Told) -> Play:
    """It logs its objective and trains on, until it is deleted."""
    return Play(metrics={"loss": [loss(told.parameters)]}, ends=None)


class Trainers:
    """Plays in all namespaces, in a thread of its own. `cast` says who plays otherwise than `learn`: by (namespace, sweep)."""

    def __init__(self, kubeconfig: Path) -> None:
        self.cast: dict[tuple[str, str], Role] = {}
        self.played: list[Told] = []  # in the order in which they began
        self._kubeconfig = kubeconfig
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="trainers", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._failed: list[BaseException] = []
        self._begun: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        if self._failed:
            raise self._failed[0]

    def of(self, namespace: str, sweep: str) -> list[Told]:
        """The attempts of a sweep that have begun, one for each pod."""
        return [told for told in list(self.played) if (told.namespace, told.sweep) == (namespace, sweep)]

    # ---- in the thread -----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._api = await connect(str(self._kubeconfig))
        pods = Informer(self._api, path="/api/v1/pods", slim=_told, on_change=self._changed, label_selector=SWEEP_LABEL)
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as self._mlflow:
                watching = asyncio.create_task(pods.run())
                await self._stop.wait()
                tasks = [watching, *self._tasks.values()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await self._api.close()
            connections = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]
            await until(
                lambda: all(connection._sock is None for connection in list(connections.values())),
                what="TLS connections to close, which takes another round trip",
            )

    def _changed(self, _: Any, old: Told | None, told: Told | None) -> None:
        """A pod runs: its play begins. It runs no more: whatever it was about to do does not happen."""
        if old is not None and (told is None or told.uid != old.uid) and old.uid in self._tasks:
            self._tasks[old.uid].cancel()
        if told is None or told.uid in self._begun:
            return
        self._begun.add(told.uid)
        self.played.append(told)
        task = self._tasks[told.uid] = asyncio.create_task(self._play(told))
        task.add_done_callback(lambda _: self._tasks.pop(told.uid, None))

    async def _play(self, told: Told) -> None:
        try:
            play = self.cast.get((told.namespace, told.sweep), learn)(told)
            if play.timeline is not None:
                await self._log_in_turn(told, play, play.timeline)
            elif play.metrics or play.params or play.tags:
                await self._log(told, play)
            if play.ends is not None:
                await self._end(told, play.ends)
        except Exception as error:  # noqa: BLE001  (shown when the tests end)
            self._failed.append(error)

    async def _log_in_turn(self, told: Told, play: Play, timeline: Timeline) -> None:
        """Point by point. A trial that is ended on the way lets the others pass."""
        try:
            for step, values in enumerate(zip(*play.metrics.values(), strict=True), start=1):
                when = await timeline.turn(told.trial)
                points = [
                    {"key": key, "value": number_to_wire(value), "timestamp": round(when * 1000), "step": step}
                    for key, value in zip(play.metrics, values, strict=True)
                ]
                await self._send(told, {"run_id": told.run, "metrics": points, "params": [], "tags": []})
                timeline.logged(told.trial)
        finally:
            timeline.over(told.trial)

    async def _log(self, told: Told, play: Play) -> None:
        now = int(time.time() * 1000)
        points = [
            {"key": key, "value": number_to_wire(value), "timestamp": now, "step": step}
            for key, curve in play.metrics.items()
            for step, value in enumerate(curve)
        ]
        params = [{"key": key, "value": value} for key, value in play.params.items()]
        tags = [{"key": key, "value": value} for key, value in play.tags.items()]
        await self._send(told, {"run_id": told.run, "metrics": points, "params": params, "tags": tags})

    async def _send(self, told: Told, body: Mapping[str, Any]) -> None:
        while True:
            try:
                async with self._mlflow.post(f"{told.uri}/api/2.0/mlflow/runs/log-batch", json=body) as answer:
                    if answer.status < 500:
                        assert answer.status == 200, f"MLflow refused {told}: {await answer.text()}"
                        return
            except (aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(PAUSE)

    async def _end(self, told: Told, how: Mapping[str, str]) -> None:
        """The pod may be gone: then somebody stopped it."""
        body = {"metadata": {"annotations": dict(how)}}
        path = f"/api/v1/namespaces/{told.namespace}/pods/{told.pod}"
        while True:
            try:
                await request(self._api, "PATCH", path, body=body, content_type=MERGE_PATCH)
            except ApiError as error:
                if error.not_found:
                    return
                if not error.is_transient:
                    raise
                await asyncio.sleep(PAUSE)
            else:
                return


def _told(pod: dict[str, Any]) -> Told | None:
    """What a pod's trainer is told, once its container runs; None if its trainer is not played."""
    meta = pod["metadata"]
    if PREFIX + "trainer" not in (meta.get("annotations") or {}) or pod.get("status", {}).get("phase") != "Running":
        return None
    given = {entry["name"]: entry.get("value", "") for entry in pod["spec"]["containers"][0]["env"]}
    return Told(
        namespace=meta["namespace"],
        sweep=given["HYPERSWEEP_SWEEP"],
        trial=int(given["HYPERSWEEP_TRIAL"]),
        attempt=int(given["HYPERSWEEP_ATTEMPT"]),
        parameters=json.loads(given["HYPERSWEEP_PARAMETERS"]),
        run=given["MLFLOW_RUN_ID"],
        uri=given["MLFLOW_TRACKING_URI"],
        pod=meta["name"],
        uid=meta["uid"],
        environment=given,
    )
