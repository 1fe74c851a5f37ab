"""What a run says of objectives and constraints, as the ledger reads it: which value, and by how few requests.

On the fake store; a real MLflow gives the same values (test_outcomes.py).
"""

import math
from dataclasses import replace
from typing import Any

import pytest

from hypersweep.core.reading import Reading
from hypersweep.core.spec import Constraint, Objective
from hypersweep.core.trial import Outcome, Result
from hypersweep.tracking.base import FINISHED
from hypersweep.tracking.ledger import Ledger
from tests.fakes.store import FakeStore
from tests.tracking.ledgers import LOSS, NOW, new_store, plan, reopened, succeeded

CONSTRAINED = replace(LOSS, constraints=(Constraint(metric="ms", max=20),))
TWO = replace(LOSS, objectives=(*LOSS.objectives, Objective(metric="ms", goal="Minimize")), at="ms")


@pytest.fixture
def store() -> FakeStore:
    return new_store()


@pytest.fixture
async def ledger(store: FakeStore) -> Ledger:
    """Open, and empty."""
    return await reopened(store)


@pytest.mark.parametrize(
    ("reduction", "value", "requests"),
    [
        ({"reduction": "Last"}, 0.4, ["run"]),
        ({"reduction": "Best"}, 0.1, ["run", "curve"]),
        ({"reduction": "MeanOfLast", "window": 2}, 0.3, ["run", "curve"]),
    ],
)
async def test_the_objective_is_measured_as_its_reduction_says(
    store: FakeStore, ledger: Ledger, reduction: dict[str, Any], value: float, requests: list[str]
) -> None:
    """The usual one costs one request; the others read one curve."""
    trial = await plan(ledger)
    for step, loss in enumerate((0.9, 0.1, 0.2, 0.4)):
        await store.log(trial.run, metrics={"loss": loss, "lr": 0.1}, step=step)
    objective = Objective.model_validate({"metric": "loss", "goal": "Minimize", **reduction})
    before = len(store.requests)
    found = await ledger.measure(trial, Reading(objectives=(objective,)))
    assert found.value == pytest.approx(value)
    assert found.logged == ("loss", "lr")
    assert store.requests[before:] == requests


async def test_a_constraint_is_measured_with_the_objective_at_one_step(store: FakeStore, ledger: Ledger) -> None:
    """Where both were logged last; one request while the run's newest points tell, else a curve of each."""
    trial = await plan(ledger)
    for step in range(3):
        await store.log(trial.run, metrics={"loss": 1.0 - step / 10, "ms": 20.0 + step}, step=step)
    before = len(store.requests)
    found = await ledger.measure(trial, CONSTRAINED)
    assert (found.value, found.constrained) == (0.8, {"ms": 22.0})
    assert store.requests[before:] == ["run"]
    await store.log(trial.run, metrics={"loss": 0.1}, step=3)
    found = await ledger.measure(trial, CONSTRAINED)
    assert (found.value, found.constrained) == (0.8, {"ms": 22.0})
    assert store.requests[before + 1 :] == ["log", "run", "curve", "curve"]


async def test_a_constraint_whose_metric_is_missing_leaves_no_value(store: FakeStore, ledger: Ledger) -> None:
    """The objective alone is no result."""
    trial = await plan(ledger)
    await store.log(trial.run, metrics={"loss": 0.5})
    found = await ledger.measure(trial, CONSTRAINED)
    assert (found.value, found.missing, found.logged) == (None, "ms", ("loss",))


async def test_several_objectives_are_read_where_one_is_best_and_read_back(store: FakeStore, ledger: Ledger) -> None:
    """In the spec's order, at one step, as they were."""
    trial = await plan(ledger)
    for step, (loss, ms) in enumerate([(0.9, 9.0), (0.5, 7.0), (0.4, 8.0)]):
        await store.log(trial.run, metrics={"loss": loss, "ms": ms}, step=step)
    found = await ledger.measure(trial, TWO)
    assert (found.value, found.values) == (0.5, (0.5, 7.0))
    await ledger.commit(trial, Result(outcome=Outcome.SUCCEEDED, value=found.value, values=found.values, ended=NOW))
    [read] = await (await reopened(store)).history()
    assert (read.value, read.values) == (0.5, (0.5, 7.0))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
async def test_a_non_finite_objective_stays_what_it_is(store: FakeStore, ledger: Ledger, value: float) -> None:
    """Measured, committed and read back; `decide` makes of it what it must."""
    trial = await plan(ledger)
    await store.log(trial.run, metrics={"loss": value})
    measured = (await ledger.measure(trial, LOSS)).value
    await ledger.commit(trial, Result(outcome=Outcome.INFEASIBLE, value=measured, ended=NOW))
    [found] = await (await reopened(store)).history()
    assert repr(found.value) == repr(value)


@pytest.mark.parametrize("reduction", ["Last", "Best", "MeanOfLast"])
async def test_a_missing_objective_has_no_value_but_names(store: FakeStore, ledger: Ledger, reduction: str) -> None:
    """What was logged instead is what its owner must see."""
    trial = await plan(ledger)
    await store.log(trial.run, metrics={"val_loss": 0.5, "acc": 0.9})
    found = await ledger.measure(
        trial, Reading(objectives=(LOSS.objectives[0].model_copy(update={"reduction": reduction}),))
    )
    assert (found.value, found.logged) == (None, ("acc", "val_loss"))


async def test_a_metric_that_comes_late_is_measured_until_the_commit(store: FakeStore, ledger: Ledger) -> None:
    """After it, the objective is frozen, whatever is logged to the run."""
    trial = await plan(ledger)
    assert (await ledger.measure(trial, LOSS)).value is None
    await store.finish(trial.run, status=FINISHED, ended=NOW)
    await store.log(trial.run, metrics={"loss": 0.5}, step=1)
    assert (await ledger.measure(trial, LOSS)).value == 0.5
    await ledger.commit(trial, succeeded(0.5))
    await store.log(trial.run, metrics={"loss": 0.1}, step=2)
    [found] = await (await reopened(store)).history()
    assert found.value == 0.5
