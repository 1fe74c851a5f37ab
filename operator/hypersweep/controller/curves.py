"""Reading the curves of running trials for early stopping: which marks are new, and what the rule makes of them.

Owns how often curves are looked at, and the order: all marks of a look are taken in before any trial is judged. One search
tells the newest point of every running trial; a curve is read only where a budget was crossed. Decides nothing else:
a verdict waits in the book, where `decide` sees it.
"""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from hypersweep.controller.book import Book, Stopping
from hypersweep.core import stoppers
from hypersweep.core.spec import EarlyStopping, SweepSpec, seconds
from hypersweep.core.stoppers import Point
from hypersweep.core.trial import Trial
from hypersweep.tracking.base import Run
from hypersweep.tracking.ledger import Ledger

SOONEST = 1.0  # seconds between two looks at the least


class Pace:
    """How often to look: as often as the fastest trial logs, at most once a second, at least once in the rule's `poll`."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, float]] = {}  # trial -> (budget, when it was seen first)
        self._spacing: float | None = None  # seconds between two points of the fastest trial

    def saw(self, reached: dict[int, float], now: float) -> None:
        """Where each running trial has come to."""
        moved = [
            (now - since) / (budget - before)
            for trial, budget in reached.items()
            for before, since in [self._seen.get(trial, (budget, now))]
            if budget > before
        ]
        fresh = {t: (b, now) for t, b in reached.items() if t not in self._seen or self._seen[t][0] != b}
        self._seen = {t: fresh.get(t, self._seen.get(t, (b, now))) for t, b in reached.items()}
        if moved:
            self._spacing = min(moved)

    def period(self, spec: SweepSpec) -> float:
        """Seconds between two looks."""
        longest = seconds(spec.early_stopping.poll) if spec.early_stopping else SOONEST
        return min(longest, max(SOONEST, self._spacing or SOONEST))


async def look(
    ledger: Ledger, book: Book, spec: SweepSpec, runs: Sequence[tuple[Trial, Run]], *, ending: Container[int]
) -> dict[int, float]:
    """Take in what open trials have logged, then judge them. Returns how far each has come.

    All is read before anything is taken in, and of a curve no more than the search for open trials saw: no trial is seen later
    than another. `ending`: trials whose attempt has ended; their curves are read to the end.
    """
    rule, metric = spec.early_stopping, stoppers.metric_of(spec)
    if rule is None:
        return {}
    if book.stopping.rule != rule:
        book.stopping = Stopping(rule)  # nothing is proven yet, so that all curves are read anew
    reached, found = dict[int, float](), dict[int, list[Point]]()
    for trial, run in runs:
        newest, at = run.metrics.get(metric), run.metrics.get(rule.axis or metric)
        if newest is None or at is None or trial.index not in book.open:
            continue
        place = float(at.step) if rule.axis is None else at.value
        if not math.isfinite(place):
            continue
        reached[trial.index] = place
        if trial.index in ending or _asks(rule, book, trial.index, place=place, value=newest.value):
            points = await ledger.points(run.id, metric, axis=rule.axis)
            found[trial.index] = [p for p in points if p.budget <= place]
    _take_in(book, spec, rule, found, reached)
    return reached


def _asks(rule: EarlyStopping, book: Book, index: int, *, place: float, value: float) -> bool:
    """Whether a curve has to be read: a budget was crossed, or this may be the first to show that the metric has curves."""
    known, stopping = book.open[index], book.stopping
    if index in stopping.verdicts:
        return False  # what it logs until its Job is gone counts for nobody
    unproven = stopping.since is None and place > stopping.read_to.get(index, 0.0)
    return unproven or stoppers.due(rule, known.rungs, reached=place, value=value)


def _take_in(
    book: Book, spec: SweepSpec, rule: EarlyStopping, found: Mapping[int, list[Point]], reached: Mapping[int, float]
) -> None:
    """What was read, and what has ended since; then the verdicts anew."""
    stopping, sign = book.stopping, stoppers.sign_of(spec)
    for index, points in found.items():
        trial = book.open.get(index)
        if trial is not None:
            marks, since = stoppers.read(rule, points, reached=reached[index]), stoppers.curve_since(points)
            book.put(replace(trial, rungs=marks, curve_since=since))
            stopping.read_to[index] = reached[index]
            stopping.saw_curve(since)
    stopping.tabulate(book.history, book.moves, sign=sign)
    if found or stopping.stale:
        marks_of_open = {index: trial.rungs for index, trial in book.open.items() if trial.rungs}
        passed = {index: trial.rung for index, trial in book.open.items() if trial.rung}
        stopping.verdicts = stoppers.verdicts(
            rule, marks_of_open, stopping.table, sign=sign, since=stopping.since, passed=passed
        )
    stopping.stale, stopping.was_read = False, True
