"""Waiting, within an event loop, for a state with a deadline."""

import asyncio
from collections.abc import Callable


async def until(look: Callable[[], object], *, what: str, seconds: float = 10.0) -> None:
    """Let the loop run until `look()` is true; TimeoutError, naming `what`, if that takes longer than `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while not look():  # noqa: ASYNC110  (any state may be waited for)
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise TimeoutError(f"waited {seconds:g} s for {what}") from None
