"""A sweep's ledger as the operator remembers it between looks: a cache that a restart rebuilds, never the truth.

Owns the trials, their tally, and what was measured or went wrong since. Knows no I/O. Everything in here is either in the
ledger too, or may be forgotten without harm.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hypersweep.core.aim import Aim
from hypersweep.core.snapshot import Action, Ending, Fault, Health, OpenTrial, Snapshot
from hypersweep.core.spec import EarlyStopping, SweepSpec
from hypersweep.core.stoppers import Table, Verdict
from hypersweep.core.tally import Tally
from hypersweep.core.trial import Attempt, Measurement, Outcome, Trial


class Book:
    """Trials by index, and what belongs to the open ones."""

    def __init__(self, aim: Aim, *, started: float = 0.0) -> None:
        self.aim = aim
        self.started = started
        self.loaded = False
        self.exhausted = False
        self.open: dict[int, Trial] = {}
        self.history: list[
            Trial
        ] = []  # ended trials, in the order of their ends; only ever appended to, but for a retry
        self.tally = Tally(aim)
        self.measured: dict[int, Measurement] = {}
        self.faults: dict[int, Fault] = {}
        self.table = Table()  # what early stopping compares a trial with
        self.verdicts: dict[int, Verdict] = {}
        self.judged_by: EarlyStopping | None = None  # the rule that table and verdicts are of
        self.proposed: dict[int, Trial] = {}  # assignments on their way into the ledger
        self._ended: dict[int, Trial] = {}

    def load(self, trials: Iterable[Trial], *, started: float) -> None:
        """Take in the ledger's history, in place of whatever was here."""
        known = sorted(trials, key=lambda t: (t.ended or 0.0, t.index))
        self.__init__(self.aim, started=started)  # type: ignore[misc]
        self.open = {t.index: t for t in known if t.outcome is Outcome.OPEN}
        self.history = [t for t in known if t.outcome is not Outcome.OPEN]
        self._ended = {t.index: t for t in self.history}
        self.tally = Tally.of(self.aim, known)
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

    def reopen(self, trial: Trial) -> None:
        """A failed trial is open again. Counts anew: rare, and the only thing that takes an end back."""
        self._ended.pop(trial.index, None)
        self.table.drop(trial.index)
        self.history = [t for t in self.history if t.index != trial.index]
        self.open[trial.index] = trial
        self.tally = Tally.of(self.aim, [*self.history, *self.open.values()])
        self.exhausted = False

    def drop(self, index: int) -> None:
        """An open trial's run is gone from the ledger: its index is free."""
        self._forget(index)
        self.tally.release(index)
        self.table.drop(index)

    def trial(self, index: int) -> Trial | None:
        return self.open.get(index) or self._ended.get(index)

    @property
    def trials(self) -> Iterator[Trial]:
        """All that are known, open ones first."""
        yield from self.open.values()
        yield from self._ended.values()

    @property
    def pending(self) -> Sequence[Trial]:
        """Assignments that the strategy must know as under way."""
        return [*self.open.values(), *self.proposed.values()]

    def _forget(self, index: int) -> None:
        for kept in (self.open, self.measured, self.faults, self.proposed, self.verdicts):
            kept.pop(index, None)


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
            verdict=book.verdicts.get(i),
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
        loaded=book.loaded,
        ended=ended,
        health=health,
    )
