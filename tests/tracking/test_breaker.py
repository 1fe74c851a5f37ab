"""The circuit breaker, by a clock of the test's own."""

import asyncio

import pytest

from hypersweep.core.errors import TrackingRefused, TrackingUnavailable
from hypersweep.tracking.breaker import Breaker


class Server:
    """Something to guard: `down` decides how a request ends, `asked` counts those that got through."""

    def __init__(self) -> None:
        self.now = 0.0
        self.down = True
        self.asked = 0
        self.breaker = Breaker(
            failures=3, first=1.0, longest=30.0, clock=lambda: self.now, jitter=lambda _low, high: high
        )

    def ask(self) -> bool:
        """Whether the request went well."""
        try:
            with self.breaker.guard():
                self.asked += 1
                if self.down:
                    raise TrackingUnavailable("down")
        except TrackingUnavailable:
            return False
        return True


def opened() -> Server:
    """One that has failed until the breaker opened, at time 0."""
    server = Server()
    for _ in range(3):
        server.ask()
    return server


def test_it_opens_after_three_failures_in_a_row() -> None:
    """Two are bad luck, and a success in between starts the count again."""
    server = Server()
    for down in (True, True, False, True, True, True, True, True):
        server.down = down
        server.ask()
    assert server.asked == 6


def test_one_probe_passes_when_the_pause_is_over() -> None:
    """Not before, and not two at a time."""
    server = opened()
    server.now = 0.99
    assert not server.ask()
    assert server.asked == 3
    server.now = 1.0
    with server.breaker.guard():
        assert not server.ask()
    assert server.asked == 3


def test_pauses_double_up_to_a_limit() -> None:
    """1, 2, 4, 8, 16, 30, 30 seconds between probes."""
    server = opened()
    times = []
    for tenth in range(1300):
        server.now = tenth / 10
        asked = server.asked
        server.ask()
        if server.asked > asked:
            times.append(server.now)
    assert times == [1, 3, 7, 15, 31, 61, 91, 121]


def test_it_closes_when_the_probe_succeeds() -> None:
    """All requests pass again, and the next pause starts small."""
    server = opened()
    server.now, server.down = 1.0, False
    assert all(server.ask() for _ in range(5))
    assert (server.breaker.down_since, server.breaker.error) == (None, "")
    server.down = True
    asked = server.asked
    for _ in range(5):
        server.ask()
    server.now = 2.0
    server.ask()
    assert server.asked == asked + 4


def test_a_refused_probe_closes_it_too() -> None:
    """A server that says no is up."""
    server = opened()
    server.now = 1.0
    with pytest.raises(TrackingRefused), server.breaker.guard():
        raise TrackingRefused("no")
    server.down = False
    assert server.ask()


def test_a_cancelled_probe_lets_the_next_one_try() -> None:
    """A sweep that ends during its probe must not lock the others out."""
    server = opened()
    server.now = 1.0
    with pytest.raises(asyncio.CancelledError), server.breaker.guard():
        raise asyncio.CancelledError
    server.down = False
    assert server.ask()


def test_requests_that_were_under_way_when_it_opened_lengthen_no_pause() -> None:
    """Four in flight fail together: that is one outage."""
    server = Server()
    guards = [server.breaker.guard() for _ in range(4)]
    for guard in guards:
        guard.__enter__()
    failure = TrackingUnavailable("down")
    for guard in guards:
        assert guard.__exit__(TrackingUnavailable, failure, None) is not True
    server.now, server.down = 1.0, False
    assert server.ask()


def test_pauses_are_jittered() -> None:
    """Many operators do not come back in step."""
    bounds = []
    breaker = Breaker(
        failures=1, first=4.0, clock=lambda: 0.0, jitter=lambda low, high: bounds.append((low, high)) or low
    )
    with pytest.raises(TrackingUnavailable), breaker.guard():
        raise TrackingUnavailable("down")
    assert bounds == [(0.5, 1.0)]
