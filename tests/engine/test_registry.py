"""The loops of all sweeps: what becomes of the process when one of them fails, or hangs."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from hypersweep.controller import registry as registries
from hypersweep.controller.registry import Registry


class Loop:
    """A sweep's loop that does `work`, and whose last look is long ago."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.wake, self.progressed, self.begun = asyncio.Event(), time.time() - 2 * registries.STUCK_AFTER, 0
        self._work = work

    async def run(self) -> None:
        self.begun += 1
        await self._work()


async def fail() -> None:
    raise ValueError("a mistake of ours")


async def hang() -> None:
    await asyncio.Event().wait()


def sweep(name: str) -> Mapping[str, Any]:
    return {"metadata": {"uid": name, "namespace": "team", "name": name}}


async def test_a_loop_that_hangs_restarts_the_process_and_one_that_fails_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One broken sweep must not stop the others, again and again."""
    monkeypatch.setattr(registries, "_RESTART_DELAY", 0.01)
    loops = {"fails": Loop(fail), "hangs": Loop(hang)}
    registry = Registry(lambda body: (loops[body["metadata"]["name"]], lambda _: False))
    for name in loops:
        registry.seen(sweep(name))
    async with asyncio.timeout(10):
        while loops["fails"].begun < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert registry.stuck() == ["team/hangs"]
    await registry.close()
