"""Ledgers on the fake store, for the tests of its parts: opened, with trials planned and ended, and with requests that fail."""

from dataclasses import replace
from typing import Any

from hypersweep.core.errors import TrackingUnavailable
from hypersweep.core.reading import Reading
from hypersweep.core.spec import Objective
from hypersweep.core.trial import Outcome, Result, Trial
from hypersweep.tracking.identity import Identity
from hypersweep.tracking.ledger import Ledger
from tests.fakes.store import FakeStore

NOW = 1_000_000.0
IDENTITY = Identity(sweep="team/digits", search="0123456789ab", experiment="digits")
LOSS = Reading(objectives=(Objective.model_validate({"metric": "loss", "goal": "Minimize"}),))


def new_store() -> FakeStore:
    """Its clock stands a little after all that is planned."""
    return FakeStore(clock=lambda: NOW + 50)


async def reopened(store: FakeStore, identity: Identity = IDENTITY) -> Ledger:
    """As after a restart: nothing is remembered."""
    ledger = Ledger(store, identity, lineage={"hypersweep.version": "1"})
    await ledger.open(NOW)
    return ledger


async def plan(ledger: Ledger, index: int = 0, **changes: Any) -> Trial:
    given: dict[str, Any] = {"name": "", "retry": "", "tags": {}, "now": NOW + index} | changes
    return await ledger.plan(index, {"lr": 1e-05, "layers": 2, "optimizer": "adam", "nesterov": True}, **given)


def succeeded(value: float | None = 0.5, **changes: Any) -> Result:
    return replace(Result(outcome=Outcome.SUCCEEDED, value=value, ended=NOW + 100), **changes)


def never(_number: int, _verb: str, _when: str) -> None:
    """No request fails."""


def fail_at(verb: str, when: str) -> Any:
    """Each request of that verb fails, before or after it took effect."""

    def fail(_number: int, asked: str, moment: str) -> None:
        if (asked, moment) == (verb, when):
            raise TrackingUnavailable("injected")

    return fail
