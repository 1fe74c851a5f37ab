"""Learning from runs of others, on each store: what is found in MLflow, and what is kept of it."""

import json
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest

from hypersweep.core.errors import SpecError
from hypersweep.core.range_test import ANSWER, FIRST
from hypersweep.core.snapshot import Ending
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Outcome, Reason, Result, Trial
from hypersweep.core.warm_start import LeftOut, Lessons, numbered
from hypersweep.tracking import lessons
from hypersweep.tracking.base import FINISHED, KILLED, Store
from hypersweep.tracking.identity import Identity, search_hash
from hypersweep.tracking.ledger import Ledger
from hypersweep.tracking.warm_start import recall
from tests.core.builders import NOW, make_spec


def spec_of(experiment: str, **changes: Any) -> SweepSpec:
    return make_spec(warmStart=[{"experiment": experiment}], **changes)


async def opened(store: Store, spec: SweepSpec, sweep: str = "new") -> Ledger:
    """The ledger of a sweep of that name, in an experiment of its own."""
    experiment = f"own-{uuid.uuid4().hex[:8]}"
    ledger = Ledger(store, Identity(sweep=sweep, search=search_hash(spec), experiment=experiment), lineage={})
    await ledger.open(NOW)
    return ledger


async def script(store: Store, experiment: str, *curve: float, lr: float = 0.01, status: str = FINISHED) -> str:
    """A run as any script makes it: params as text, a loss a step."""
    run = await store.create_run(experiment=await store.experiment(experiment), name="r", tags={}, started=time.time())
    await store.log(run.id, params={"lr": str(lr)})
    for step, loss in enumerate(curve):
        await store.log(run.id, metrics={"loss": loss}, step=step)
    await store.finish(run.id, status=status, ended=NOW)
    return run.id


async def trial(ledger: Ledger, index: int, loss: float | None, **result: Any) -> Trial:
    """A trial of another sweep, ended."""
    made = await ledger.plan(index, {"lr": 0.02}, name="", retry="", tags={}, now=NOW + index)
    if loss is not None:
        await ledger.store.log(made.run, metrics={"loss": loss})
    return await ledger.commit(made, Result(**{"outcome": Outcome.SUCCEEDED, "value": loss, "ended": NOW} | result))


async def test_runs_of_scripts_and_trials_of_sweeps_teach_by_how_they_ended(store: Store) -> None:
    """What came to a result counts, and what early stopping ended; sweeps' own runs are no trials."""
    others = f"others-{uuid.uuid4().hex[:8]}"
    sweep = make_spec()
    other = Ledger(store, Identity(sweep="old", search=search_hash(sweep), experiment=others), lineage={})
    await other.open(NOW)
    await trial(other, 0, 0.1)
    await trial(other, 1, 0.2, outcome=Outcome.STOPPED, reason="ASHA")
    await trial(other, 2, 0.3, outcome=Outcome.STOPPED, value=None, reason=Reason.SWEEP_ENDED)
    await trial(other, 3, 0.4, outcome=Outcome.INFEASIBLE, value=None, reason=Reason.OUT_OF_MEMORY)
    await trial(other, 4, None, outcome=Outcome.FAILED, reason=Reason.CRASHED)
    await other.plan(5, {"lr": 0.02}, name="", retry="", tags={}, now=NOW + 5)
    await other.finish(
        ending=Ending(reason="MaxTrialsReached", message="", complete=True), best=None, counts={}, spent={}, now=NOW
    )
    finished = await script(store, others, 0.9, 0.5)
    await script(store, others, 0.6, status=KILLED)
    await script(store, others)
    ledger = await opened(store, spec := spec_of(others))
    found = await recall(ledger, spec, now=NOW)
    assert [(t.index, t.outcome, t.value) for t in found.trials] == [
        (-3, Outcome.SUCCEEDED, 0.1),
        (-2, Outcome.STOPPED, 0.2),
        (-1, Outcome.SUCCEEDED, 0.5),
    ]
    assert found.trials[-1].run == finished
    assert {left.reason: left.count for left in found.left_out} == {"NotFinished": 5, "NotMeasured": 1}
    [parent] = await store.search(experiment=ledger.parent.experiment, tags={"hypersweep.kind": "Sweep"})
    assert json.loads(parent.tags["hypersweep.warmStart"])["taken"] == 3


async def test_range_tests_teach_nothing(store: Store) -> None:
    """Neither a sweep's, whatever its index and though it logged a loss, nor one that was made by hand."""
    others = f"others-{uuid.uuid4().hex[:8]}"
    sweep = make_spec()
    other = Ledger(store, Identity(sweep="old", search=search_hash(sweep), experiment=others), lineage={})
    await other.open(NOW)
    await trial(other, 0, 0.5)
    await trial(other, FIRST, 0.1)
    by_hand = await script(store, others, 0.2)
    await store.log(by_hand, tags={ANSWER: "{}"})
    found = await recall(await opened(store, spec := spec_of(others)), spec, now=NOW)
    assert [t.value for t in found.trials] == [0.5]
    assert found.found == 1


@pytest.mark.parametrize(
    ("reduction", "value"), [({"reduction": "Best"}, 0.3), ({"reduction": "MeanOfLast", "window": 2}, 0.6), ({}, 0.9)]
)
async def test_a_run_is_read_as_the_sweeps_own_trials_are(store: Store, reduction: Any, value: float) -> None:
    """By the objective's own reduction: numbers that are compared mean the same."""
    others = f"others-{uuid.uuid4().hex[:8]}"
    await script(store, others, 0.8, 0.3, 0.9)
    spec = spec_of(others, objectives=[{"metric": "loss", "goal": "Minimize", **reduction}])
    found = await recall(await opened(store, spec), spec, now=NOW)
    assert [t.value for t in found.trials] == [pytest.approx(value)]


async def test_what_was_taken_stays_whatever_becomes_of_the_runs(store: Store) -> None:
    """Another process, after others have logged more: the same trials. Another sweep takes what is there by then."""
    others = f"others-{uuid.uuid4().hex[:8]}"
    await script(store, others, 0.5)
    ledger = await opened(store, spec := spec_of(others))
    first = await recall(ledger, spec, now=NOW)
    await script(store, others, 0.1)
    again = Ledger(store, ledger.identity, lineage={})
    await again.open(NOW + 1)
    assert await recall(again, spec, now=NOW + 1) == first
    assert len(await again.history()) == 0
    other = await recall(await opened(store, spec, "another"), spec, now=NOW)
    assert [t.value for t in other.trials] == [0.5, 0.1]


async def test_an_experiment_that_two_sources_name_is_taken_once(store: Store) -> None:
    """By filters that overlap."""
    others = f"others-{uuid.uuid4().hex[:8]}"
    await script(store, others, 0.5)
    spec = make_spec(warmStart=[{"experiment": others}, {"experiment": others, "filter": "", "limit": 3}])
    assert (await recall(await opened(store, spec), spec, now=NOW)).found == 1


async def test_an_absent_experiment_is_said_with_its_place(store: Store) -> None:
    """And none is made."""
    spec = spec_of("nowhere")
    with pytest.raises(SpecError, match=r'spec.warmStart\[0\].experiment: found "nowhere"'):
        await recall(await opened(store, spec), spec, now=NOW)


async def test_five_thousand_runs_are_kept_and_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are ever taken, of ten parameters: the whole is there again, digit by digit, in less than a request's time."""
    parameters = [{"name": f"p{i}", "type": "Float", "min": 0, "max": 1} for i in range(10)]
    spec = make_spec(parameters=parameters, warmStart=[{"experiment": "others"}])
    large = Lessons(
        found=5000,
        trials=tuple(numbered([_known(i) for i in range(5000)])),
        left_out=(LeftOut(reason="Missing", count=1, example="run x: \u00e4"),),
    )

    async def found(*_: object) -> Lessons:
        return large

    monkeypatch.setattr("hypersweep.tracking.warm_start._learned", found)
    ledger = await opened(store, spec)
    assert await recall(ledger, spec, now=NOW) == large
    began = time.perf_counter()
    assert await recall(ledger, spec, now=NOW) == large
    assert time.perf_counter() - began < 10


def _known(i: int) -> Trial:
    parameters = {f"p{k}": ((i * 7919 + k * 104729) % 100_003) / 100_003 for k in range(10)}
    return Trial(index=-1, run=uuid.uuid4().hex, parameters=parameters, outcome=Outcome.SUCCEEDED, value=i / 7)


def test_what_is_cut_short_or_changed_reads_as_never_written() -> None:
    """Half of a history would be another history."""
    known = Lessons(found=1, trials=(replace(_known(1), index=-1),))
    tags = lessons.pieces(known)
    assert lessons.restored(tags) is None
    tags |= lessons.whole(tags)
    assert lessons.restored(tags) == known
    piece = f"{lessons.WHOLE}.0"
    assert lessons.restored({**tags, piece: tags[piece][:-4] + "AAA="}) is None
    assert lessons.restored({key: value for key, value in tags.items() if key != piece}) is None
