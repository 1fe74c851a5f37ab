"""What a sweep will do, before anything is spent: its space, its strategy, its first trials, and what it may cost.

Pure, and without a cluster. Exact where it can be (counts); what is estimated by drawing points says so, with its
interval. Judges nothing itself: `admission.check` refuses, `admission.advice` and `hints` warn.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from hypersweep.core import range_test, strategies
from hypersweep.core.admission import advice
from hypersweep.core.constraints import Constraint
from hypersweep.core.domain import Choices, Interval, Lattice
from hypersweep.core.errors import Problem
from hypersweep.core.keyed import number, permuted
from hypersweep.core.proposals import propose
from hypersweep.core.space import Dimension, Space
from hypersweep.core.spec import SweepSpec, seconds
from hypersweep.core.strategies import grid, random
from hypersweep.core.trial import Assignment, Trial

SAMPLES = 2000  # points that are drawn for an estimate: within 2.2 percent points, nineteen times of twenty
PER_PARAMETER = 5  # a rule of thumb: with fewer trials for each parameter, a model has little to learn from
_RATES = ("lr", "learningrate")
_WIDE_RATE = 100  # times from its smallest to its largest: a search spends most of its trials outside what works


@dataclass(frozen=True)
class Estimate:
    """A share that was found by drawing: `count` of `samples`."""

    count: int
    samples: int

    @property
    def share(self) -> float:
        return self.count / self.samples

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Where the share lies with 95 % confidence (Wilson 1927)."""
        n, z = self.samples, 1.96
        centre = (self.share + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(self.share * (1 - self.share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One parameter: its values in words, and how often it is active where that is not always."""

    name: str
    values: str
    condition: str = ""
    active: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What all trials take, at most: hours of trials, hours on the clock, and money where there is a price."""

    trials: int
    trial_hours: float
    clock_hours: float
    price: float | None = None

    @property
    def total(self) -> float | None:
        return None if self.price is None else self.price * self.trial_hours


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Everything that is known beforehand."""

    strategy: str
    reason: str
    size: int | None  # None: infinitely many
    unconditional: int | None  # what the size would be without `when`
    parameters: tuple[Sight, ...]
    constraints: tuple[tuple[Constraint, Estimate], ...]
    meets: Estimate | None  # all constraints at once
    first: tuple[Assignment, ...]
    certain: int  # of the first, so many depend on no result
    warnings: tuple[Problem, ...]
    range_tests: int = 0  # that come before them
    cost: Cost | None = None


def outlook(
    spec: SweepSpec, *, first: int = 5, trial_hours: float | None = None, price: float | None = None
) -> Outlook:
    """What this sweep, which `admission.check` has nothing against, will do."""
    space = Space.of(spec)
    points = list(_sample(spec, space))
    effective, reason = strategies.effective(spec)
    proposed = tuple(_proposed(spec, min(first, spec.trials.max)))
    return Outlook(
        strategy=effective,
        reason=reason,
        size=strategies.size(spec),
        unconditional=_unconditional(spec, space),
        parameters=tuple(_sight(d, points) for d in space.dimensions),
        constraints=tuple((c, Estimate(sum(map(c.holds, points)), len(points))) for c in space.constraints),
        meets=Estimate(sum(map(space.meets, points)), len(points)) if space.constraints else None,
        first=proposed,
        certain=min(len(proposed), _certain(spec)),
        warnings=(*advice(spec), *hints(spec)),
        range_tests=len(range_test.cases(spec)),
        cost=None if trial_hours is None else _cost(spec, trial_hours, price),
    )


# ---- the space ---------------------------------------------------------------------------------------------------------


def _sample(spec: SweepSpec, space: Space) -> Iterator[Assignment]:
    """Points of the space, drawn evenly, whether they meet the constraints or not."""
    if spec.strategy.name != "Grid":
        yield from (random.draw(space, seed=number("plan") >> 33, trial=i) for i in range(SAMPLES))
        return
    points = grid.points(space)
    for i in range(min(SAMPLES, points.size)):
        yield points.at(permuted(i, size=points.size, key=("plan",)))


def _unconditional(spec: SweepSpec, space: Space) -> int | None:
    """Points if every parameter were always active."""
    sizes = [d.points if spec.strategy.name == "Grid" and d.points else d.domain.size for d in space.dimensions]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def _sight(dimension: Dimension, points: Sequence[Assignment]) -> Sight:
    active = Estimate(sum(dimension.name in p for p in points), len(points)) if dimension.when else None
    condition = " and ".join(map(str, dimension.when))
    return Sight(name=dimension.name, values=_values(dimension), condition=condition, active=active)


def _values(dimension: Dimension) -> str:
    values = dimension.domain
    match values:
        case Choices():
            return ", ".join(str(v).lower() if isinstance(v, bool) else str(v) for v in values.values)
        case Lattice():
            edges = values.told.removeprefix("from ")
        case Interval():
            edges = f"{values.low:g} to {values.high:g}"
        case _:
            raise TypeError(values)
    return edges if values.measure.even else f"{edges}, {values.measure}"


# ---- the first trials --------------------------------------------------------------------------------------------------


def _proposed(spec: SweepSpec, count: int) -> Iterator[Assignment]:
    """What is proposed while nothing has ended."""
    pending: list[Trial] = []
    for index in range(count):
        found = propose(spec, history=(), pending=pending, trial=index)
        if found is None:
            return
        pending.append(Trial(index=index, run="", parameters=found.parameters))
        yield found.parameters


def _settled(spec: SweepSpec) -> int:
    """Trials of initial assignments. When racing, results decide which of them has its next seed, and when."""
    return len(spec.initial_trials) * (1 if spec.repeats.racing else spec.repeats.count)


def assignments(spec: SweepSpec) -> int:
    """How many assignments all trials come to, at least: when racing, half of the trials bring a new one, or more."""
    each = min(spec.repeats.count, 2) if spec.repeats.racing else spec.repeats.count
    return math.ceil(spec.trials.max / each)


def _certain(spec: SweepSpec) -> int:
    """Trials that depend on nothing that is found out before them; range tests narrow what is proposed."""
    beside = 0 if spec.learning_rate_range_test else spec.trials.parallel
    return max(beside, _settled(spec))


# ---- warnings ----------------------------------------------------------------------------------------------------------


def hints(spec: SweepSpec) -> list[Problem]:
    """What is worth a thought before money is spent; `validate` keeps silent about it."""
    return [problem for rule in (_small_budget, _rates, _unknown_yet) for problem in rule(spec)]


def _small_budget(spec: SweepSpec) -> Iterator[Problem]:
    size, most = strategies.size(spec), assignments(spec)
    told = f"{spec.trials.max}" if spec.repeats.count == 1 else f"{spec.trials.max}, which makes {most} assignments,"
    searched = sum(d.domain.size != 1 for d in Space.of(spec).dimensions)
    if spec.strategy.name == "Grid":
        if size is not None and size > most:
            yield Problem(
                "spec.trials.max", f"found {told}; the grid has {size:,} points, of which {most / size:.1%} are tried"
            )
    elif most < PER_PARAMETER * searched and (size is None or size > most):
        yield Problem(
            "spec.trials.max",
            f"found {told} for {searched} parameters; with fewer than {PER_PARAMETER} each, a search hardly learns which matter",
        )


def _rates(spec: SweepSpec) -> Iterator[Problem]:
    tested = range_test.rate(spec)
    for i, p in enumerate(spec.parameters):
        if tested is not None and p.name == tested.name:
            continue
        named = p.name.lower().replace("_", "").replace("-", "").endswith(_RATES)
        if named and p.type == "Float" and p.min and p.max and p.min > 0 and p.max / p.min > _WIDE_RATE:
            yield Problem(
                f"spec.parameters[{i}]",
                f"{p.name} ranges over a factor of {p.max / p.min:,.0f}; a learning-rate range test takes seconds and shows "
                "which part of it learns: learningRateRangeTest, or by hand (docs/lr-range.md)",
            )


def _unknown_yet(spec: SweepSpec) -> Iterator[Problem]:
    if spec.warm_start:
        yield Problem(
            "spec.warmStart",
            "what is found there is known when the sweep begins; strategy and trials above are as if it were nothing",
        )


# ---- cost --------------------------------------------------------------------------------------------------------------


def _cost(spec: SweepSpec, trial_hours: float, price: float | None) -> Cost:
    """An upper bound while each trial takes so long: no failed attempt, none stopped early."""
    size, most, parallel = strategies.size(spec), spec.trials.max, max(spec.trials.parallel, 1)
    trials = most if size is None else min(most, (size + len(spec.initial_trials)) * spec.repeats.count)
    clock, spent = math.ceil(trials / parallel) * trial_hours, trials * trial_hours
    if spec.stop_when.duration is not None:
        allowed = seconds(spec.stop_when.duration) / 3600
        clock, spent = min(clock, allowed), min(spent, allowed * parallel)
    return Cost(trials=trials, trial_hours=spent, clock_hours=clock, price=price)
