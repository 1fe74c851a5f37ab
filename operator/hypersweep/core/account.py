"""What a sweep has used, and when a limit of it will be reached. Pure: what the ledger holds, and what runs now.

Owns the sum over trials. Ended ones are in the tally; of an open one, the account and its newest attempt's pods. Older
attempts were charged when the next was planned.
"""

import math

from hypersweep.core.resources import Usage, charged, total
from hypersweep.core.snapshot import OpenTrial, Snapshot
from hypersweep.core.spec import ResourceLimit
from hypersweep.core.trial import Phase


def used(snapshot: Snapshot, now: float) -> dict[str, float]:
    """Hours of each resource, over all trials and range tests: O(open trials)."""
    of_open = (hours for view in snapshot.open for hours in charged(view.trial.spent, _usage(view), now).values())
    of_tests = (hours for test in snapshot.range_tests for hours in test.spent.values())
    return total([snapshot.tally.spent, snapshot.spent_by_paused, *of_tests, *of_open])


def limit_reached(snapshot: Snapshot, now: float) -> tuple[ResourceLimit, float] | None:
    """The first limit that is used up, and how much was used."""
    limits = snapshot.spec.stop_when.resource_hours
    spent = used(snapshot, now) if limits else {}
    return next(((limit, n) for limit in limits if (n := spent.get(limit.resource, 0.0)) >= limit.max), None)


def seconds_left(snapshot: Snapshot, now: float) -> float:
    """Until a limit is reached if all goes on as it does; infinite when none will be."""
    limits = snapshot.spec.stop_when.resource_hours
    if not limits:
        return math.inf
    spent, soonest = used(snapshot, now), math.inf
    rates = total(dict(u.amounts) for view in snapshot.open for u in _usage(view) if u.until is None)
    for limit in limits:
        if rate := rates.get(limit.resource, 0.0):
            soonest = min(soonest, max(0.0, limit.max - spent.get(limit.resource, 0.0)) / rate * 3600)
    return soonest


def unaccounted(view: OpenTrial) -> bool:
    """Whether the trial had a pod that its account does not hold, and that is not the one at work: nobody else remembers it."""
    usage = _usage(view)
    if view.attempt is not None and view.attempt.phase is Phase.RUNNING:
        usage = usage[:-1]
    return any(view.trial.spent.get(u.id) != u.hours(0.0) for u in usage if u.until is not None)


def _usage(view: OpenTrial) -> tuple[Usage, ...]:
    return view.attempt.usage if view.attempt is not None else ()
