"""For how long the processes of an attempt ran, kept in a file beside its log: Ctrl-C and kill -9 lose none of it.

A process counts from its start to its end by the clock on the wall, for what its container requests (world.reserved).
Owns `attempt-N.used`, a line for each process of the attempt that is over; the one at work has a `.pid` file.
"""

import time
from pathlib import Path

from hypersweep.core.resources import Amounts, Usage


def of(log: Path, *, amounts: Amounts, now: float) -> tuple[Usage, ...]:
    """The attempt's processes, earlier ones first; the last begins now."""
    path = log.with_suffix(".used")
    spans = [tuple(map(float, line.split())) for line in path.read_text().splitlines()] if path.exists() else []
    spent = [Usage(id=f"{log.stem}.{i}", amounts=amounts, since=a, until=b) for i, (a, b) in enumerate(spans)]
    return (*spent, Usage(id=f"{log.stem}.{len(spent)}", amounts=amounts, since=now))


def close(log: Path, *, unseen: bool = False) -> None:
    """The attempt's process is over: note from when to when it ran. One whose end is `unseen` ran until it last wrote its log."""
    pid = log.with_suffix(".pid")
    if not pid.exists():
        return
    since = pid.stat().st_mtime
    until = max(since, log.stat().st_mtime) if unseen else time.time()
    with log.with_suffix(".used").open("a") as file:
        file.write(f"{since} {until}\n")
    pid.unlink()
