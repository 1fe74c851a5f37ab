"""A sweep's ledger as the operator remembers it between looks: a cache that a restart rebuilds, never the truth.

Owns the trials, their tally, and what was measured or went wrong since. Knows no I/O. Everything in here is either in the
ledger too, or may be forgotten without harm.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from hypersweep.core.aim import Aim
from hypersweep.core.range_test import is_range_test
from hypersweep.core.resources import Hours, total
from hypersweep.core.snapshot import Action, Ending, Fault, Health, OpenTrial, Snapshot
from hypersweep.core.spec import EarlyStopping, SweepSpec
from hypersweep.core.stoppers import Queues, Table, Verdict, Waiting, counted, loss, promotable, promotes, sign_of
from hypersweep.core.tally import Tally
from hypersweep.core.trial import Attempt, Measurement, Outcome, Reason, Trial
from hypersweep.core.warm_start import Lessons

Move = tuple[Trial, bool]  # a trial was paused (True), or waits no more


class Stopping:
    """What early stopping knows; all of it comes from the ledger and from curves, and is found again after a restart."""

    def __init__(self, rule: EarlyStopping | None = None) -> None:
        self.rule = rule  # that all of this is of
        self.table = Table()  # marks of ended and paused trials
        self.was_read = False  # the curves of all open trials were, once at least
        self.stale = True  # the table has changed since the verdicts
        self.tabled = 0  # how many of the history are in it
        self.moved = 0  # how many pauses and departures
        self.queues = Queues()  # paused trials, by rung
        self.since: float | None = None  # when the metric was first seen to have curves
        self.read_to: dict[int, float] = {}  # how far the curve of an open trial was read
        self.verdicts: Mapping[int, Verdict] = {}
        self.judged: set[int] = set()  # open trials whose attempt ended, and then all curves were read

    def forget(self, index: int) -> None:
        """A trial is open no more."""
        self.verdicts = {trial: verdict for trial, verdict in self.verdicts.items() if trial != index}
        self.read_to.pop(index, None)
        self.judged.discard(index)

    def tabulate(self, history: Sequence[Trial], moves: Sequence[Move], *, sign: float) -> None:
        """Take in which trials have ended, were paused or went on since."""
        ended, moved = history[self.tabled :], moves[self.moved :]
        for trial in ended:
            self._put(trial, sign)
        for trial, came in moved:
            one = Waiting(loss(trial.rungs[trial.rung].value, sign), trial.index)
            if came:
                self._put(trial, sign)
                self.queues.put(trial.rung, one)
            else:
                self.table.take_back(trial.rungs, sign=sign)
                self.queues.take_back(trial.rung, one)
        self.tabled, self.moved = len(history), len(moves)
        self.stale = self.stale or bool(ended or moved)

    def _put(self, trial: Trial, sign: float) -> None:
        self.table.put(trial.rungs, sign=sign)
        self.saw_curve(trial.curve_since)

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
        self.paused: dict[int, Trial] = {}
        self.moves: list[Move] = []  # of paused trials; only ever appended to
        self.spent_by_paused: dict[str, float] = {}  # hours of each resource
        self.history: list[
            Trial
        ] = []  # ended trials, in the order of their ends; only ever appended to, but for a retry
        self.lessons = Lessons(found=0)  # what a warm start has brought; never counted
        self.tally = Tally(aim)
        self.measured: dict[int, Measurement] = {}
        self.faults: dict[int, Fault] = {}
        self.owed: set[int] = set()  # open trials whose account the ledger did not take; forgotten with a restart
        self.stopping = Stopping()
        self.range_tests: dict[int, Trial] = {}  # those that have ended: they are no trials
        self.proposed: dict[int, Trial] = {}  # assignments on their way into the ledger, or in doubt
        self._ended: dict[int, Trial] = {}

    def load(self, trials: Iterable[Trial], *, started: float, lessons: Lessons | None = None) -> None:
        """Take in the ledger's history, in place of whatever was here."""
        every = sorted(trials, key=lambda t: (t.ended or 0.0, t.index))
        known = [t for t in every if not _settled_test(t)]
        self.__init__(self.aim, started=started)  # type: ignore[misc]
        self.range_tests = {t.index: t for t in every if _settled_test(t)}
        self.open = {t.index: t for t in known if t.outcome is Outcome.OPEN}
        for trial in known:
            if trial.outcome is Outcome.PAUSED:
                self._wait(trial)
        self.history = [t for t in known if t.outcome.over]
        self._ended = {t.index: t for t in self.history}
        self.tally = Tally.of(self.aim, known)
        self.lessons = lessons or self.lessons
        self.loaded = True

    def put(self, trial: Trial) -> None:
        """An open trial is new, has changed, or was paused until now."""
        self._wait_no_more(trial.index)
        self.open[trial.index] = trial
        self.tally.take(trial.index)
        self.proposed.pop(trial.index, None)

    def owe(self, trial: Trial) -> None:
        """Its pods are gone, and the ledger could not be told what they used: it is to be told when it can."""
        self.put(trial)
        self.owed.add(trial.index)

    def end(self, trial: Trial) -> None:
        """An open trial has ended: its outcome is in the ledger."""
        self._forget(trial.index)
        if is_range_test(trial.index):
            self.range_tests[trial.index] = trial
            return
        self.history.append(trial)
        self._ended[trial.index] = trial
        self.tally.add(trial)
        if trial.reason != Reason.SWEEP_ENDED:  # which tells nothing, and must not take the end back
            self.expected_improvement = None
        self.exhausted = self.exhausted and self.aim.repeats == 1  # a result may make further repeats worth while

    def take(self, trial: Trial) -> None:
        """An open trial as the ledger has it: it may have ended, or be paused."""
        if trial.outcome.over:
            self.end(trial)
        elif trial.outcome is Outcome.PAUSED:
            self._forget(trial.index)
            self._wait(trial)
        else:
            self.put(trial)

    def reopen(self, trial: Trial) -> None:
        """A failed trial is open again. Counts anew: rare, and the only thing that takes an end back."""
        self._ended.pop(trial.index, None)
        self.stopping = Stopping()
        self.history = [t for t in self.history if t.index != trial.index]
        self.open[trial.index] = trial
        self.tally = Tally.of(self.aim, [*self.history, *self.paused.values(), *self.open.values()])
        self.exhausted = False
        self.expected_improvement = None

    def drop(self, index: int) -> None:
        """An open trial's run is gone from the ledger: its index is free."""
        self._forget(index)
        self.tally.release(index)

    def trial(self, index: int) -> Trial | None:
        elsewhere = self.paused.get(index) or self._ended.get(index) or self.range_tests.get(index)
        return self.open.get(index) or elsewhere

    @property
    def reached(self) -> Sequence[Trial]:
        """Ended trials, and paused ones with what they have reached, as if they ended there."""
        return [*self.history, *(replace(t, outcome=Outcome.STOPPED) for t in self.paused.values())]

    @property
    def spent(self) -> Hours:
        """What the ended trials and range tests have used."""
        return total(
            [self.tally.spent, *(hours for test in self.range_tests.values() for hours in test.spent.values())]
        )

    @property
    def pending(self) -> Sequence[Trial]:
        """Assignments that the strategy must know as under way."""
        return [t for t in (*self.open.values(), *self.proposed.values()) if not is_range_test(t.index)]

    @property
    def told(self) -> Sequence[Trial]:
        """What strategies learn from: a warm start's trials, then the sweep's own."""
        return [*self.lessons.trials, *self.reached]

    def _forget(self, index: int) -> None:
        for kept in (self.open, self.measured, self.faults, self.proposed):
            kept.pop(index, None)
        self._wait_no_more(index)
        self.owed.discard(index)
        self.stopping.forget(index)

    def _wait(self, trial: Trial) -> None:
        self.paused[trial.index] = trial
        self.moves.append((trial, True))
        self.spent_by_paused = total([self.spent_by_paused, *trial.spent.values()])

    def _wait_no_more(self, index: int) -> None:
        trial = self.paused.pop(index, None)
        if trial is not None:
            self.moves.append((trial, False))
            for resource, hours in total(trial.spent.values()).items():
                self.spent_by_paused[resource] -= hours


def _promotable(book: Book, spec: SweepSpec) -> tuple[int, ...] | None:
    """Which paused trials may go on, by all that was recorded until now; None while curves are to be read first."""
    rule, stopping = spec.early_stopping, book.stopping
    if rule is None or rule.asha is None or not promotes(spec):
        return ()
    if stopping.rule != rule or not stopping.was_read:
        return None
    sign = sign_of(spec)
    stopping.tabulate(book.history, book.moves, sign=sign)
    running: dict[int, list[float]] = defaultdict(list)
    for index, trial in book.open.items():
        for rung, mark in counted(trial.rungs, stopping.verdicts.get(index)).items():
            running[rung].append(loss(mark.value, sign))
    return promotable(stopping.queues, stopping.table, running, factor=rule.asha.reduction_factor)


def _settled_test(trial: Trial) -> bool:
    return is_range_test(trial.index) and trial.outcome is not Outcome.OPEN


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
            owed=i in book.owed,
        )
        for i, trial in sorted(book.open.items())
    )
    return Snapshot(
        spec=spec,
        started=book.started,
        tally=book.tally,
        open=views,
        range_tests=tuple(book.range_tests.values()),
        strays=tuple(strays),
        paused=book.paused,
        spent_by_paused=book.spent_by_paused,
        promotable=_promotable(book, spec) if book.paused else (),
        busy=dict(busy),
        exhausted=book.exhausted,
        expected_improvement=book.expected_improvement,
        loaded=book.loaded,
        ended=ended,
        health=health,
    )
