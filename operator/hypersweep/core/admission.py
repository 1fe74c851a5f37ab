"""The second tier of verdicts: what neither the schema nor CEL can say of a sweep that `parse` has let through.

A literal list of rules, each pure. The operator answers with `Accepted=False` what `hypersweep validate` says
beforehand; whether the API server takes the Job, the operator asks by a dry run. `advice` is what is allowed, and
seldom meant.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from hypersweep.core import checkpoints, reuse, secrets, strategies, template
from hypersweep.core.domain import Lattice, domain
from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.names import parameter_variable
from hypersweep.core.spec import Parameter, SweepSpec
from hypersweep.core.strategies import published
from hypersweep.core.wording import shown
from hypersweep_trainer.settings import check_settings

_LOSSES = ("loss", "criterion", "loss_function", "loss_fn")
DECADES = 3  # over more than so many, a linear scale nearly never tries the small values


def check(metadata: Mapping[str, Any], spec: SweepSpec) -> list[Problem]:
    """Everything that keeps this sweep from running; empty: nothing. `metadata` is the object's, for rules of later versions."""
    del metadata
    return [problem for rule in _RULES for problem in rule(spec)]


def _doubled_values(spec: SweepSpec) -> Iterator[Problem]:
    """CEL could compare texts pair by pair only beyond its budget."""
    for i, parameter in enumerate(spec.parameters):
        for field, values in [
            ("values", parameter.values or []),
            *((f"when[{j}].values", w.values or []) for j, w in enumerate(parameter.when)),
        ]:
            for k, value in enumerate(values):
                if value in values[:k]:
                    yield Problem(
                        f"spec.parameters[{i}].{field}[{k}]",
                        f"found {shown(value)} again; each value must be there once",
                    )


def _colliding_names(spec: SweepSpec) -> Iterator[Problem]:
    """Two parameters that a trial would see under one name."""
    variables = defaultdict[str, list[int]](list)
    for i, parameter in enumerate(spec.parameters):
        variables[parameter_variable(parameter.name)].append(i)
    for variable, places in variables.items():
        for i in places[1:]:
            other = spec.parameters[places[0]].name
            yield Problem(
                f"spec.parameters[{i}].name",
                f"found {spec.parameters[i].name}; the trial would see it as {variable}, like {other}",
            )


def _never_active(spec: SweepSpec) -> Iterator[Problem]:
    """A range in `when` that lies between two steps of the parent: the API server does not count steps."""
    domains = {p.name: domain(p) for p in spec.parameters}
    for i, parameter in enumerate(spec.parameters):
        for j, when in enumerate(parameter.when):
            values = domains[when.parameter]
            if isinstance(values, Lattice) and not values.crossed(when.min, when.max):
                yield Problem(
                    f"spec.parameters[{i}].when[{j}]",
                    f"{when.parameter} is never at least {when.min:g} and at most {when.max:g}; allowed: {values.told}",
                )


def _repeated_initial_trials(spec: SweepSpec) -> Iterator[Problem]:
    """With repeats, trials of one assignment are one: initial trials that come to the same would be taken for repeats."""
    if spec.repeats.count == 1:
        return
    try:
        assignments = strategies.first(spec)[: len(spec.initial_trials)]
    except SpecError:
        return  # what is wrong with them is `_unsearchable`'s to say
    seen: dict[Hashable, int] = {}
    for i, assignment in enumerate(assignments):
        first = seen.setdefault(frozenset(assignment.items()), i)
        if first != i:
            message = f"found the assignment of spec.initialTrials[{first}] again; `repeats` repeats it"
            yield Problem(f"spec.initialTrials[{i}].parameters", message)


def _unsearchable(spec: SweepSpec) -> Iterator[Problem]:
    """Circles in `when`, constraints that cannot be, initial trials that are none, what the strategy cannot search."""
    yield from strategies.problems(spec)


def _rate_is_no_parent(spec: SweepSpec) -> Iterator[Problem]:
    """A rate with an interval for each optimizer is several dimensions to a strategy: nothing can depend on it."""
    tested = spec.learning_rate_range_test
    for i, parameter in enumerate(spec.parameters):
        for j, condition in enumerate(parameter.when):
            if tested is not None and condition.parameter == tested.parameter:
                yield Problem(
                    f"spec.parameters[{i}].when[{j}].parameter",
                    f"found {condition.parameter}, which learningRateRangeTest narrows; allowed: parameters that it does not",
                )


def _trainer_settings(spec: SweepSpec) -> Iterator[Problem]:
    """What the built-in trainer would refuse, before any Job is made for it."""
    if spec.trainer is None:
        return
    places = {p.name: f"spec.parameters[{i}]" for i, p in enumerate(spec.parameters)}
    for problem in check_settings(spec.trainer.settings, {p.name: _extremes(p) for p in spec.parameters}):
        path = f"spec.trainer.settings.{problem.name}" if problem.where == "settings" else places[problem.name]
        yield Problem(path, f"{problem.message} (the built-in trainer's setting {problem.name})")


def _extremes(parameter: Parameter) -> Sequence[object]:
    """Values that stand for all: every choice of a list, else both ends (and a point between, which tells whole from not)."""
    values = domain(parameter)
    if parameter.type in ("Categorical", "Boolean", "Discrete"):
        return [values.at(i) for i in range(values.size or 0)]
    if values.size is not None:
        return [values.at(0), values.at(values.size - 1)]
    low, high = float(parameter.min or 0), float(parameter.max or 0)
    return [low, low + (high - low) / math.pi, high]


def _template(spec: SweepSpec) -> Iterator[Problem]:
    """What the Job template may not say, and what it must."""
    yield from template.problems(spec) or checkpoints.problems(spec)


def _reuse(spec: SweepSpec) -> Iterator[Problem]:
    """Images that may be others tomorrow."""
    yield from reuse.problems(spec)


_RULES = (
    _repeated_initial_trials,
    _doubled_values,
    _colliding_names,
    _never_active,
    _unsearchable,
    _rate_is_no_parent,
    _trainer_settings,
    _template,
    _reuse,
)


# ---- advice ------------------------------------------------------------------------------------------------------------


def advice(spec: SweepSpec) -> list[Problem]:
    """What is allowed and probably not meant, of a spec that `check` has nothing against."""
    return [problem for rule in _ADVICE for problem in rule(spec)]


def _wide_ranges(spec: SweepSpec) -> Iterator[Problem]:
    for i, p in enumerate(spec.parameters):
        if (
            p.type == "Float"
            and p.scale is None
            and p.distribution is None
            and p.step is None
            and p.min
            and p.max
            and p.min > 0
            and p.max / p.min > 10**DECADES
        ):
            decades = f"{p.name} ranges over {math.log10(p.max / p.min):.0f} decades on a linear scale"
            yield Problem(f"spec.parameters[{i}]", f"{decades}: nine of ten values lie in the last one; `scale: Log`?")


def _single_values(spec: SweepSpec) -> Iterator[Problem]:
    for i, p in enumerate(spec.parameters):
        values = domain(p)
        if values.size == 1:
            yield Problem(
                f"spec.parameters[{i}]", f"{p.name} is always {shown(values.at(0))}: nothing is searched there"
            )


def _ranked_by_itself(spec: SweepSpec) -> Iterator[Problem]:
    """Values of different losses are no measure of each other."""
    for i, p in enumerate(spec.parameters):
        for j, objective in enumerate(spec.objectives):
            if p.name.lower() in _LOSSES and "loss" in objective.metric.lower() and domain(p).size != 1:
                yield Problem(
                    f"spec.objectives[{j}].metric",
                    f"found {objective.metric}, while {p.name} (spec.parameters[{i}]) is searched: each loss would be ranked "
                    "by itself; take a metric that all of them share, such as an accuracy",
                )


def _unreached(spec: SweepSpec) -> Iterator[Problem]:
    for i, p in enumerate(spec.parameters):
        values = domain(p) if p.step is not None else None
        if (
            values is not None
            and values.size is not None
            and not math.isclose(last := float(values.at(values.size - 1)), float(p.max or 0))
        ):
            yield Problem(
                f"spec.parameters[{i}].max",
                f"{p.max:g} is never tried: steps of {p.step:g} from {p.min:g} end at {last:g}",
            )


def _never_tried(spec: SweepSpec) -> Iterator[Problem]:
    if len(spec.initial_trials) > spec.trials.max:
        yield Problem(
            "spec.trials.max", f"found {spec.trials.max}, fewer than the {len(spec.initial_trials)} initial trials"
        )


def _exhausted(spec: SweepSpec) -> Iterator[Problem]:
    size = strategies.size(spec)
    if size is not None and size * spec.repeats.count < spec.trials.max:
        points = f"{'at most ' if spec.parameter_constraints else ''}{size:,} points"
        yield Problem(
            "spec.trials.max", f"found {spec.trials.max}; the space has {points}, and the sweep ends when all are tried"
        )


def _unpublished(spec: SweepSpec) -> Iterator[Problem]:
    yield from published.left_out(spec)


def _literal_secrets(spec: SweepSpec) -> Iterator[Problem]:
    """Whoever may read the sweep, or the repository that it comes from, reads them."""
    for literal in secrets.literals(spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)):
        found = f"{literal.name} looks like a secret and stands here literally"
        yield Problem(
            f"spec.{literal.path}", f"{found}: keep it in a Secret and refer to that (valueFrom.secretKeyRef)"
        )


_ADVICE = (
    _wide_ranges,
    _single_values,
    _ranked_by_itself,
    _unreached,
    _never_tried,
    _exhausted,
    _unpublished,
    _literal_secrets,
)
