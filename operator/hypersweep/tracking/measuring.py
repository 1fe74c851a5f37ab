"""Reading a run's result: the value of each metric that judges a trial, by the sweep's own rule, wherever the run is from.

Owns when a curve must be fetched: only where the newest points, which come with the run, do not tell.
"""

from collections.abc import Mapping

from hypersweep.core.environment import MADE_BY
from hypersweep.core.reading import Reading, read
from hypersweep.core.trial import Measurement
from hypersweep.tracking import records
from hypersweep.tracking.base import Run, Store


async def measured(store: Store, run: Run, reading: Reading) -> Mapping[str, float] | None:
    """The value of each metric. None: the run has not logged all of them, or no step has all."""
    if any(name not in run.metrics for name in reading.metrics):
        return None
    newest = {name: run.metrics[name] for name in reading.metrics}
    if reading.is_last and len({point.step for point in newest.values()}) == 1:
        return {name: point.value for name, point in newest.items()}
    curves = {name: [(point.step, point.value) for point in await store.curve(run.id, name)] for name in newest}
    return read(curves, reading) if all(curves.values()) else None


async def measurement(store: Store, run: Run, reading: Reading) -> Measurement:
    """What a run says of objectives and constraints now; where it lacks one, what it has instead, and where else that is."""
    metrics = {name: point.value for name, point in run.metrics.items()}
    logged = tuple(sorted(metrics))
    missing = next((name for name in reading.metrics if name not in metrics), None)
    if missing is not None:
        elsewhere = await _elsewhere(store, run, missing)
        return Measurement(value=None, missing=missing, logged=logged, elsewhere=elsewhere, metrics=metrics)
    return taken(await measured(store, run, reading), reading, metrics=metrics, logged=logged)


def taken(
    found: Mapping[str, float] | None, reading: Reading, *, metrics: Mapping[str, float], logged: tuple[str, ...] = ()
) -> Measurement:
    """What `measured` has found, in the order of the objectives."""
    values = tuple(found[o.metric] for o in reading.objectives) if found else ()
    return Measurement(
        value=values[0] if values else None,
        values=values,
        constrained={c.metric: found[c.metric] for c in reading.constraints} if found else {},
        logged=logged,
        metrics=metrics,
    )


async def _elsewhere(store: Store, run: Run, metric: str) -> tuple[str, ...]:
    """Names of other runs of the experiment that the trial of `run` made itself, and which of them hold the metric."""
    made = await store.search(experiment=run.experiment, tags={MADE_BY: run.id})
    return tuple(
        f'"{other.tags.get(records.RUN_NAME, other.id)}"' + (" (has it)" if metric in other.metrics else "")
        for other in made
    )
