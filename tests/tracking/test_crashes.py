"""Crashes and lost answers at every request of a sweep's life: the ledger ends up as if nothing had happened."""

import random
import uuid
from contextlib import suppress
from dataclasses import replace

import pytest
from aiohttp import web

from hypersweep.core.errors import TrackingUnavailable
from hypersweep.tracking.ledger import Identity
from hypersweep.tracking.rest import RestStore
from tests.fakes.store import FakeStore
from tests.tracking.life import TRIALS, Life, picture, running
from tests.tracking.proxy import Proxy, Trouble, cut, forward, lost, proxied
from tests.tracking.stores import KINDS, opened

IDENTITY = Identity(sweep="team/digits", search="0123456789ab", experiment="digits")


class Crash(Exception):  # noqa: N818
    """The process is gone."""


def break_at(store: FakeStore, number: int, when: str, error: type[Exception]) -> None:
    """Let one request of the store fail, once, before or after it takes effect."""

    def fail(asked: int, _verb: str, moment: str) -> None:
        if (asked, moment) == (number, when):
            raise error("injected")

    store.fail = fail


def new_life() -> tuple[FakeStore, Life]:
    """A store of the operator's, and a life whose trials go to the same runs by a way of their own."""
    store, trainer = FakeStore(), FakeStore()
    trainer.runs, trainer.points = store.runs, store.points
    return store, Life(store, trainer, IDENTITY)


async def undisturbed() -> tuple[dict[str, object], int]:
    """How the ledger looks after a life without trouble, and how many requests that took."""
    store, life = new_life()
    await life.live(life.ledger())
    requests = len(store.requests)
    return await picture(store, IDENTITY), requests


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("restart", [True, False], ids=["crash", "lost answer"])
async def test_a_failure_at_any_request_changes_nothing(when: str, *, restart: bool) -> None:
    """Between any two writes of plan, attempt, commit, reopen, heartbeat and finish; with a new process, or the same."""
    wanted, requests = await undisturbed()
    assert requests > 25
    for number in range(requests):
        store, life = new_life()
        ledger = life.ledger()
        break_at(store, number, when, TrackingUnavailable)
        with pytest.raises(TrackingUnavailable):
            await life.live(ledger)
        await life.live(life.ledger() if restart else ledger)
        assert await picture(store, IDENTITY) == wanted, f"request {number}: {store.requests[number]}"
        assert await running(store, IDENTITY) == []
        assert len({run for (index, _), run in life.launched.items() if index == 0}) == 1


async def test_a_crash_at_every_request_in_turn_still_gets_there() -> None:
    """Process after process dies one request further: no work is lost, none is doubled."""
    wanted, _ = await undisturbed()
    store, life = new_life()
    for steps in range(200):
        break_at(store, len(store.requests) + 2 + steps // 2, "after", Crash)
        try:
            await life.live(life.ledger())
            break
        except Crash:
            continue
    store.fail = lambda _number, _verb, _when: None
    assert await picture(store, IDENTITY) == wanted
    assert len(life.launched) == TRIALS + 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_life_on_a_real_server_looks_like_one_on_the_fake(kind: str, request: pytest.FixtureRequest) -> None:
    """The fake is faithful in all that the ledger does."""
    wanted, _ = await undisturbed()
    identity = new_identity()
    async with opened(kind, request) as store:
        life = Life(store, store, identity)
        await life.live(life.ledger())
        assert await picture(store, identity) == wanted


@pytest.mark.tracking
@pytest.mark.parametrize("trouble", [lost, cut], ids=["answers", "requests"])
async def test_a_life_over_a_connection_that_keeps_breaking(mlflow_server: str, trouble: Trouble) -> None:
    """One request in eight is lost, on a real server, with a new process after each: nothing is lost or doubled."""
    wanted, _ = await undisturbed()
    identity = new_identity()
    direct = RestStore(mlflow_server)
    lives, done, launched = 0, False, {}
    async with proxied(mlflow_server, trouble=now_and_then(trouble)) as proxy:
        while not done and lives < 200:
            lives += 1
            store = RestStore(proxy.uri)
            life = Life(store, direct, identity)
            life.launched = launched
            with suppress(TrackingUnavailable):
                await life.live(life.ledger())
                done = True
            await store.close()
    assert lives > 2
    assert await picture(direct, identity) == wanted
    assert await running(direct, identity) == []
    await direct.close()


def now_and_then(trouble: Trouble) -> Trouble:
    """Trouble for one request in eight: always the same ones."""
    chance = random.Random(3)

    async def maybe(proxy: Proxy, request: web.Request) -> web.StreamResponse:
        return await (trouble if chance.random() < 1 / 8 else forward)(proxy, request)

    return maybe


def new_identity() -> Identity:
    """A sweep that no other test has."""
    return replace(IDENTITY, experiment=f"life-{uuid.uuid4().hex[:8]}")
