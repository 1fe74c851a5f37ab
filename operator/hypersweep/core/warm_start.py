"""What other runs teach a sweep before it begins: runs of MLflow read as trials of its space, and those left out counted.

Pure: whoever reads MLflow hands in what it found. A trial made here has ended, has a negative index (the newest run is -1), and
belongs to the history that strategies learn from: never to the tally, never among the best, and its assignment counts as not
tried, since its result is another experiment's.

| left out as | because |
|---|---|
| NotFinished | the run has come to no result: it runs, crashed, or was cut off |
| NotMeasured | it logged no such objective (or constraint's metric) |
| Missing | a parameter of this sweep that would be active is not among the run's |
| WrongType | its value is none of the parameter's type |
| OutsideSpace | its value is not among the parameter's, or the whole breaks a parameterConstraint |
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypersweep.core.domain import Choices, Domain, is_number
from hypersweep.core.feasibility import violation
from hypersweep.core.space import Space
from hypersweep.core.spec import Constraint, SweepSpec
from hypersweep.core.trial import Assignment, Outcome, Trial, Value
from hypersweep.core.wording import shown

MOST_RUNS = 5000  # that are looked at, of all sources together
_MOST_VALUES = 200_000  # that are kept: of very many parameters, from fewer runs
_EXAMPLE = 200  # characters
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One run of MLflow. `outcome`: Succeeded, Stopped, or Open where there is no result to learn from."""

    run: str
    outcome: Outcome
    parameters: Mapping[str, Any]  # as text, or typed where a sweep wrote them
    values: tuple[float, ...] = ()  # of each objective, in the spec's order; none: not all were logged
    constrained: Mapping[str, float] = field(default_factory=dict)  # metric of a constraint -> value


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Runs that teach nothing, for one reason, and what was wrong with the newest of them."""

    reason: str
    count: int
    example: str


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What was taken: trials for the history of a strategy, oldest first; and what was not."""

    found: int
    trials: tuple[Trial, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def told(self) -> str:
        """For people, in one line."""
        apart = "; ".join(f"{left.count} {left.reason} (such as {left.example})" for left in self.left_out)
        return f"{len(self.trials)} of {self.found} runs taken" + (f", left out: {apart}" if apart else "")


def summary(lessons: Lessons) -> dict[str, Any]:
    """The counts, for people and programs: in the status, and on the sweep's own run."""
    left = [{"reason": x.reason, "count": x.count, "example": x.example} for x in lessons.left_out]
    return {"found": lessons.found, "taken": len(lessons.trials), "leftOut": left}


class _UnfitError(Exception):
    """Why a run is left out: the reason, and what was found."""


def most_runs(spec: SweepSpec) -> int:
    """How many runs are looked at, all sources together."""
    return min(MOST_RUNS, _MOST_VALUES // len(spec.parameters))


def learned(candidates: Sequence[Candidate], space: Space, constraints: Sequence[Constraint] = ()) -> Lessons:
    """The candidates, oldest first, as trials of this space, whose outcome constraints are these."""
    trials: list[Trial] = []
    unfit: dict[str, list[str]] = {}
    for candidate in candidates:
        try:
            trials.append(_trial(candidate, space, constraints))
        except _UnfitError as error:
            reason, what = error.args
            unfit.setdefault(reason, []).append(f"run {candidate.run}: {what}"[:_EXAMPLE])
    left_out = [LeftOut(reason=r, count=len(examples), example=examples[-1]) for r, examples in sorted(unfit.items())]
    return Lessons(found=len(candidates), trials=tuple(numbered(trials)), left_out=tuple(left_out))


def numbered(trials: Sequence[Trial]) -> Iterable[Trial]:
    """The trials, oldest first, with indices below those of any sweep: …, -2, -1."""
    for place, trial in enumerate(trials):
        yield Trial(**{**vars(trial), "index": place - len(trials)})


def _trial(candidate: Candidate, space: Space, constraints: Sequence[Constraint]) -> Trial:
    """Judged as a trial of the sweep would be."""
    if candidate.outcome is Outcome.OPEN:
        raise _UnfitError("NotFinished", "it has no result")
    if not candidate.values:
        raise _UnfitError("NotMeasured", "it has not logged all that this sweep reads")
    parameters = _assignment(candidate.parameters, space)
    beyond = violation(constraints, candidate.constrained)
    finite = all(map(math.isfinite, candidate.values))
    return Trial(
        index=-1,
        run=candidate.run,
        parameters=parameters,
        outcome=candidate.outcome if finite and beyond == 0 else Outcome.INFEASIBLE,
        value=candidate.values[0] if finite else None,
        values=candidate.values if finite else (),
        violation=beyond if finite else 0.0,
    )


def _assignment(given: Mapping[str, Any], space: Space) -> Assignment:
    """The run's values of this space's parameters; others, and those that would be inactive here, do not matter."""
    values: dict[str, Value] = {}
    for d in space.dimensions:
        if not d.active(values):
            continue
        if d.name not in given:
            raise _UnfitError("Missing", d.name)
        value = _typed(d.domain, given[d.name])
        if value is None:
            raise _UnfitError("WrongType", f"{d.name}: found {shown(given[d.name])}")
        if (wrong := d.domain.problem(value)) is not None:
            raise _UnfitError("OutsideSpace", f"{d.name}: {wrong}")
        values[d.name] = d.domain.canonical(value)
    if unmet := space.unmet(values, path="parameters"):
        raise _UnfitError("OutsideSpace", unmet[0].message)
    return values


def _typed(domain: Domain, given: Any) -> Value | None:
    """What a run says of a parameter, in the parameter's kind of value; None: it is of another."""
    if isinstance(domain, Choices) and domain.noun == "strings":
        return given if isinstance(given, str) else None
    if isinstance(domain, Choices) and domain.noun == "booleans":
        return given if isinstance(given, bool) else _BOOLEANS.get(str(given).lower())
    number = _number(given) if isinstance(given, str) else given
    return number if is_number(number) else None


def _number(text: str) -> float | None:
    """A number as trainers log it; whole ones exactly."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
