"""Which assignment a trial gets: a new one from the strategy, or one that is to be repeated with another seed.

Pure: a function of what is recorded. With repeats the strategy sees one trial for each assignment, numbered as they would be
if there were no repeats (the initial ones by their place, the others as they were first tried): it proposes none twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count as counting

from hypersweep.core.aim import Aim
from hypersweep.core.repeats import Group, as_one, grouped, next_repeat
from hypersweep.core.spec import SweepSpec
from hypersweep.core.strategies import first, suggest
from hypersweep.core.trial import Assignment, Outcome, Trial


@dataclass(frozen=True)
class Proposal:
    """A trial to be: its assignment, and the initial trial's name, if it is one (or a repeat of one)."""

    parameters: Assignment
    name: str = ""


def propose(
    spec: SweepSpec,
    *,
    history: Sequence[Trial],
    pending: Sequence[Trial],
    trial: int,
    range_tests: Sequence[Trial] = (),
) -> Proposal | None:
    """The assignment of trial number `trial`. None: all has been tried, for now with all the seeds that it is to have.

    `range_tests` have ended, and narrow what is new; they are no trials, and in none of the others.
    """
    ask = partial(suggest, spec, range_tests=range_tests)
    if spec.repeats.count == 1:
        parameters = ask(history=history, pending=pending, trial=trial)
        return Proposal(parameters, _name(spec, trial)) if parameters is not None else None
    sign, racing = Aim.of(spec).signs[0], spec.repeats.racing
    groups = grouped((t for t in (*history, *pending) if t.index >= 0), sign=sign, first=first(spec))
    due = next_repeat(groups, sign=sign, count=spec.repeats.count, racing=racing)
    if due is None:
        number = _free(groups)
        parameters = _new(ask, groups, [t for t in history if t.index < 0], number)
        if parameters is not None:
            return Proposal(parameters, _name(spec, number))
        due = next_repeat(groups, sign=sign, count=spec.repeats.count, racing=racing, exhausted=True)
    return Proposal(due.parameters, due.trials[0].name) if due is not None else None


def _new(
    ask: Callable[..., Assignment | None], groups: Sequence[Group], elsewhere: Sequence[Trial], number: int
) -> Assignment | None:
    """What the strategy answers who is shown groups for trials, and trials of other sweeps as they are."""
    seen = [replace(as_one(group), index=group.number) for group in groups]
    history = [*elsewhere, *(t for t in seen if t.outcome is not Outcome.OPEN)]
    return ask(history=history, pending=[t for t in seen if t.outcome is Outcome.OPEN], trial=number)


def _free(groups: Sequence[Group]) -> int:
    """The smallest number that no group has."""
    taken = {group.number for group in groups}
    return next(number for number in counting() if number not in taken)


def _name(spec: SweepSpec, number: int) -> str:
    if number >= len(spec.initial_trials):
        return ""
    initial = spec.initial_trials[number]
    return initial.name or (initial.defaults or "").lower()
