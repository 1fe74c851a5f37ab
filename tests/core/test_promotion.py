"""Which paused trials may go on: those that are among the best of their rung by now."""

import math
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core.stoppers import Mark, Queues, Table, Waiting, promotable

LOSSES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.5, math.inf]), min_size=1, max_size=12)


def asked(losses: list[float], *, others: list[float], factor: int = 3) -> tuple[int, ...]:
    """Trials 0, 1, … wait at rung 1 with these losses; others have come there as well, and some of those run on."""
    ended, running = others[::2], others[1::2]
    return promotable(queues({1: losses}), table([*losses, *ended]), {1: running}, factor=factor)


def queues(losses: dict[int, list[float]]) -> Queues:
    """Trials 0, 1, … wait at rungs."""
    found, indices = Queues(), count()
    for rung, its in losses.items():
        for loss in its:
            found.put(rung, Waiting(loss, next(indices)))
    return found


def table(losses: list[float]) -> Table:
    """All have come to rung 1."""
    found = Table()
    for loss in losses:
        found.put({1: Mark(loss, 5.0)}, sign=1.0)
    return found


def test_one_in_so_many_goes_on_the_best_first() -> None:
    assert asked([0.5, 0.2, 0.3, 0.1], others=[0.4, 0.6, 0.7], factor=3) == (3, 1)


def test_the_field_grows_and_lets_more_go_on() -> None:
    """What was not good enough of three is good enough of six."""
    assert asked([0.3], others=[0.2, 0.9]) == ()
    assert asked([0.3], others=[0.2, 0.9, 0.9, 0.9, 0.9]) == (0,)


def test_the_furthest_rung_comes_first() -> None:
    assert promotable(queues({1: [0.1], 9: [0.5], 3: [0.2]}), Table(), {}, factor=3) == (1, 2, 0)


@given(losses=LOSSES, others=LOSSES)
def test_nobody_goes_on_whom_too_many_beat(losses: list[float], others: list[float]) -> None:
    """Nor what is not finite; and whoever is better than one that goes on goes on, and before it."""
    found = asked(losses, others=others)
    field = [*losses, *others]
    for trial in found:
        assert sum(loss < losses[trial] for loss in field) < max(1, len(field) // 3)
        assert math.isfinite(losses[trial])
    better = [i for i, loss in enumerate(losses) if found and loss < losses[found[-1]]]
    assert set(better) <= set(found)
    assert [losses[trial] for trial in found] == sorted(losses[trial] for trial in found)


def test_who_goes_on_leaves_the_table_as_it_was() -> None:
    table = Table()
    table.put({1: Mark(0.3, 5.0), 3: Mark(0.2, 7.0)}, sign=1.0)
    table.put({1: Mark(0.3, 6.0)}, sign=1.0)
    table.take_back({1: Mark(0.3, 5.0), 3: Mark(0.2, 7.0)}, sign=1.0)
    assert (table.size(1), table.better(1, 1.0), table.size(3)) == (1, 1, 0)
    assert table.split(1, 6.0) == ([], [(6.0, 0.3)])


def test_who_waits_no_more_goes_on_no_more() -> None:
    """Of two that are equal, only the one that was meant is taken out."""
    waiting = queues({1: [0.3, 0.3]})
    waiting.take_back(1, Waiting(0.3, 1))
    assert promotable(waiting, table([0.3, 0.3]), {}, factor=2) == (0,)
