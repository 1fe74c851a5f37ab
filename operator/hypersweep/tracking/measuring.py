"""Reading a run's result: the value of each metric that judges a trial, by the sweep's own rule, wherever the run is from.

Owns when a curve must be fetched: only where the newest points, which come with the run, do not tell.
"""

from collections.abc import Mapping

from hypersweep.core.reading import Reading, read
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
