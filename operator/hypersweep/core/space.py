"""The search space: typed parameters in a canonical order, which of them an assignment must have, and what it must meet.

Owns the graph of `when`, and the verdict on an assignment. A parameter is active where all of its conditions hold; a
condition on an inactive parent does not hold. Proposes nothing: that is for strategies.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

from hypersweep.core.constraints import Constraint, constraints
from hypersweep.core.domain import Domain, Levels, domain, is_number
from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.ranking import Ranking
from hypersweep.core.spec import Parameter, ParameterConstraint, SweepSpec, When
from hypersweep.core.trial import Assignment, Value
from hypersweep.core.wording import nearest, shown


@dataclass(frozen=True)
class Condition:
    """Holds where `parent` is active and has one of `values`; of a number: where it lies from `low` to `high`."""

    parent: str
    values: tuple[Value, ...] | None = None
    low: float = -math.inf
    high: float = math.inf

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Given the active parameters before; of a value that is none of the parent's it does not hold."""
        if self.parent not in values:
            return False
        value = values[self.parent]
        if self.values is not None:
            return value in self.values
        return is_number(value) and self.low <= value <= self.high

    def ranges(self, levels: Levels) -> Sequence[range]:
        """The levels of the parent for which it holds."""
        if self.values is not None:
            return [range(i, i + 1) for i in range(levels.size) if levels.at(i) in self.values]
        return [range(levels.first(lambda v: v >= self.low), levels.first(lambda v: v > self.high))]

    def __str__(self) -> str:
        if self.values is not None:
            return f"{self.parent} is {' or '.join(sorted(map(_spelled, self.values)))}"
        edges = [
            f"{word} {edge:g}" for word, edge in (("at least", self.low), ("at most", self.high)) if math.isfinite(edge)
        ]
        return f"{self.parent} is {' and '.join(edges)}"


@dataclass(frozen=True)
class Dimension:
    """One parameter: its values, and where it is active. `path`: its place in the manifest."""

    name: str
    domain: Domain
    when: tuple[Condition, ...]
    points: int | None = None  # of a Float, for strategies that need a few of its values
    default: Any = None  # its value in the trial of the defaults; checked by `problems` there
    path: str = field(default="", compare=False)

    def active(self, values: Mapping[str, Any]) -> bool:
        """Whether all conditions hold, given the active parameters before this one."""
        return all(condition.holds(values) for condition in self.when)


@dataclass(frozen=True)
class Space:
    """All parameters, parents before children, and by name where that leaves a choice; and the constraints on them."""

    dimensions: tuple[Dimension, ...]
    constraints: tuple[Constraint, ...] = ()

    @classmethod
    def of(cls, spec: SweepSpec) -> "Space":
        """The space that a sweep searches. SpecError: see `from_parameters`."""
        return cls.from_parameters(spec.parameters, constrained=spec.parameter_constraints)

    @classmethod
    def from_parameters(
        cls,
        parameters: Sequence[Parameter],
        *,
        constrained: Sequence[ParameterConstraint] = (),
        path: str = "spec.parameters",
    ) -> "Space":
        """The space of these parameters, the same for any order of them.

        SpecError: conditions that lead in a circle, constraints that mean nothing.

        What `rules.py` checks is taken for granted: bounds, and parents that exist and have the values.
        """
        domains = {p.name: domain(p) for p in parameters}
        places = {p.name: f"{path}[{i}]" for i, p in enumerate(parameters)}
        by_name = {p.name: p for p in parameters}
        return cls(
            tuple(_dimension(by_name[name], domains, path=places[name]) for name in _ordered(by_name, places)),
            constraints(constrained, domains),
        )

    @cached_property
    def cardinality(self) -> int | None:
        """How many assignments there are; None: infinitely many. SpecError: `when` is too entangled.

        Exact without constraints; with them no fewer than there are, since those that they rule out are counted, too.
        """
        fewest = self._total(more=0)
        if all(d.domain.size is not None for d in self.dimensions):
            return fewest
        return fewest if self._total(more=1) == fewest else None  # equal: the intervals are never active

    def _total(self, *, more: int) -> int:
        """Assignments where an interval has a few values only, and `more` besides."""
        return self.ranking([_levels(d, self.dimensions, more) for d in self.dimensions]).total

    def ranking(self, levels: Sequence[Levels]) -> Ranking:
        """Ranks of the assignments when dimension i takes the values of `levels[i]`."""
        places = {d.name: i for i, d in enumerate(self.dimensions)}
        rules = [[(places[c.parent], c.ranges(levels[places[c.parent]])) for c in d.when] for d in self.dimensions]
        return Ranking([level.size for level in levels], rules)

    def meets(self, assignment: Assignment) -> bool:
        """Whether an assignment without other problems meets all constraints."""
        return all(constraint.holds(assignment) for constraint in self.constraints)

    def active(self, assignment: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the parameters that this assignment must have, and no others; wrong values make nothing active."""
        values: dict[str, Any] = {}
        for d in self.dimensions:
            if d.active(values):
                values[d.name] = assignment.get(d.name)
        return tuple(values)

    def problems(self, assignment: Mapping[str, Any], *, path: str = "parameters") -> list[Problem]:
        """Everything wrong with an assignment: unknown, missing, inactive, of a value that is not allowed, or unmet."""
        active = set(self.active(assignment))
        found = [
            Problem(f"{path}.{name}", f"no such parameter; {nearest(name, self._names)}")
            for name in assignment
            if name not in self._names
        ]
        for d in self.dimensions:
            where = f"{path}.{d.name}"
            if d.name not in assignment:
                if d.name in active:
                    found.append(Problem(where, "missing: each active parameter needs a value"))
            elif (wrong := d.domain.problem(assignment[d.name])) is not None:
                found.append(Problem(where, wrong))
            elif d.name not in active:
                found.append(Problem(where, f"found a value, but the parameter is inactive: it exists only {_told(d)}"))
        return found or self.unmet(assignment, path=path)

    def unmet(self, assignment: Mapping[str, Any], *, path: str) -> list[Problem]:
        """The constraints that an assignment without other problems, or a part of one, does not meet."""
        return [Problem(path, _unmet(c, assignment)) for c in self.constraints if not c.holds(assignment)]

    def canonical(self, assignment: Mapping[str, Any]) -> Assignment:
        """The same assignment in canonical order and exact types. SpecError: it has problems."""
        if problems := self.problems(assignment):
            raise SpecError(problems)
        return {d.name: d.domain.canonical(assignment[d.name]) for d in self.dimensions if d.name in assignment}

    def key(self, assignment: Assignment) -> Hashable:
        """Equal for equal assignments."""
        return tuple(map(assignment.get, self._names))

    @cached_property
    def _names(self) -> dict[str, None]:
        return dict.fromkeys(d.name for d in self.dimensions)


def _spelled(value: Value) -> str:
    """A parent's value as `when` spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _dimension(parameter: Parameter, domains: Mapping[str, Domain], *, path: str) -> Dimension:
    when = tuple(sorted((_condition(w, domains[w.parameter]) for w in parameter.when), key=lambda c: c.parent))
    values = domains[parameter.name]
    return Dimension(parameter.name, values, when, parameter.points, parameter.default, path)


def _condition(when: When, parent: Domain) -> Condition:
    if when.values is not None:
        values = (parent.at(i) for i in range(parent.size or 0))
        return Condition(when.parameter, tuple(v for v in values if _spelled(v) in when.values))
    low = -math.inf if when.min is None else when.min
    high = math.inf if when.max is None else when.max
    return Condition(when.parameter, None, low, high)


def _levels(dimension: Dimension, others: Sequence[Dimension], more: int) -> Levels:
    """All values; of an interval, one for each part that conditions on it tell apart, and `more` besides."""
    size = dimension.domain.size
    if size is not None:
        return Levels(size, dimension.domain.at)
    low, high = float(dimension.domain.near(0.0)), float(dimension.domain.near(1.0))
    conditions = [c for d in others for c in d.when if c.parent == dimension.name]
    edges = sorted({low, high, *(edge for c in conditions for edge in (c.low, c.high) if low < edge < high)})
    values = sorted([*edges, *((a + b) / 2 for a, b in pairwise(edges))]) if conditions else [low]
    values += [values[-1]] * more
    return Levels(len(values), values.__getitem__)


def _ordered(parameters: Mapping[str, Parameter], places: Mapping[str, str]) -> list[str]:
    """Names, parents first, by generation and then by name. SpecError: a cycle."""
    sorter = TopologicalSorter({name: sorted({w.parameter for w in p.when}) for name, p in sorted(parameters.items())})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        message = f"found a circle, {' → '.join(cycle)}; allowed: conditions that lead back to a parameter without any"
        raise SpecError([Problem(f"{places[min(cycle)]}.when", message)]) from None
    names: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        names += ready
        sorter.done(*ready)
    return names


def _unmet(constraint: Constraint, assignment: Mapping[str, Any]) -> str:
    found = ", ".join(f"{name} {shown(assignment[name])}" for name in constraint.names)
    reason = f" ({constraint.message})" if constraint.message else ""
    return f"found {found}; allowed: what meets `{constraint.expression}`{reason}"


def _told(dimension: Dimension) -> str:
    return f"where {' and '.join(map(str, dimension.when))}"
