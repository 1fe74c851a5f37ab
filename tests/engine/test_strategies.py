"""What the loop makes of a strategy: tells which is at work, ends by what it expects, and says so when one of others fails."""

import asyncio
from typing import Any

import pytest

from hypersweep.core.conditions import is_true
from hypersweep.core.errors import StrategyError
from hypersweep.core.strategies import catalog
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Phase
from tests.core.builders import make_spec
from tests.engine.simulation import Killed, SimulatedCluster, SimulatedHost


async def _run(
    cluster: SimulatedCluster, *, looks: int, restart_at: int = -1, kill_at: tuple[int, int] = (-1, 0)
) -> list[dict[str, Any]]:
    """So many looks; after each, the oldest Job logs a bowl's value and ends. The statuses that were reported.

    `kill_at`: (look, n); after the n-th request of that look the operator is killed, and another takes over.
    """
    host, statuses = SimulatedHost(cluster), []
    for look in range(looks):
        if look == restart_at:
            host = SimulatedHost(cluster)
        if look == kill_at[0]:
            cluster.faults.set("kill after", kill_at[1])
        cluster.catch_up()
        try:
            await host.look()
        except Killed:
            host = SimulatedHost(cluster)
            continue
        statuses.append(cluster.status)
        cluster.now += 2.0
        for key in sorted(key for key, job in cluster.jobs.items() if not job.phase.ended)[:1]:
            trial = host.loop.book.open.get(key[0])  # type: ignore[union-attr]
            if trial is not None:
                loss = (float(trial.parameters["lr"]) - 0.03) ** 2
                await cluster.store.log(trial.run, metrics={"loss": loss})
                cluster.end(key, Phase.SUCCEEDED)
        if is_true(cluster.status, "Finished"):
            break
    return statuses


@pytest.mark.parametrize("restart_at", [-1, 25, 40])
def test_a_sweep_ends_when_little_is_expected(restart_at: int) -> None:
    """Long before its budget, with its own reason, and after a restart of the operator just so."""
    spec = make_spec(
        trials={"max": 200, "parallel": 1},
        strategy={"name": "Random"},
        stopWhen={"expectedImprovementBelow": 1e-4},
    )
    last = asyncio.run(_run(SimulatedCluster(spec), looks=500, restart_at=restart_at))[-1]
    finished = next(c for c in last["conditions"] if c["type"] == "Finished")
    assert (finished["status"], finished["reason"]) == ("True", "ImprovementUnlikely")
    assert 10 <= last["trials"]["succeeded"] < 60


def test_an_end_that_cuts_trials_off_is_the_same_whenever_the_operator_is_killed_in_it() -> None:
    """Four at a time: some of those that run are cut off, others not yet, and whoever takes over cuts off the rest."""
    spec = make_spec(
        trials={"max": 200, "parallel": 4}, strategy={"name": "Random"}, stopWhen={"expectedImprovementBelow": 1e-3}
    )
    alone = asyncio.run(_run(SimulatedCluster(spec), looks=100))
    end = next(n for n, status in enumerate(alone) if status["trials"]["stopped"])
    counts = set()
    for n in range(1, 7):
        cluster = SimulatedCluster(spec)
        last = asyncio.run(_run(cluster, looks=100, kill_at=(end - 1, n)))[-1]
        finished = next(c for c in last["conditions"] if c["type"] == "Finished")
        counts.add((finished["reason"], last["trials"]["created"], last["trials"]["stopped"] > 0))
    assert counts == {("ImprovementUnlikely", alone[-1]["trials"]["created"], True)}


def test_the_status_tells_the_strategy_at_work() -> None:
    """Auto begins as Sobol, and goes over when eight trials have ended."""
    spec = make_spec(trials={"max": 12, "parallel": 1}, strategy={"name": "Auto"})
    told = [s["strategy"] for s in asyncio.run(_run(SimulatedCluster(spec), looks=200)) if s.get("strategy")]
    assert told[0]["effective"] == "Sobol"
    assert told[-1]["effective"] == "GP and TPE"
    assert "12 trials ended" in told[-1]["reason"]


def test_a_strategy_that_fails_is_told_and_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep is refused, with the reason; running trials would go on. A silent loop of failures helps nobody."""
    asked = []

    def ask(name: str, question: Question) -> None:
        asked.append(question.trial)
        raise StrategyError(f"the strategy {name} failed: no luck")

    monkeypatch.setattr(catalog, "ask", ask)
    last = asyncio.run(_run(SimulatedCluster(make_spec()), looks=20))[-1]
    accepted = next(c for c in last["conditions"] if c["type"] == "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "StrategyFailed")
    assert "no luck" in accepted["message"]
    assert is_true(last, "Stalled")
    assert len(asked) <= 2  # the trials that were planned at one time
