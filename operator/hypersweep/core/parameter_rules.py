"""Rules of parameters: of one, of one condition, and of all together (the parents that `when` names).

Each stands beside its CEL, as `rules.py` says, which holds the others.
"""

import math
from collections.abc import Iterator

from hypersweep.core.rule import Rule, told
from hypersweep.core.spec import LARGEST_INTEGER, Parameter, SweepSpec, When

_RANGED = ("Float", "Integer")

# ---- one parameter ----------------------------------------------------------------------------------------------------


def _belongs(field: str, *types: str) -> Rule:
    """A field that only some types of parameters have."""
    allowed = " and ".join(types)
    return Rule(
        field=field,
        cel=f"!has(self.{field}) || self.type in [{', '.join(repr(t) for t in types)}]",
        reason="FieldValueForbidden",
        message=f"`{field}` does not belong to type {{type}}; it is for {allowed}",
        holds=lambda p: getattr(p, field) is None or p.type in types,
    )


def _needs(field: str, *types: str) -> Rule:
    """A field that some types of parameters must have."""
    return Rule(
        field=field,
        cel=f"has(self.{field}) || !(self.type in [{', '.join(repr(t) for t in types)}])",
        reason="FieldValueRequired",
        message=f"type {{type}} needs `{field}`; found none",
        holds=lambda p: getattr(p, field) is not None or p.type not in types,
    )


def _whole(field: str) -> Rule:
    """Whole numbers that every reader of JSON keeps exactly."""
    value, bound = f"self.{field}", f"{LARGEST_INTEGER}.0"
    return Rule(
        field=field,
        cel=f"self.type != 'Integer' || !has({value}) || "
        f"({value} >= -{bound} && {value} <= {bound} && double(int({value})) == {value})",
        message=f"`{field}` of an Integer parameter is {{{field}}}; allowed: whole numbers from -2^53 to 2^53",
        holds=lambda p: p.type != "Integer" or _is_whole(getattr(p, field)),
    )


def _is_whole(value: float | None) -> bool:
    return value is None or (abs(value) <= LARGEST_INTEGER and float(value).is_integer())


def _with_distribution(field: str) -> Iterator[Rule]:
    """Both or neither."""
    yield Rule(
        field=field,
        cel=f"has(self.{field}) || !has(self.distribution)",
        reason="FieldValueRequired",
        message=f"distribution {{distribution}} needs `{field}`; found none",
        holds=lambda p: getattr(p, field) is not None or p.distribution is None,
    )
    yield Rule(
        field=field,
        cel=f"!has(self.{field}) || has(self.distribution)",
        reason="FieldValueForbidden",
        message=f"`{field}` is {{{field}}} without a distribution; it belongs to `distribution: Normal` and `LogNormal`",
        holds=lambda p: getattr(p, field) is None or p.distribution is not None,
    )


_DISTRIBUTION = (
    *_with_distribution("mean"),
    *_with_distribution("deviation"),
    Rule(
        field="distribution",
        cel="!has(self.distribution) || !has(self.scale)",
        message="found both `distribution` {distribution} and `scale` {scale}; a distribution brings its own, give one of them",
        holds=lambda p: p.distribution is None or p.scale is None,
    ),
    Rule(
        field="mean",
        cel="!has(self.mean) || !has(self.min) || !has(self.max) || (self.mean >= self.min && self.mean <= self.max)",
        message="`mean` is {mean}; it must lie from `min` {min} to `max` {max}",
        holds=lambda p: None in (p.mean, p.min, p.max) or p.min <= p.mean <= p.max,
    ),
    Rule(
        field="deviation",
        cel="!has(self.deviation) || self.deviation > 0.0",
        message="`deviation` is {deviation}; it must be greater than 0",
        holds=lambda p: p.deviation is None or p.deviation > 0,
    ),
    Rule(
        field="min",
        cel="!has(self.min) || !has(self.distribution) || self.distribution != 'LogNormal' || self.min > 0.0",
        message="`min` is {min}; with distribution LogNormal it must be greater than 0",
        holds=lambda p: p.min is None or p.distribution != "LogNormal" or p.min > 0,
    ),
)
PARAMETER = (
    *(_needs(field, *_RANGED) for field in ("min", "max")),
    _needs("numbers", "Discrete"),
    _needs("values", "Categorical"),
    *(_belongs(field, *_RANGED) for field in ("min", "max", "scale", "distribution", "step")),
    _belongs("points", "Float"),
    _belongs("numbers", "Discrete"),
    _belongs("values", "Categorical"),
    *(_whole(field) for field in ("min", "max", "step")),
    Rule(
        field="min",
        cel="!has(self.min) || !has(self.max) || self.min < self.max",
        message="`min` is {min}, `max` is {max}; `min` must be smaller than `max`",
        holds=lambda p: p.min is None or p.max is None or p.min < p.max,
    ),
    Rule(
        field="min",
        cel="!has(self.min) || !has(self.scale) || self.scale != 'Log' || self.min > 0.0",
        message="`min` is {min}; with scale Log it must be greater than 0",
        holds=lambda p: p.min is None or p.scale != "Log" or p.min > 0,
    ),
    Rule(
        field="scale",
        cel="!has(self.scale) || !(self.scale in ['ReverseLog', 'Logit']) || self.type == 'Float'",
        message="scale {scale} lies below 1, where a parameter of type {type} has nothing to vary; it is for Float",
        holds=lambda p: p.scale not in ("ReverseLog", "Logit") or p.type == "Float",
    ),
    Rule(
        field="max",
        cel="!has(self.max) || !has(self.scale) || !(self.scale in ['ReverseLog', 'Logit']) || self.max < 1.0",
        message="`max` is {max}; with scale {scale} it must be smaller than 1",
        holds=lambda p: p.max is None or p.scale not in ("ReverseLog", "Logit") or p.max < 1,
    ),
    Rule(
        field="min",
        cel="!has(self.min) || !has(self.scale) || self.scale != 'Logit' || self.min > 0.0",
        message="`min` is {min}; with scale Logit it must be greater than 0",
        holds=lambda p: p.min is None or p.scale != "Logit" or p.min > 0,
    ),
    *_DISTRIBUTION,
    Rule(
        field="step",
        cel="!has(self.step) || self.step > 0.0",
        message="`step` is {step}; it must be greater than 0",
        holds=lambda p: p.step is None or p.step > 0,
    ),
    Rule(
        field="step",
        cel="!has(self.step) || !has(self.min) || !has(self.max) || self.step <= self.max - self.min",
        message="`step` is {step}, longer than the way from `min` {min} to `max` {max}",
        holds=lambda p: None in (p.step, p.min, p.max) or p.step <= p.max - p.min,
    ),
    Rule(
        field="points",
        cel="!has(self.step) || !has(self.points)",
        message="found both `step` {step} and `points` {points}; give one of them",
        holds=lambda p: p.step is None or p.points is None,
    ),
    Rule(
        field="numbers",
        cel="!has(self.numbers) || self.numbers.all(x, self.numbers.indexOf(x) == self.numbers.lastIndexOf(x))",
        message="`numbers` has a value twice; each must be there once",
        holds=lambda p: p.numbers is None or len(set(p.numbers)) == len(p.numbers),
    ),
)

WHEN = (
    Rule(
        cel="has(self.values) != (has(self.min) || has(self.max))",
        message="give either `values` (of a Categorical or Boolean parent), or `min`, `max` or both (of a number)",
        holds=lambda w: (w.values is not None) != (w.min is not None or w.max is not None),
    ),
    Rule(
        field="min",
        cel="!has(self.min) || !has(self.max) || self.min <= self.max",
        message="`min` is {min}, `max` is {max}; `min` must not be greater than `max`",
        holds=lambda w: w.min is None or w.max is None or w.min <= w.max,
    ),
)

# ---- parents ---------------------------------------------------------------------------------------------------------


def _orphans(spec: SweepSpec) -> list[tuple[str, str]]:
    names = {p.name for p in spec.parameters}
    return [
        (
            f"parameters[{i}].when[{j}].parameter",
            f"found {w.parameter}, which is no parameter of this sweep; there are: {', '.join(sorted(names))}",
        )
        for i, p in enumerate(spec.parameters)
        for j, w in enumerate(p.when)
        if w.parameter not in names
    ]


def _impossible(spec: SweepSpec) -> list[tuple[str, str]]:
    parents = {p.name: p for p in spec.parameters}
    return [
        (f"parameters[{i}].when[{j}].{field}", message)
        for i, p in enumerate(spec.parameters)
        for j, w in enumerate(p.when)
        if w.parameter in parents
        for field, message in _unmet(parents[w.parameter], w)
    ]


def _unmet(parent: Parameter, when: When) -> list[tuple[str, str]]:
    if parent.type not in ("Categorical", "Boolean"):
        return _out_of_reach(parent, when)
    if when.values is None:
        field = "min" if when.min is not None else "max"
        found = f"found `{field}` for {parent.name}, a {parent.type} parameter; allowed: `values`"
        return [(field, found)]
    allowed = ["true", "false"] if parent.type == "Boolean" else parent.values or []
    return [
        (f"values[{k}]", f'found "{value}", which {parent.name} never has; allowed: {", ".join(allowed)}')
        for k, value in enumerate(when.values)
        if value not in allowed
    ]


def _out_of_reach(parent: Parameter, when: When) -> list[tuple[str, str]]:
    """A condition on a number that none of its values meets."""
    if when.values is not None:
        return [("values", f"found `values` for {parent.name}, a {parent.type} parameter; allowed: `min` and `max`")]
    numbers = parent.numbers or [x for x in (parent.min, parent.max) if x is not None]
    low, high = (-math.inf if when.min is None else when.min), (math.inf if when.max is None else when.max)
    reached = any(low <= n <= high for n in numbers) if parent.numbers else min(numbers) <= high and max(numbers) >= low
    if not numbers or reached:
        return []
    field = "max" if when.min is None or high < min(numbers) else "min"
    allowed = ", ".join(map(told, numbers)) if parent.numbers else f"from {told(min(numbers))} to {told(max(numbers))}"
    return [(field, f"found {told(getattr(when, field))}, out of reach for {parent.name}; it has: {allowed}")]


_NO_PARENT = "has(p.when) && !p.when.all(w, self.exists(q, q.name == w.parameter))"
_OF_TEXT = (
    "found[0].type == 'Boolean' ? w.values.all(v, v == 'true' || v == 'false') : "
    "has(found[0].values) && w.values.all(v, v in found[0].values)"
)
_OF_NUMBER = (
    "has(found[0].numbers) ? found[0].numbers.exists(n, (!has(w.min) || n >= w.min) && (!has(w.max) || n <= w.max)) : "
    "has(found[0].min) && has(found[0].max) && "
    "(!has(w.min) || w.min <= found[0].max) && (!has(w.max) || w.max >= found[0].min)"
)
_NO_VALUE = (
    "has(p.when) && !p.when.all(w, [self.filter(q, q.name == w.parameter)].all(found, found.size() == 0 || "
    f"(has(w.values) ? ({_OF_TEXT}) : ({_OF_NUMBER}))))"
)
PARENTS = (
    Rule(
        on="parameters",
        cel=f"self.all(p, !({_NO_PARENT}))",
        message="`when` names a parameter that this sweep does not have; found in",
        found=f"self.filter(p, {_NO_PARENT}).map(p, p.name)",
        offenders=_orphans,
    ),
    Rule(
        on="parameters",
        cel=f"self.all(p, !({_NO_VALUE}))",
        message="`when` may name a Categorical parameter and values that it has, a Boolean one and true or false, or a number "
        "and a `min` or `max` within its reach; found otherwise in",
        found=f"self.filter(p, {_NO_VALUE}).map(p, p.name)",
        offenders=_impossible,
    ),
)
