"""The operator at work on no-op trials: a real API server with a simulated node, a real MLflow, the operator's own rights.

Run it: python -m bench engine [--trials 2000] [--parallel 16] [--duration 2s] [--postgres]

Prints: trial ended → next Job created (p50, p99), Kubernetes writes and MLflow requests per trial, the operator's CPU per
trial and its memory early and late in the sweep, trials per second. Trainers are played: they log one metric and end.
With trials much shorter than that, MLflow is the bottleneck (about 20 trials/s), and latency shows its queue.
Latency is measured from outside, by a watch of Jobs: the k-th end is paired with the creation that it made room for.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hypersweep.cluster.client import connect
from hypersweep.cluster.informer import Informer
from hypersweep.core.names import SWEEP_LABEL
from tests.api import resource, sweeps
from tests.api.operator_process import Operator, install
from tests.api.trainers import Play, Trainers, loss
from tests.cluster import kwok
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import fresh_namespace
from tests.tracking.server import mlflow, postgres

WINDOW = 50  # trials over which a figure early or late in the sweep is taken
_WRITES = ("create", "update", "patch", "delete")


@dataclass
class Watch:
    """When Jobs were created and when they ended, as a watch of them tells it."""

    kubeconfig: Path
    created: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    async def _run(self) -> None:
        api = await connect(str(self.kubeconfig))
        informer = Informer(
            api, path="/apis/batch/v1/jobs", slim=_is_ended, on_change=self._changed, label_selector=SWEEP_LABEL
        )
        task = asyncio.create_task(informer.run())
        await asyncio.to_thread(self._stop.wait)
        task.cancel()
        await api.close()

    def _changed(self, _key: object, old: bool | None, new: bool | None) -> None:  # noqa: FBT001
        if old is None and new is not None:
            self.created.append(time.monotonic())
        if new and not old:
            self.ended.append(time.monotonic())


def _is_ended(job: Mapping[str, Any]) -> bool:
    return any(
        c["type"] in ("Complete", "Failed") and c["status"] == "True"
        for c in job.get("status", {}).get("conditions", ())
    )


@dataclass(frozen=True)
class Sample:
    """The operator's accounts at a moment."""

    trials: int
    cpu: float  # seconds
    rss: float  # MiB
    metrics: Mapping[str, float]


def sample(operator: Operator, pid: int, trials: int) -> Sample:
    """Read them now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    rss = next(
        int(line.split()[1])
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    )
    return Sample(trials, cpu, rss / 1024, operator.metrics())


def total(metrics: Mapping[str, float], name: str, *verbs: str) -> float:
    """The sum of a histogram's counts over its series; of these verbs, where named."""
    return sum(
        value
        for series, value in metrics.items()
        if series.startswith(f"{name}_count") and (not verbs or any(f'verb="{verb}"' in series for verb in verbs))
    )


def sum_of(metrics: Mapping[str, float], name: str, action: str) -> float:
    """A histogram's sum or count for one action."""
    return sum(value for series, value in metrics.items() if series.startswith(name) and f'action="{action}"' in series)


def measure(operator: Operator, pid: int, sweep: sweeps.Sweep, trials: int, seconds: float) -> list[Sample]:
    """Samples about each WINDOW trials until the sweep has ended."""
    samples: list[Sample] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done = int(sweep.status.get("progress", "0/").split("/")[0] or 0)
        if not samples or done - samples[-1].trials >= WINDOW or done == trials:
            samples.append(sample(operator, pid, done))
            print(f"  {done}/{trials}", end="\r", file=sys.stderr, flush=True)
        if done == trials:
            return samples
        time.sleep(0.2)
    raise TimeoutError(f"the sweep did not end in {seconds} s: {sweep.status.get('summary')}")


def latencies(watch: Watch, parallel: int) -> list[float]:
    """Seconds from each end to the creation that took its place, in order."""
    return [max(0.0, created - ended) for ended, created in zip(watch.ended, watch.created[parallel:], strict=False)]


def report(samples: list[Sample], watch: Watch, parallel: int, took: float) -> None:
    """Print the figures."""
    first, last = samples[0], samples[-1]
    trials = last.trials - first.trials
    delays = sorted(latencies(watch, parallel))
    cuts = statistics.quantiles(delays, n=100)
    print(f"trials/s                        {last.trials / took:.1f}")
    print(
        f"trial ended -> next Job         p50 {1000 * cuts[49]:.0f} ms, p99 {1000 * cuts[98]:.0f} ms ({len(delays)} pairs)"
    )
    writes = total(last.metrics, "hypersweep_kubernetes_request_seconds", *_WRITES)
    writes -= total(first.metrics, "hypersweep_kubernetes_request_seconds", *_WRITES)
    asked = total(last.metrics, "hypersweep_mlflow_request_seconds") - total(
        first.metrics, "hypersweep_mlflow_request_seconds"
    )
    print(f"Kubernetes writes per trial     {writes / trials:.2f}")
    print(f"MLflow requests per trial       {asked / trials:.2f}")
    for action in ("plan", "launch", "measure", "commit", "remove"):
        took, count = (sum_of(last.metrics, f"hypersweep_action_seconds_{part}", action) for part in ("sum", "count"))
        print(f"mean {action:<8}                   {1000 * took / max(1.0, count):.0f} ms")
    for name, a, b in (("early", samples[0], samples[1]), ("late", samples[-2], samples[-1])):
        cost = 1000 * (b.cpu - a.cpu) / max(1, b.trials - a.trials)
        print(
            f"operator, {name:<6} CPU per trial {cost:.1f} ms, memory {b.rss:.0f} MiB (trials {a.trials} to {b.trials})"
        )


def main() -> None:
    """Set everything up, run one sweep, print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--parallel", type=int, default=16)
    parser.add_argument("--duration", default="2s", help="of a trial, after it has logged (default: %(default)s)")
    parser.add_argument("--postgres", action="store_true", help="MLflow on PostgreSQL instead of SQLite")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        backend = stack.enter_context(postgres()) if given.postgres else f"sqlite:///{folder}/mlflow.db"
        uri = stack.enter_context(mlflow(backend, folder))
        plane = ControlPlane(folder / "plane")
        plane.up()
        stack.callback(plane.down)
        kwok.up(plane)
        resource.install(plane.kubectl)
        namespace = stack.enter_context(fresh_namespace(plane.kubectl, "bench"))
        trainers = stack.enter_context(Trainers(plane.kubeconfig))
        ends = kwok.scenario("succeed", duration=given.duration)
        trainers.cast[namespace, "bench"] = lambda told: Play(metrics={"loss": [loss(told.parameters)]}, ends=ends)
        operator = stack.enter_context(Operator(install(plane, namespace, mlflow=uri), folder))
        operator.wait_until_leading()
        watch = stack.enter_context(Watch(plane.kubeconfig))  # not at once with the trainers: the client shares files
        assert operator._process is not None  # noqa: SLF001
        budget = {"max": given.trials, "parallel": given.parallel}
        began = time.monotonic()
        sweep = sweeps.apply(
            plane.kubectl.within(namespace), sweeps.manifest("bench", trials=budget, cleanup={"succeeded": "10s"})
        )
        samples = measure(operator, operator._process.pid, sweep, given.trials, seconds=60 + given.trials)  # noqa: SLF001
        report(samples, watch, given.parallel, time.monotonic() - began)


if __name__ == "__main__":
    main()
