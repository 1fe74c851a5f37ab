"""A sweep's ledger as the operator remembers it between looks: a cache that a restart rebuilds, never the truth.

Owns the trials, their tally, and what was measured or went wrong since. Knows no I/O. Everything in here is either in the
ledger too, or may be forgotten without harm.
"""

from collections.abc import Iterable, Mapping, Sequence

from hypersweep.core.aim import Aim
from hypersweep.core.snapshot import Action, Ending, Fault, Health, OpenTrial, Snapshot
from hypersweep.core.spec import EarlyStopping, SweepSpec
from hypersweep.core.stoppers import Table, Verdict
from hypersweep.core.tally import Tally
from hypersweep.core.trial import Attempt, Measurement, Outcome, Reason, Trial
from hypersweep.core.warm_start import Lessons


class Stopping:
    """What early stopping knows; all of it comes from the ledger and from curves, and is found again after a restart."""

    def __init__(self, rule: EarlyStopping | None = None) -> None:
        self.rule = rule  # that all of this is of
        self.table = Table()  # marks of ended trials
        self.tabled = 0  # how many of the history are in it
        self.since: float | None = None  # when the metric was first seen to have curves
        self.read_to: dict[int, float] = {}  # how far the curve of an open trial was read
        self.verdicts: Mapping[int, Verdict] = {}
        self.judged: set[int] = set()  # open trials whose attempt ended, and then all curves were read

    def forget(self, index: int) -> None:
        """A trial is open no more."""
        self.read_to.pop(index, None)
        self.judged.discard(index)

    def saw_curve(self, since: float | None) -> None:
        """Some trial's metric had points at two places then."""
        if since is not None:
            self.since = since if self.since is None else min(self.since, since)


class Book:
    """Trials by index, and what belongs to the open ones."""

    def __init__(self, aim: Aim, *, started: float = 0.0) -> None:
        self.aim = aim
        self.started = started
        self.loaded = False
        self.exhausted = False
        self.expected_improvement: float | None = None  # by a further trial, after this history; None: not asked yet
        self.open: dict[int, Trial] = {}
        self.history: list[
            Trial
        ] = []  # ended trials, in the order of their ends; only ever appended to, but for a retry
        self.lessons = Lessons(found=0)  # what a warm start has brought; never counted
        self.tally = Tally(aim)
        self.measured: dict[int, Measurement] = {}
        self.faults: dict[int, Fault] = {}
        self.stopping = Stopping()
        self.proposed: dict[int, Trial] = {}  # assignments on their way into the ledger
        self._ended: dict[int, Trial] = {}

    def load(self, trials: Iterable[Trial], *, started: float, lessons: Lessons | None = None) -> None:
        """Take in the ledger's history, in place of whatever was here."""
        known = sorted(trials, key=lambda t: (t.ended or 0.0, t.index))
        self.__init__(self.aim, started=started)  # type: ignore[misc]
        self.open = {t.index: t for t in known if t.outcome is Outcome.OPEN}
        self.history = [t for t in known if t.outcome is not Outcome.OPEN]
        self._ended = {t.index: t for t in self.history}
        self.tally = Tally.of(self.aim, known)
        self.lessons = lessons or self.lessons
        self.loaded = True

    def put(self, trial: Trial) -> None:
        """An open trial is new, or has changed."""
        self.open[trial.index] = trial
        self.tally.take(trial.index)
        self.proposed.pop(trial.index, None)

    def end(self, trial: Trial) -> None:
        """An open trial has ended: its outcome is in the ledger."""
        self._forget(trial.index)
        self.history.append(trial)
        self._ended[trial.index] = trial
        self.tally.add(trial)
        if trial.reason != Reason.SWEEP_ENDED:  # which tells nothing, and must not take the end back
            self.expected_improvement = None
        self.exhausted = self.exhausted and self.aim.repeats == 1  # a result may make further repeats worth while

    def reopen(self, trial: Trial) -> None:
        """A failed trial is open again. Counts anew: rare, and the only thing that takes an end back."""
        self._ended.pop(trial.index, None)
        self.stopping = Stopping()
        self.history = [t for t in self.history if t.index != trial.index]
        self.open[trial.index] = trial
        self.tally = Tally.of(self.aim, [*self.history, *self.open.values()])
        self.exhausted = False
        self.expected_improvement = None

    def drop(self, index: int) -> None:
        """An open trial's run is gone from the ledger: its index is free."""
        self._forget(index)
        self.tally.release(index)

    def trial(self, index: int) -> Trial | None:
        return self.open.get(index) or self._ended.get(index)

    @property
    def pending(self) -> Sequence[Trial]:
        """Assignments that the strategy must know as under way."""
        return [*self.open.values(), *self.proposed.values()]

    @property
    def told(self) -> Sequence[Trial]:
        """Ended assignments that the strategy learns from: a warm start's, then the sweep's own."""
        return [*self.lessons.trials, *self.history]

    def _forget(self, index: int) -> None:
        for kept in (self.open, self.measured, self.faults, self.proposed):
            kept.pop(index, None)
        self.stopping.forget(index)


def snapshot(
    book: Book,
    spec: SweepSpec,
    attempts: Sequence[Attempt],
    *,
    busy: Mapping[int, Action],
    ended: Ending | None,
    health: Health,
) -> Snapshot:
    """Join what the ledger holds with what the world shows: O(attempts that exist), whatever the history's length."""
    newest: dict[int, Attempt] = {}
    strays: list[tuple[Attempt, Trial | None]] = []
    older_active: set[int] = set()
    for attempt in attempts:
        trial = book.open.get(attempt.trial)
        if trial is not None and attempt.number == trial.attempt:
            newest[attempt.trial] = attempt
            continue
        if trial is not None and not attempt.phase.ended:
            older_active.add(attempt.trial)
        strays.append((attempt, book.trial(attempt.trial)))
    views = tuple(
        OpenTrial(
            trial=trial,
            attempt=newest.get(i),
            measured=book.measured.get(i),
            fault=book.faults.get(i),
            verdict=book.stopping.verdicts.get(i),
            judged=spec.early_stopping is None or i in book.stopping.judged,
            older_active=i in older_active,
        )
        for i, trial in sorted(book.open.items())
    )
    return Snapshot(
        spec=spec,
        started=book.started,
        tally=book.tally,
        open=views,
        strays=tuple(strays),
        busy=dict(busy),
        exhausted=book.exhausted,
        expected_improvement=book.expected_improvement,
        loaded=book.loaded,
        ended=ended,
        health=health,
    )
