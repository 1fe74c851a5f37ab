"""Rules between fields, each said twice side by side: in CEL for the API server, in Python for every other reader.

Owns the rules of one object at a time and of the spec as a whole, and their messages (one text for both readers). A
rule that CEL cannot say, or only at a cost beyond the API server's budget, is in `admission.py`. `tests/corpus/` holds
both to one verdict.

In a message `{field}` stands for what was found there. The API server estimates a rule's cost from the largest lists
and texts that the schema admits, and counts again while it runs: `[f(x)].all(y, …)` binds y, so that f(x) is counted
once, and sizes are known only below the list that a rule is on (`on`), not below `self.list`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from hypersweep.core.errors import Problem
from hypersweep.core.spec import (
    LARGEST_INTEGER,
    Constraint,
    Model,
    Objective,
    Parameter,
    StopWhen,
    SweepSpec,
    Trials,
    seconds,
)

_RANGED = ("Float", "Integer")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of an object.

    `field` is where the fault is shown; `on` is the field that the CEL calls `self`, where that is not the object;
    `found` is CEL for what the message ends with.
    """

    cel: str
    message: str
    field: str = ""
    on: str = ""
    holds: Callable[[Any], bool] = lambda _: True
    offenders: Callable[[Any], list[tuple[str, str]]] | None = (
        None  # (path below the object, message) of each, for lists
    )
    found: str = ""
    reason: str = ""  # of the API server's error, where it is not "Invalid value"

    def problems(self, part: Model, path: str) -> list[Problem]:
        """What the rule has against this part of a spec."""
        if self.offenders is not None:
            return [Problem(f"{path}.{where}", message) for where, message in self.offenders(part)]
        return [] if self.holds(part) else [Problem(f"{path}.{self.field}" if self.field else path, self._told(part))]

    def _told(self, part: Model) -> str:
        values = {str(info.alias): _shown(getattr(part, key)) for key, info in type(part).model_fields.items()}
        return self.message.format_map(values)


def problems(part: Model, path: str = "spec") -> Iterator[Problem]:
    """Everything that the rules have against a spec (or a part of one), in the order of its fields."""
    for rule in RULES.get(type(part), ()):
        yield from rule.problems(part, path)
    for key, info in type(part).model_fields.items():
        value = getattr(part, key)
        if isinstance(value, Model):
            yield from problems(value, f"{path}.{info.alias}")
        elif isinstance(value, list):
            yield from _doubled(value, info.json_schema_extra, f"{path}.{info.alias}")
            for index, item in enumerate(value):
                if isinstance(item, Model):
                    yield from problems(item, f"{path}.{info.alias}[{index}]")


def _doubled(items: list[Any], notes: Any, path: str) -> Iterator[Problem]:
    """Two items with one key, in a list that the API server keeps by key."""
    for key in (notes or {}).get("x-kubernetes-list-map-keys", ()):
        seen: dict[Any, int] = {}
        for index, item in enumerate(items):
            first = seen.setdefault(getattr(item, key), index)
            if first != index:
                yield Problem(
                    f"{path}[{index}].{key}", f"found {getattr(item, key)} again; it is in {path}[{first}] already"
                )


def _shown(value: Any) -> str:
    return f"{value:.17g}" if isinstance(value, float) and value.is_integer() else str(value)


# ---- parameters --------------------------------------------------------------------------------------------------------


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


_PARAMETER = (
    *(_needs(field, *_RANGED) for field in ("min", "max")),
    _needs("numbers", "Discrete"),
    _needs("values", "Categorical"),
    *(_belongs(field, *_RANGED) for field in ("min", "max", "scale", "step")),
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

# ---- the spec as a whole -----------------------------------------------------------------------------------------------


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
        for field, message in _unmet(parents[w.parameter], w.values)
    ]


def _unmet(parent: Parameter, wanted: list[str]) -> list[tuple[str, str]]:
    if parent.type not in ("Categorical", "Boolean"):
        return [
            ("parameter", f"found {parent.name}, a {parent.type} parameter; a parent must be Categorical or Boolean")
        ]
    allowed = ["true", "false"] if parent.type == "Boolean" else parent.values or []
    return [
        (f"values[{k}]", f'found "{value}", which {parent.name} never has; allowed: {", ".join(allowed)}')
        for k, value in enumerate(wanted)
        if value not in allowed
    ]


def _strangers(spec: SweepSpec) -> list[tuple[str, str]]:
    metrics = [o.metric for o in spec.objectives]
    return [
        (f"stopWhen.targets[{i}].metric", f"found {t.metric}, which is no objective; allowed: {', '.join(metrics)}")
        for i, t in enumerate(spec.stop_when.targets)
        if t.metric not in metrics
    ]


_NO_PARENT = "has(p.when) && !p.when.all(w, self.exists(q, q.name == w.parameter))"
_NO_VALUE = (
    "has(p.when) && !p.when.all(w, [self.filter(q, q.name == w.parameter)].all(found, found.size() == 0 || "
    "(found[0].type == 'Boolean' ? w.values.all(v, v == 'true' || v == 'false') : "
    "has(found[0].values) && w.values.all(v, v in found[0].values))))"
)
_SPEC = (
    Rule(
        cel="has(self.trainer) || has(self.job)",
        reason="FieldValueRequired",
        message="found neither `trainer` nor `job`; give `trainer` (the built-in one), `job` (with your own image), or both",
        holds=lambda s: s.trainer is not None or s.job is not None,
    ),
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
        message="`when` may name a Categorical parameter and values that it has, or a Boolean one and true or false; "
        "found otherwise in",
        found=f"self.filter(p, {_NO_VALUE}).map(p, p.name)",
        offenders=_impossible,
    ),
    Rule(
        field="stopWhen.targets",
        cel="!has(self.stopWhen.targets) || self.stopWhen.targets.all(t, self.objectives.exists(o, o.metric == t.metric))",
        message="a target's metric must be that of an objective; the objectives are",
        found="self.objectives.map(o, o.metric)",
        offenders=_strangers,
    ),
)

# ---- others ------------------------------------------------------------------------------------------------------------


def _positive(field: str, key: str) -> Rule:
    """A duration that is longer than nothing."""
    return Rule(
        field=field,
        cel=f"!has(self.{field}) || self.{field}.matches('[1-9]')",
        message=f"`{field}` is {{{field}}}; it must be longer than zero, for instance 30m",
        holds=lambda part: getattr(part, key) is None or seconds(getattr(part, key)) > 0,
    )


_OBJECTIVE = (
    Rule(
        field="window",
        cel="!has(self.window) || (has(self.reduction) && self.reduction == 'MeanOfLast')",
        message="found `window` {window}; it belongs to the reduction MeanOfLast only",
        holds=lambda o: o.window is None or o.reduction == "MeanOfLast",
    ),
    Rule(
        field="window",
        cel="has(self.window) || !has(self.reduction) || self.reduction != 'MeanOfLast'",
        message="the reduction MeanOfLast needs `window`, the number of points; found none",
        holds=lambda o: o.window is not None or o.reduction != "MeanOfLast",
    ),
)

_CONSTRAINT = (
    Rule(
        cel="has(self.min) || has(self.max)",
        reason="FieldValueRequired",
        message="found neither `min` nor `max` for {metric}; give one of them, or both",
        holds=lambda c: c.min is not None or c.max is not None,
    ),
    Rule(
        field="min",
        cel="!has(self.min) || !has(self.max) || self.min <= self.max",
        message="`min` is {min}, `max` is {max}; `min` may be at most `max`",
        holds=lambda c: c.min is None or c.max is None or c.min <= c.max,
    ),
)

RULES: dict[type[BaseModel], tuple[Rule, ...]] = {
    Parameter: _PARAMETER,
    Objective: _OBJECTIVE,
    Constraint: _CONSTRAINT,
    SweepSpec: _SPEC,
    Trials: (_positive("timeout", "timeout"), _positive("noProgress", "no_progress")),
    StopWhen: (_positive("duration", "duration"),),
}
