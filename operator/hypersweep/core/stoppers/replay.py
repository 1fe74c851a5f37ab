"""Who is stopped: the marks of all trials, judged in the one order that no look of anybody's can change, that of their times.

A trial counts for others up to its own verdict: what it went on to log until its Job was gone is nobody's measure. Trials
that have ended are judged no more: what the ledger kept of their marks counts. Marks of one time see each other.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hypersweep.core.stoppers.marks import Marks, Table, loss

Judge = Callable[[float, Sequence[float]], str | None]  # a loss, the losses of its peers, ascending: why to stop


@dataclass(frozen=True)
class Verdict:
    """A trial is to be stopped: the rule, the budget at which it was judged, the value there, and why, for people."""

    rule: str
    budget: int
    value: float
    message: str
    time: float = 0.0  # from when on it holds


@dataclass(frozen=True, order=True)
class _Event:
    """A mark was made: by an open trial, or (`trial` is -1) by one that has ended."""

    time: float
    budget: int
    trial: int
    loss: float


def counted(marks: Marks, verdict: Verdict | None) -> Marks:
    """A trial's marks up to its verdict: what others are compared with."""
    if verdict is None:
        return marks
    return {b: m for b, m in marks.items() if (m.time, b) <= (verdict.time, verdict.budget)}


def replay(
    judge: Judge,
    marks: Mapping[int, Marks],
    table: Table,
    *,
    rule: str,
    sign: float,
    since: float,
    passed: Mapping[int, int] = MappingProxyType({}),
) -> dict[int, Verdict]:
    """The verdicts on these open trials. `since`: when the metric was first seen to have curves; verdicts hold from then.
    `passed`: the budget up to which a trial is judged no more, though its marks count.
    """
    events = sorted(
        _Event(mark.time, budget, trial, loss(mark.value, sign))
        for trial, its in marks.items()
        for budget, mark in its.items()
    )
    fields, late = _fields(events, table)
    found: dict[int, Verdict] = {}
    for together in _simultaneous(sorted([*events, *late])):
        counting = [e for e in together if not _beyond(found.get(e.trial), e)]
        for event in counting:
            insort(fields[event.budget], event.loss)
        for event in counting:
            if event.trial < 0 or event.trial in found or event.budget <= passed.get(event.trial, 0):
                continue
            why = judge(event.loss, _without(fields[event.budget], event.loss))
            if why is not None:
                value, held = marks[event.trial][event.budget].value, max(event.time, since)
                message = f"at budget {event.budget} with {value:.6g}: {why}"
                found[event.trial] = Verdict(rule, event.budget, value, message, held)
    return found


def _fields(events: Sequence[_Event], table: Table) -> tuple[dict[int, list[float]], list[_Event]]:
    """What ended trials left where open ones are judged: losses from before any event there, and the later marks."""
    fields: dict[int, list[float]] = defaultdict(list)
    late: list[_Event] = []
    for event in events:  # by time: the first of each budget
        if event.budget not in fields:
            fields[event.budget], later = table.split(event.budget, event.time)
            late += [_Event(time, event.budget, -1, its) for time, its in later]
    return fields, late


def _simultaneous(events: Iterable[_Event]) -> Iterable[list[_Event]]:
    """The events, those of one time and budget together."""
    together: list[_Event] = []
    for event in events:
        if together and (together[0].time, together[0].budget) != (event.time, event.budget):
            yield together
            together = []
        together.append(event)
    if together:
        yield together


def _beyond(verdict: Verdict | None, event: _Event) -> bool:
    return verdict is not None and (event.time, event.budget) > (verdict.time, verdict.budget)


def _without(field: list[float], own: float) -> list[float]:
    place = bisect_left(field, own)
    return field[:place] + field[place + 1 :]
