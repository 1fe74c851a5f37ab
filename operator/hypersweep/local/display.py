"""What a person sees of a sweep on a laptop: live progress, failures at once, a final table, where to look.

Reads the loop's book; changes nothing. On a terminal the progress is drawn in place; otherwise a line per ended trial.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hypersweep.controller.reporter import Reporter
from hypersweep.core import on_complete
from hypersweep.core.events import WARM_STARTED
from hypersweep.core.trial import Outcome, Phase, Reason, Trial

if TYPE_CHECKING:
    from hypersweep.controller.loop import SweepLoop
    from hypersweep.core.events import Event
    from hypersweep.local.world import LocalWorld

ROWS = 10  # trials of the final table
TRACEBACK_LINES = 15


class Host(Protocol):
    """What the display reads of the host."""

    world: "LocalWorld"
    trial_uri: str
    name: str


def plain(*, stderr: bool = False) -> Console:
    """A console that prints text as it is: logs, metrics and values hold `[/usr/lib]` and `:x:`, which are no markup."""
    return Console(stderr=stderr, markup=False, emoji=False)


class Display:
    """Progress on a console."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or plain(stderr=True)
        self._told = 0
        self._warned: Event | None = None
        self._began = time.time()

    def note(self, message: str) -> None:
        """One line for the person."""
        self.console.print(message, highlight=False)

    def tell(self, event: "Event") -> None:
        """A transition; failures of trials are told with their log as they happen."""
        if event.reason == "RangeTested" and event.type == "Normal":
            self.note(event.message)
        elif event.type == "Warning" and event.reason != "TrialFailed":
            if event == self._warned:  # two conditions that say the same
                return
            self._warned = event
            self.console.print(Text(f"{event.reason}: {event.message}", style="yellow"))
        elif event.reason == WARM_STARTED:
            self.note(f"warm start: {event.message}")

    @contextmanager
    def live(self, loop: "SweepLoop", host: Host) -> Iterator[None]:
        """Draw the progress until the block ends."""
        view = _View(loop, host)
        if not self.console.is_terminal:
            loop.on_look = lambda: self._tell_ended(loop, lines=True)
            yield
            self._tell_ended(loop, lines=True)
            return
        loop.on_look = lambda: self._tell_ended(loop, lines=False)
        with Live(view, console=self.console, refresh_per_second=4, transient=True):
            yield
        self._tell_ended(loop, lines=False)

    def _tell_ended(self, loop: "SweepLoop", *, lines: bool) -> None:
        """Each trial that has ended since the last look: a line where nothing is drawn, and a failure's last words always."""
        if loop.book is None or not loop.book.loaded:
            return
        if self._told == 0 and loop.keeper.resumed:
            self._told = loop.keeper.resumed
            self.note(f"resumed: {loop.keeper.resumed} trials were already in the ledger")
        metrics = [o.metric for o in loop.spec.objectives] if loop.spec else []
        for trial in loop.book.history[self._told :]:
            if lines:
                value = _values(metrics, trial) or trial.reason
                best = loop.book.tally.best
                self.note(
                    f"trial {trial.index}: {trial.outcome}, {value}"
                    + (f" ({trial.message})" if trial.reason == Reason.REUSED else "")
                    + (" (best so far)" if best and best.index == trial.index else "")
                )
            if trial.outcome is Outcome.FAILED:
                words = "\n".join(trial.message.strip().splitlines()[-TRACEBACK_LINES:])
                self.console.print(
                    Text(f"trial {trial.index} failed: {trial.reason} ({trial.where})\n{words}", style="red")
                )
        self._told = len(loop.book.history)

    def interrupted(self, loop: "SweepLoop") -> None:
        """After Ctrl-C."""
        ended = loop.book.tally.ended if loop.book else 0
        self.note(f"interrupted after {ended} trials; run the same command again to continue")

    def final(self, loop: "SweepLoop", host: Host) -> None:
        """The table of the best trials, the end's reason, and where to look."""
        if loop.book is None or loop.spec is None or loop.decision is None or loop.decision.ending is None:
            return
        tally, ending = loop.book.tally, loop.decision.ending
        out = plain() if not self.console.is_terminal else self.console
        names, metrics = [p.name for p in loop.spec.parameters], [o.metric for o in loop.spec.objectives]
        if tally.leaders.top:
            out.print(_table("best trials", tally.leaders.top[:ROWS], names, metrics))
        if tally.leaders.front:
            out.print(_table("Pareto front", tally.leaders.front, names, metrics))
        counts = ", ".join(f"{n} {o.value.lower()}" for o, n in tally.counts.items() if n)
        out.print(f"{'Complete' if ending.complete else 'Failed'}: {ending.reason}: {ending.message}", highlight=False)
        out.print(f"{counts} in {_clock(time.time() - self._began)}; logs in {host.world.folder}", highlight=False)
        report = loop.errands.told.get(Reporter.field, {})
        told = report.get("path") or report.get("message")
        if told:
            out.print(f"report on the sweep's run: {told}", highlight=False, soft_wrap=True)
        if said := loop.errands.told.get(on_complete.FIELD):
            holds, _, message = on_complete.condition(said)
            out.print(f"{'' if holds else 'not '}registered: {message}", highlight=False, soft_wrap=True)
        out.print(f"look closer: mlflow ui --backend-store-uri {host.trial_uri}", highlight=False, soft_wrap=True)


class _View:
    """The live picture; rich asks for it four times a second."""

    def __init__(self, loop: "SweepLoop", host: Host) -> None:
        self.loop, self.host, self.began = loop, host, time.time()

    def __rich__(self) -> RenderableType:
        book, spec = self.loop.book, self.loop.spec
        if book is None or spec is None or not book.loaded:
            return Text("opening the ledger …")
        running = [a for a in self.host.world.attempts() if a.phase is Phase.RUNNING]
        done, most = book.tally.ended, spec.trials.max
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=most, completed=done, width=30),
            f"{done}/{most} trials",
            f"{len(running)} running",
            self._eta(done, most),
        )
        best = book.tally.best
        line = Text("no result yet")
        if best is not None and best.value is not None:
            values = "  ".join(f"{k}={_short(v)}" for k, v in best.parameters.items())
            line = Text.assemble(
                "best ",
                (_values([o.metric for o in spec.objectives], best), "bold green"),
                f" (trial {best.index})  {values}",
            )
        return Group(bar, line)

    def _eta(self, done: int, most: int) -> str:
        fresh = done - self.loop.keeper.resumed
        if fresh < 1:
            return ""
        return f"about {_clock((time.time() - self.began) / fresh * (most - done))} left"


def _values(metrics: Sequence[str], trial: Trial) -> str:
    return ", ".join(f"{metric} {value:.6g}" for metric, value in zip(metrics, trial.values, strict=False))


def _table(title: str, trials: Sequence[Trial], names: Sequence[str], metrics: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    repeated = any(trial.repeats > 1 for trial in trials)  # judged by their mean
    for head in ("trial", *metrics, *(["seeds", "95 % interval"] if repeated else []), *names):
        table.add_column(head, justify="right")
    for trial in trials:
        values = [f"{value:.6g}" for value in trial.values]
        if repeated:
            values += [str(trial.repeats), _interval(trial)]
        table.add_row(str(trial.index), *values, *(_short(trial.parameters.get(n, "-")) for n in names))
    return table


def _interval(trial: Trial) -> str:
    return "{:.4g} to {:.4g}".format(*trial.interval) if trial.interval is not None else "-"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return (
        f"{whole // 3600}h{whole % 3600 // 60:02d}m"
        if whole >= 3600
        else f"{whole // 60}m{whole % 60:02d}s"
        if whole >= 60
        else f"{seconds:.1f}s"
    )
