"""What a trial is judged by, on every store: several objectives, where they are read, and how far a bound is missed.

The rules themselves are tested in tests/core; that the ledger asks few requests, in test_measuring.py. Here: a real MLflow
and the fake that other tests trust give the same values, before and after a restart.
"""

import math
import uuid
from dataclasses import replace
from typing import Any

import pytest

from hypersweep.core.reading import Reading
from hypersweep.core.snapshot import Ending
from hypersweep.core.spec import Constraint, Objective
from hypersweep.core.trial import Outcome, Result, Trial
from hypersweep.tracking.base import Store
from hypersweep.tracking.ledger import Identity, Ledger

NOW = 1_000_000.0
CURVES = {
    "loss": (0.9, 0.5, 0.4, math.nan),
    "accuracy": (0.6, 0.8, 0.7, 0.75),
    "ms": (9.0, 7.0, 8.0, 8.5),
}  # by step, from 1 on; `weights` is logged once


async def opened(store: Store, identity: Identity) -> Ledger:
    """As after a restart: nothing is remembered."""
    ledger = Ledger(store, identity, lineage={})
    await ledger.open(NOW)
    return ledger


def new_identity() -> Identity:
    return Identity(sweep="team/front", search="0123456789ab", experiment=f"outcomes-{uuid.uuid4().hex[:8]}")


async def trained(store: Store, ledger: Ledger) -> Trial:
    """A trial that has logged all curves."""
    trial = await ledger.plan(0, {"lr": 0.1}, name="", retry="", tags={}, now=NOW)
    for step, values in enumerate(zip(*CURVES.values(), strict=True), start=1):
        await store.log(trial.run, metrics=dict(zip(CURVES, values, strict=True)), step=step)
    await store.log(trial.run, metrics={"weights": 640.0})
    return trial


def reading(*objectives: str, at: str | None = None, bounds: dict[str, float] | None = None, **first: Any) -> Reading:
    made = [Objective(metric=m, goal="Maximize" if m == "accuracy" else "Minimize") for m in objectives]
    made[0] = made[0].model_copy(update=first)
    return Reading(
        objectives=tuple(made), at=at, constraints=tuple(Constraint(metric=m, max=b) for m, b in (bounds or {}).items())
    )


READINGS: dict[str, tuple[Reading, tuple[float, ...], dict[str, float]]] = {
    "last of one": (reading("ms"), (8.5,), {}),
    "last of three": (reading("accuracy", "ms", "weights"), (0.75, 8.5, 640.0), {}),
    "last, and no number": (reading("ms", "loss"), (8.5, math.nan), {}),
    "where the loss is best": (reading("accuracy", "loss", at="loss"), (0.7, 0.4), {}),
    "where the accuracy is best": (reading("loss", "accuracy", "ms", at="accuracy"), (0.5, 0.8, 7.0), {}),
    "bounds at that step": (
        reading("loss", "accuracy", at="accuracy", bounds={"ms": 5.0, "weights": 320.0}),
        (0.5, 0.8),
        {"ms": 7.0, "weights": 640.0},
    ),
    "bounds where one is best": (reading("loss", bounds={"ms": 7.5}, reduction="Best"), (0.4,), {"ms": 8.0}),
    "bounds over a window": (
        reading("accuracy", bounds={"ms": 7.5}, reduction="MeanOfLast", window=2),
        (0.725,),
        {"ms": 8.25},
    ),
}


async def test_values_are_read_as_asked_on_every_store(store: Store) -> None:
    """Each of the readings of one run: objectives in their order, constraints at the same step."""
    ledger = await opened(store, new_identity())
    trial = await trained(store, ledger)
    for name, (asked, values, bounds) in READINGS.items():
        found = await ledger.measure(trial, asked)
        assert found.values == pytest.approx(values, nan_ok=True), name
        assert found.constrained == pytest.approx(bounds), name
        assert (repr(found.value), found.missing) == (repr(found.values[0]), ""), name
    lacking = await ledger.measure(trial, reading("loss", "recall", bounds={"ms": 5.0}))
    assert (lacking.value, lacking.missing) == (None, "recall")
    assert lacking.logged == ("accuracy", "loss", "ms", "weights")


@pytest.mark.parametrize(
    ("values", "violation"),
    [
        ((0.1 + 0.2, 1e-300, -1.7976931348623157e308), 0.0),
        ((0.5, math.nan), math.inf),
        ((0.5, math.inf, -math.inf), 1 / 3),
        ((0.5,), 5e-324),
    ],
    ids=["to the last bit", "no number", "infinite", "the smallest violation"],
)
async def test_an_outcome_reads_back_to_the_last_bit(store: Store, values: tuple[float, ...], violation: float) -> None:
    """After a restart the search is led by the same numbers."""
    identity = new_identity()
    ledger = await opened(store, identity)
    trial = await ledger.plan(0, {"lr": 0.1}, name="", retry="", tags={}, now=NOW)
    outcome = Outcome.INFEASIBLE if violation else Outcome.SUCCEEDED
    result = Result(outcome=outcome, value=values[0], values=values, violation=violation, ended=NOW + 1)
    await ledger.commit(trial, result)
    [found] = await (await opened(store, identity)).history()
    assert repr((found.values, found.violation, found.outcome)) == repr((values, violation, outcome))


async def test_the_front_and_its_volume_are_on_the_sweeps_run(store: Store) -> None:
    """A curve over ended trials, and the trials of the front at the end: what MLflow's pages show."""
    ledger = await opened(store, new_identity())
    for ended, volume in [(5, 1.5), (9, 2.5)]:
        await ledger.progress(hypervolume=volume, ended=ended)
    best = replace(await trained(store, ledger), value=0.5, values=(0.5, 7.0))
    ending = Ending(reason="MaxTrialsReached", message="done", complete=True)
    await ledger.finish(ending=ending, best=best, front=[best], counts={Outcome.SUCCEEDED: 1}, spent={}, now=NOW)
    run = await store.run(ledger.parent.run)
    assert [(p.step, p.value) for p in await store.curve(run.id, "hypervolume")] == [(5, 1.5), (9, 2.5)]
    assert run.tags["hypersweep.paretoFront"] == "[0]"
    assert "best" not in run.metrics
