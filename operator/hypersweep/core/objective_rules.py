"""Rules on what a sweep is judged by: its objectives, its constraints, and what refers to them. See `rules.py`."""

from hypersweep.core.rule import Rule
from hypersweep.core.spec import SweepSpec
from hypersweep.core.stoppers import promotes

OBJECTIVE = (
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

CONSTRAINT = (
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


def _strangers(spec: SweepSpec) -> list[tuple[str, str]]:
    return [
        found
        for i, target in enumerate(spec.stop_when.targets)
        for found in no_objective(spec, target.metric, f"stopWhen.targets[{i}].metric")
    ]


def _unjudged(spec: SweepSpec) -> list[tuple[str, str]]:
    rule = spec.early_stopping
    return [] if rule is None or rule.metric is None else no_objective(spec, rule.metric, "earlyStopping.metric")


def no_objective(spec: SweepSpec, metric: str, where: str) -> list[tuple[str, str]]:
    """What is wrong at `where` with a metric that must be an objective's."""
    metrics = [o.metric for o in spec.objectives]
    told = f"found {metric}, which is no objective; allowed: {', '.join(metrics)}"
    return [] if metric in metrics else [(where, told)]


_ONCE = "!has(self.repeats.count) || self.repeats.count == 1"
_ALL_LAST = "self.objectives.all(o, !has(o.reduction) || o.reduction == 'Last')"
OBJECTIVES = (
    Rule(
        field="earlyStopping.metric",
        cel="!has(self.earlyStopping) || !has(self.earlyStopping.metric) || "
        "self.objectives.exists(o, o.metric == self.earlyStopping.metric)",
        message="early stopping's metric must be that of an objective; the objectives are",
        found="self.objectives.map(o, o.metric)",
        offenders=_unjudged,
    ),
    Rule(
        field="stopWhen.targets",
        cel="!has(self.stopWhen.targets) || self.stopWhen.targets.all(t, self.objectives.exists(o, o.metric == t.metric))",
        message="a target's metric must be that of an objective; the objectives are",
        found="self.objectives.map(o, o.metric)",
        offenders=_strangers,
    ),
    Rule(
        field="objectives",
        cel=f"self.objectives.size() < 2 || {_ALL_LAST}",
        message="with several objectives every `reduction` must be Last, since all are read at one step; "
        "`readAt` says at which",
        holds=lambda s: len(s.objectives) == 1 or all(o.reduction == "Last" for o in s.objectives),
    ),
    Rule(
        field="readAt",
        cel="!has(self.readAt) || self.objectives.size() > 1",
        reason="FieldValueForbidden",
        message="`readAt` is for several objectives; of one objective, `reduction` says how it is read",
        holds=lambda s: s.read_at is None or len(s.objectives) > 1,
    ),
    Rule(
        field="readAt.metric",
        cel="!has(self.readAt) || self.objectives.exists(o, o.metric == self.readAt.metric)",
        message="the metric of `readAt` must be that of an objective; the objectives are",
        found="self.objectives.map(o, o.metric)",
        offenders=lambda s: [] if s.read_at is None else no_objective(s, s.read_at.metric, "readAt.metric"),
    ),
    Rule(
        field="stopWhen.noImprovement.tolerance",
        cel="!has(self.stopWhen.noImprovement) || self.stopWhen.noImprovement.tolerance == 0.0 || self.objectives.size() == 1",
        reason="FieldValueForbidden",
        message="`tolerance` is in an objective's units; of several, `noImprovement` asks whether the front has grown at all",
        holds=lambda s: (
            s.stop_when.no_improvement is None or not s.stop_when.no_improvement.tolerance or len(s.objectives) == 1
        ),
    ),
    Rule(
        field="stopWhen.expectedImprovementBelow",
        cel="!has(self.stopWhen.expectedImprovementBelow) || self.objectives.size() == 1",
        reason="FieldValueForbidden",
        message="`expectedImprovementBelow` is for one objective: of several there is no one best to improve",
        holds=lambda s: s.stop_when.expected_improvement_below is None or len(s.objectives) == 1,
    ),
    Rule(
        field="stopWhen.expectedImprovementBelow",
        cel=f"!has(self.stopWhen.expectedImprovementBelow) || ({_ONCE})",
        reason="FieldValueForbidden",
        message="`expectedImprovementBelow` is of single trials; with `repeats` further ones of an assignment are no search",
        holds=lambda s: s.stop_when.expected_improvement_below is None or s.repeats.count == 1,
    ),
    Rule(
        field="repeats.count",
        cel=f"({_ONCE}) || self.objectives.size() == 1",
        message="with several objectives an assignment is run once; `count` must be 1",
        holds=lambda s: s.repeats.count == 1 or len(s.objectives) == 1,
    ),
    Rule(
        field="reuse",
        cel=f"!has(self.reuse) || ({_ONCE})",
        reason="FieldValueForbidden",
        message="with `reuse` equal assignments have equal seeds; with `repeats` each is to have another",
        holds=lambda s: s.reuse is None or s.repeats.count == 1,
    ),
    Rule(
        field="earlyStopping.asha.mode",
        cel=f"!has(self.earlyStopping) || !has(self.earlyStopping.asha) || !has(self.earlyStopping.asha.mode) || "
        f"self.earlyStopping.asha.mode != 'Promote' || ({_ONCE})",
        message="with `repeats` an assignment is judged by all of its trials, and one that waits would hold that up; "
        "`mode` must be Stop",
        holds=lambda s: s.repeats.count == 1 or not promotes(s),
    ),
    Rule(
        field="repeats.racing",
        cel=f"!has(self.repeats.racing) || !self.repeats.racing || !({_ONCE})",
        reason="FieldValueForbidden",
        message="`racing` needs a `count` of at least 2",
        holds=lambda s: not s.repeats.racing or s.repeats.count > 1,
    ),
)
