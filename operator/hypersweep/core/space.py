"""The search space: typed parameters in a canonical order, which of them an assignment must have, and what it must meet.

Owns the graph of `when`, and the verdict on an assignment. A parameter is active where all of its conditions hold; a
condition on an inactive parent does not hold. Proposes nothing: that is for strategies.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

from hypersweep.core.constraints import Constraint, constraints
from hypersweep.core.domain import Domain, domain
from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.ranking import Ranking
from hypersweep.core.spec import Parameter, ParameterConstraint, SweepSpec
from hypersweep.core.trial import Assignment, Value
from hypersweep.core.wording import nearest, shown


@dataclass(frozen=True)
class Condition:
    """Holds where `parent` is active and has one of `values`."""

    parent: str
    values: tuple[Value, ...]
    levels: frozenset[int]  # indices of the values among the parent's


@dataclass(frozen=True)
class Dimension:
    """One parameter: its values, and where it is active. `path`: its place in the manifest."""

    name: str
    domain: Domain
    when: tuple[Condition, ...]
    points: int | None = None  # of a Float, for strategies that need a few of its values
    path: str = field(default="", compare=False)

    def active(self, values: Mapping[str, Value]) -> bool:
        """Whether all conditions hold, given the active parameters before this one."""
        return all(c.parent in values and values[c.parent] in c.values for c in self.when)


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
            tuple(
                Dimension(name, domains[name], _conditions(by_name[name], domains), by_name[name].points, places[name])
                for name in _ordered(by_name, places)
            ),
            constraints(constrained, domains),
        )

    @cached_property
    def cardinality(self) -> int | None:
        """How many assignments there are; None: infinitely many. SpecError: `when` is too entangled.

        Exact without constraints; with them no fewer than there are, since those that they rule out are counted, too.
        """
        fewest = self.ranking([d.domain.size or 1 for d in self.dimensions]).total
        if all(d.domain.size is not None for d in self.dimensions):
            return fewest
        more = self.ranking([d.domain.size or 2 for d in self.dimensions]).total
        return fewest if more == fewest else None  # equal: the intervals are never active

    def ranking(self, levels: Sequence[int]) -> Ranking:
        """Ranks of the assignments when dimension i takes `levels[i]` values (a parent: all of its own)."""
        places = {d.name: i for i, d in enumerate(self.dimensions)}
        return Ranking(levels, [[(places[c.parent], c.levels) for c in d.when] for d in self.dimensions])

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
        return found or [Problem(path, _unmet(c, assignment)) for c in self.constraints if not c.holds(assignment)]

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


def _conditions(parameter: Parameter, domains: Mapping[str, Domain]) -> tuple[Condition, ...]:
    conditions = []
    for when in parameter.when:
        parent = domains[when.parameter]
        levels = frozenset(i for i in range(parent.size or 0) if _spelled(parent.at(i)) in when.values)
        conditions.append(Condition(when.parameter, tuple(map(parent.at, sorted(levels))), levels))
    return tuple(sorted(conditions, key=lambda c: (c.parent, sorted(c.levels))))


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
    conditions = (f"{c.parent} is {' or '.join(sorted(map(_spelled, c.values)))}" for c in dimension.when)
    return f"where {' and '.join(conditions)}"
