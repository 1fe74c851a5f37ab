"""The space that a strategy searches once range tests have narrowed the learning rate: a function of spec and findings.

Where the rate has another interval with each optimizer, it is one dimension for each of them, active with that optimizer
alone; strategies know such spaces anyway. Owns the way there and back, so that neither strategies nor the ledger notice:
assignments have the rate under its own name. The user's bounds always contain what is searched.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypersweep.core import range_test
from hypersweep.core.domain import Interval
from hypersweep.core.errors import Problem
from hypersweep.core.space import Condition, Dimension, Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Assignment, Trial

_AT = "@"  # lr@adam: no parameter's own name has it


@dataclass(frozen=True)
class Narrowed(Space):
    """A space in which `names` maps the narrowed dimensions to the parameters that they stand for; constraints speak of these."""

    names: Mapping[str, str] | None = None
    chooses: str = ""  # the optimizer's parameter

    def meets(self, assignment: Assignment) -> bool:
        """Whether the assignment, as the ledger has it, meets all constraints."""
        return super().meets(self.outside(assignment))

    def unmet(self, assignment: Mapping[str, Any], *, path: str) -> list[Problem]:
        """The constraints that the assignment, as the ledger has it, does not meet."""
        return super().unmet(self.outside(assignment), path=path)

    def outside(self, assignment: Assignment) -> Assignment:
        """An assignment of this space, as trials get it."""
        names = self.names or {}
        return {names.get(name, name): value for name, value in assignment.items()}

    def inside(self, assignment: Assignment) -> Assignment:
        """A trial's assignment in this space's names."""
        names, chosen = self.names or {}, assignment.get(self.chooses)
        rates = {name: inner for inner, name in names.items() if inner == f"{name}{_AT}{chosen}"}
        return {rates.get(name, name): value for name, value in assignment.items()}

    def taken(self, trials: Iterable[Trial]) -> list[Trial]:
        """The trials that lie in this space, in its names. Others (an initial trial beyond the interval) are not its own.

        Trials lie in the spec's space, so that nothing but what was narrowed is looked at: a history may be long.
        """
        if not self.names:
            return list(trials)
        moved = (replace(t, parameters=self.inside(t.parameters)) for t in trials)
        names = {d.name for d in self.dimensions}
        narrow = [(d.name, d.domain) for d in self.dimensions if d.name in self.names]
        return [
            t
            for t in moved
            if names.issuperset(t.parameters)
            and all(d.problem(t.parameters[name]) is None for name, d in narrow if name in t.parameters)
        ]


def narrowed(spec: SweepSpec, space: Space, tests: Iterable[Trial]) -> Narrowed:
    """The space as the range tests leave it; the same space where they found nothing."""
    findings, tested = range_test.found(spec, tests), range_test.rate(spec)
    bounds = {value: range_test.narrowed_bounds(spec, finding) for value, finding in findings.items()}
    if tested is None or not any(bounds.values()):
        return Narrowed(space.dimensions, space.constraints)
    chooses = range_test.optimizer(spec)
    if chooses is None:
        return Narrowed(
            _in_place(space, tested.name, bounds[None]), space.constraints, names={tested.name: tested.name}
        )
    choices = next(d for d in space.dimensions if d.name == chooses.name)
    rate = next(d for d in space.dimensions if d.name == tested.name)
    own = [_with_optimizer(rate, choices, value, bounds.get(value)) for value in range_test.cases(spec).values()]
    others = [d for d in space.dimensions if d is not rate]  # first, since parents come before their children
    return Narrowed((*others, *own), space.constraints, {d.name: rate.name for d in own}, chooses.name)


def _in_place(space: Space, name: str, bounds: tuple[float, float] | None) -> tuple[Dimension, ...]:
    return tuple(_within(d, bounds) if d.name == name else d for d in space.dimensions)


def _with_optimizer(
    dimension: Dimension, choices: Dimension, value: Any, bounds: tuple[float, float] | None
) -> Dimension:
    """The rate with one optimizer: its own bounds, and active there alone."""
    others = tuple(c for c in dimension.when if c.parent != choices.name)
    when = tuple(sorted((*others, Condition(choices.name, (value,))), key=lambda c: c.parent))
    return replace(_within(dimension, bounds), name=f"{dimension.name}{_AT}{value}", when=when)


def _within(dimension: Dimension, bounds: tuple[float, float] | None) -> Dimension:
    if bounds is None or not isinstance(dimension.domain, Interval):
        return dimension
    return replace(dimension, domain=replace(dimension.domain, low=bounds[0], high=bounds[1]))
