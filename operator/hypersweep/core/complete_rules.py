"""Rules of `onComplete`: what an alias may be, and which objective can choose. See `rules.py`."""

import re

from hypersweep.core.objective_rules import no_objective
from hypersweep.core.rule import Rule
from hypersweep.core.spec import SweepSpec

_TAKEN = "^([vV][0-9]+|[lL][aA][tT][eE][sS][tT])$"  # MLflow means a version's number, or the newest one, by these


def _strangers(spec: SweepSpec) -> list[tuple[str, str]]:
    asked = spec.on_complete
    if asked is None or asked.choose is None:
        return []
    return no_objective(spec, asked.choose.metric, "onComplete.choose.metric")


ON_COMPLETE = (
    Rule(
        field="alias",
        cel=f"!has(self.alias) || !self.alias.matches('{_TAKEN}')",
        message="found {alias}, which means a version to MLflow; an alias may be neither latest nor v and a number",
        holds=lambda o: o.alias is None or re.match(_TAKEN, o.alias) is None,
    ),
)

CHOICES = (
    Rule(
        field="onComplete.choose",
        cel="!has(self.onComplete) || !has(self.onComplete.choose) || self.objectives.size() > 1",
        reason="FieldValueForbidden",
        message="`choose` is for several objectives; of one objective, the best trial's model is registered",
        holds=lambda s: s.on_complete is None or s.on_complete.choose is None or len(s.objectives) > 1,
    ),
    Rule(
        field="onComplete.choose.metric",
        cel="!has(self.onComplete) || !has(self.onComplete.choose) || "
        "self.objectives.exists(o, o.metric == self.onComplete.choose.metric)",
        message="the metric of `choose` must be that of an objective; the objectives are",
        found="self.objectives.map(o, o.metric)",
        offenders=_strangers,
    ),
)
