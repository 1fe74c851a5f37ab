"""Reading the curves of running trials for early stopping: which marks are new, and what the rule makes of them.

Owns how often curves are looked at, and the order: all marks of a look are taken in before any trial is judged. One search
tells the newest point of every running trial; a curve is read only where a budget was crossed. Decides nothing else:
a verdict waits in the book, where `decide` sees it.
"""

from collections.abc import Iterable
from dataclasses import replace

from hypersweep.controller.book import Book
from hypersweep.core import stoppers
from hypersweep.core.spec import SweepSpec, seconds
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


async def look(ledger: Ledger, book: Book, spec: SweepSpec, running: Iterable[tuple[Trial, Run]]) -> dict[int, float]:
    """Take in what running trials have logged, then judge those that crossed a budget. Returns how far each has come."""
    rule, metric = spec.early_stopping, stoppers.metric_of(spec)
    reached: dict[int, float] = {}
    crossed = _begin(book, spec) if book.judged_by != rule else []
    for trial, run in running:
        newest = run.metrics.get(metric)
        at = newest if rule is None or rule.axis is None else run.metrics.get(rule.axis)
        now = book.open.get(trial.index)  # None: it has ended while another's curve was read
        if rule is None or newest is None or at is None or now is None or trial.index in book.verdicts:
            continue
        reached[trial.index] = float(at.step) if rule.axis is None else at.value
        known = now.rungs
        budgets = stoppers.due(rule, known, reached=reached[trial.index], value=newest.value)
        if budgets:
            points = await ledger.points(run.id, metric, axis=rule.axis)
            _mark(book, trial.index, {**known, **stoppers.marks_of(points, budgets)}, spec)
            crossed.append(trial.index)
    for index in crossed:
        judge(book, spec, index)
    return reached


def _begin(book: Book, spec: SweepSpec) -> list[int]:
    """A rule that is new here: what was seen of all trials is compared anew. Returns the trials to judge."""
    book.judged_by = spec.early_stopping
    book.verdicts.clear()
    for trial in book.trials:
        book.table.put(trial.index, trial.rungs, sign=stoppers.sign_of(spec))
    return list(book.open)


async def finish(ledger: Ledger, book: Book, spec: SweepSpec, index: int) -> bool:
    """Take in the whole curve of a trial that has ended, for those that follow. False: it has none."""
    rule, trial = spec.early_stopping, book.open.get(index)
    if rule is None or trial is None:
        return True
    points = await ledger.points(trial.run, stoppers.metric_of(spec), axis=rule.axis)
    last = max(points, key=lambda p: (p.budget, p.time), default=None)
    if last is not None and index in book.open:
        budgets = stoppers.due(rule, trial.rungs, reached=last.budget, value=last.value)
        _mark(book, index, {**trial.rungs, **stoppers.marks_of(points, budgets)}, spec)
    return len({p.budget for p in points}) > 1


def judge(book: Book, spec: SweepSpec, index: int) -> None:
    """Have the rule look at a trial; a verdict forgets what the trial logged after the budget at which it fell."""
    trial = book.open.get(index)
    if trial is None or spec.early_stopping is None:
        return
    found = stoppers.verdict(spec.early_stopping, index, trial.rungs, book.table, sign=stoppers.sign_of(spec))
    if found is not None:
        book.verdicts[index] = found
        _mark(book, index, {b: m for b, m in trial.rungs.items() if b <= found.budget}, spec)


def _mark(book: Book, index: int, rungs: stoppers.Marks, spec: SweepSpec) -> None:
    trial = book.open.get(index)
    if trial is not None:
        book.put(replace(trial, rungs=rungs))
        book.table.put(index, rungs, sign=stoppers.sign_of(spec))
