"""Rules between fields, each said twice side by side: in CEL for the API server, in Python for every other reader.

Owns the rules of one object at a time and of the spec as a whole, and their messages (one text for both readers). A
rule that CEL cannot say, or only at a cost beyond the API server's budget, is in `admission.py`. `tests/corpus/` holds
both to one verdict.

What a rule is, is in `rule.py`; those of parameters are in `parameter_rules.py`, those of
objectives in `objective_rules.py`, those of `onComplete` in `complete_rules.py`. The API server estimates a rule's
cost from the largest lists and texts that the schema admits, and counts again while it runs: `[f(x)].all(y, …)` binds y,
so that f(x) is counted once, and sizes are known only below the list that a rule is on (`on`), not below `self.list`.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from hypersweep.core.complete_rules import CHOICES, ON_COMPLETE
from hypersweep.core.errors import Problem
from hypersweep.core.objective_rules import CONSTRAINT, OBJECTIVE, OBJECTIVES
from hypersweep.core.parameter_rules import PARAMETER, PARENTS, WHEN
from hypersweep.core.range_rules import RANGE_TEST
from hypersweep.core.rule import Rule
from hypersweep.core.spec import (
    Constraint,
    EarlyStopping,
    Model,
    Objective,
    OnComplete,
    Parameter,
    ResourceLimit,
    StopWhen,
    SweepSpec,
    Trials,
    When,
    seconds,
)


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


# ---- the spec as a whole -----------------------------------------------------------------------------------------------


_SPEC = (
    Rule(
        cel="has(self.trainer) || has(self.job)",
        reason="FieldValueRequired",
        message="found neither `trainer` nor `job`; give `trainer` (the built-in one), `job` (with your own image), or both",
        holds=lambda s: s.trainer is not None or s.job is not None,
    ),
    Rule(
        field="initialTrials",
        cel="!has(self.initialTrials) || has(self.trainer) || self.initialTrials.all(t, !has(t.defaults))",
        message="found `defaults: Published` without `trainer`: published values are those of the built-in trainer",
        holds=lambda s: s.trainer is not None or all(t.defaults is None for t in s.initial_trials),
    ),
    *PARENTS,
    *OBJECTIVES,
    *RANGE_TEST,
    *CHOICES,
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


def _settings_of(name: str, field: str) -> Rule:
    """Settings of a rule stand in the field of its name, and in no other."""
    return Rule(
        field=field,
        cel=f"!has(self.{field}) || self.type == '{name}'",
        reason="FieldValueForbidden",
        message=f"`{field}` holds the settings of {name}; the type is {{type}}",
        holds=lambda e: getattr(e, field) is None or e.type == name,
    )


_EARLY_STOPPING = (
    _settings_of("ASHA", "asha"),
    _settings_of("Median", "median"),
    _settings_of("Threshold", "threshold"),
    Rule(
        field="threshold",
        cel="has(self.threshold) || self.type != 'Threshold'",
        reason="FieldValueRequired",
        message="type Threshold needs `threshold`; found none",
        holds=lambda e: e.threshold is not None or e.type != "Threshold",
    ),
    _positive("poll", "poll"),
)

RULES: dict[type[BaseModel], tuple[Rule, ...]] = {
    Parameter: PARAMETER,
    When: WHEN,
    Objective: OBJECTIVE,
    Constraint: CONSTRAINT,
    SweepSpec: _SPEC,
    Trials: (_positive("timeout", "timeout"), _positive("noProgress", "no_progress")),
    EarlyStopping: _EARLY_STOPPING,
    OnComplete: ON_COMPLETE,
    ResourceLimit: (
        Rule(
            field="max",
            cel="self.max > 0.0",  # a bound of the schema that is no whole number is cut when compared with one
            message="`max` is {max}; it must be greater than 0",
            holds=lambda limit: limit.max > 0,
        ),
    ),
    StopWhen: (
        _positive("duration", "duration"),
        Rule(
            field="expectedImprovementBelow",
            cel="!has(self.expectedImprovementBelow) || self.expectedImprovementBelow > 0.0",
            message="`expectedImprovementBelow` is {expectedImprovementBelow}; it must be greater than 0",
            holds=lambda s: s.expected_improvement_below is None or s.expected_improvement_below > 0,
        ),
    ),
}
