"""Reading curves for early stopping, a call at a time: trials that end meanwhile, and budgets in other units than steps."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import NoneType
from typing import Any, cast

from hypersweep.controller import curves
from hypersweep.controller.book import Book
from hypersweep.controller.keeper import Keeper
from hypersweep.core.aim import Aim
from hypersweep.core.errors import TrackingUnavailable
from hypersweep.core.spec import SweepSpec
from hypersweep.core.stoppers import Point
from hypersweep.core.trial import Outcome
from hypersweep.tracking.base import Metric, Run
from hypersweep.tracking.identity import Parent
from hypersweep.tracking.ledger import Ledger
from tests.core.builders import make_spec, make_trial
from tests.engine.simulation import SimulatedCluster, SimulatedHost
from tests.fakes.store import FakeStore

ASHA = {"type": "ASHA", "asha": {"minBudget": 1, "reductionFactor": 2}}


class Curves:
    """A ledger that knows curves alone; `meanwhile` happens while one is read."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.meanwhile = meanwhile

    async def points(self, run: str, metric: str, *, axis: str | None) -> list[Point]:
        self.meanwhile()
        return [Point(1, 0.5, 10.0)]


async def look(ledger: Curves, book: Book, spec: SweepSpec, runs: Sequence[tuple[Any, Run]]) -> dict[int, float]:
    return await curves.look(cast("Ledger", ledger), book, spec, runs, ending=())


def stopping(**rule: Any) -> SweepSpec:
    return make_spec(earlyStopping={**ASHA, **rule})


def at_step(index: int, step: int = 1, **others: float) -> tuple[Any, Run]:
    """An open trial and its run, as a search shows it."""
    points = {name: Metric(value=value, step=step, timestamp=10.0) for name, value in {"loss": 0.5, **others}.items()}
    return make_trial(index), Run(id=f"run-{index}", experiment="1", status="RUNNING", started=0.0, metrics=points)


def book_of(spec: SweepSpec, count: int) -> Book:
    book = Book(Aim.of(spec))
    book.load([make_trial(i) for i in range(count)], started=0.0)
    return book


async def test_a_trial_that_ends_while_a_curve_is_read_is_passed_over() -> None:
    """Actions go on beside a look: what was open when it began may be committed, or gone, before its turn."""
    spec = stopping()
    book = book_of(spec, 3)

    def ends() -> None:
        if 1 in book.open:
            book.end(replace(book.open[1], outcome=Outcome.SUCCEEDED, value=0.1, ended=5.0))

    await look(Curves(ends), book, spec, [at_step(i) for i in range(3)])
    assert {i: list(t.rungs) for i, t in book.open.items()} == {0: [1], 2: [1]}


async def test_budgets_are_in_the_units_of_the_axis() -> None:
    """With a counting metric, the step says nothing: 64 samples are the rung, whatever the step."""
    spec = stopping(axis="samples", asha={"minBudget": 64, "reductionFactor": 2})
    book = book_of(spec, 2)
    reached = await look(Curves(), book, spec, [at_step(0, 100, samples=32), at_step(1, 1)])
    assert reached == {0: 32}
    assert not any(trial.rungs for trial in book.open.values())


async def test_another_rule_looks_anew_at_what_open_trials_have_left() -> None:
    """No mark stays from a budget that only the old rule knew, as none would after a restart."""
    book = book_of(stopping(), 3)
    runs = [at_step(i) for i in range(3)]
    await look(Curves(), book, stopping(), runs)
    assert all(1 in trial.rungs for trial in book.open.values())
    await look(Curves(), book, stopping(asha={"minBudget": 4}), runs)
    assert not any(trial.rungs for trial in book.open.values())


async def test_who_shares_a_reading_that_fails_reads_again() -> None:
    """Three ask while one reads: the first of them reads for all, and fails; nobody may take that for an answer."""
    begun: list[int] = []

    class Store(FakeStore):
        async def search(self, **asked: Any) -> list[Run]:
            begun.append(len(begun))
            await asyncio.sleep(0)
            if len(begun) == 2:
                raise TrackingUnavailable("injected")
            return []

    cluster = SimulatedCluster(stopping())
    cluster.store = Store(clock=lambda: 0.0)
    keeper = Keeper(SimulatedHost(cluster), busy={}, clock=lambda: 0.0)
    keeper.ledger, keeper.book = SimulatedHost(cluster).ledger(stopping()), book_of(stopping(), 0)
    keeper.ledger._parent = Parent(run="parent", experiment="1", started=0.0)
    answers = await asyncio.gather(*(keeper.read(stopping()) for _ in range(4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [NoneType, TrackingUnavailable, NoneType, NoneType]
    assert len(begun) == 3
