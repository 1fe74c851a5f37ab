"""How much each parameter decides whether a trial is among the best: PED-ANOVA, by Optuna.

Watanabe et al., PED-ANOVA, IJCAI 2023; conditional parameters as in arXiv 2601.20800. Compares where the best trials lie
with where all of them lie, so that a search which has looked more often at good places is not taken for a finding.
Owns the translation only. Says nothing about chance: shares of noise add up to 1 too, so `effects` tests them.
"""

import math
from collections.abc import Container, Mapping, Sequence

from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hypersweep.core.analysis.evidence import Evidence
from hypersweep.core.analysis.levels import Levels
from hypersweep.core.trial import Assignment

BEST = 0.2  # "the best": this part of all trials …
AT_LEAST = 10  # … but at least so many, …
AT_MOST = 0.35  # … and at most this part


def shares(evidence: Evidence, levels: Sequence[Levels]) -> dict[str, float]:
    """Each parameter's part of the whole importance, 0 … 1, the largest first; all 0 where nothing differs."""
    found = _divergences(evidence, levels)
    whole = sum(found.values())
    parts = {name: value / whole if whole > 0 else 0.0 for name, value in found.items()}
    return dict(sorted(parts.items(), key=lambda item: (-item[1], item[0])))


def quantile(count: int) -> float:
    """Which part of so many trials are the best ones."""
    return min(max(BEST, AT_LEAST / count), AT_MOST)


def _divergences(evidence: Evidence, levels: Sequence[Levels]) -> dict[str, float]:
    given = [(t.parameters, float(loss)) for t, loss in zip(evidence.measured, evidence.losses, strict=True)]
    given += [(t.parameters, max(loss for _, loss in given)) for t in evidence.stopped]
    kinds = {each.name: _distribution(each) for each in levels}
    frozen = [_frozen(i, assignment, loss, levels, kinds) for i, (assignment, loss) in enumerate(given)]
    if len(levels) == 0 or _tied([loss for _, loss in given]):
        return dict.fromkeys(kinds, 0.0)
    return {each.name: _divergence(each.name, frozen) for each in levels}


def _divergence(name: str, trials: Sequence[FrozenTrial]) -> float:
    """Of one parameter. A single trial that has it, or has it not, is left out: Optuna would warn of it."""
    having = [t for t in trials if name in t.params]
    lacking = [t for t in trials if name not in t.params]
    kept = [t for group in (having, lacking) if len(group) > 1 for t in group]
    evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile(len(kept)))
    return evaluator.evaluate(Study("", _Given(kept)), params=[name])[name]


def _tied(losses: Sequence[float]) -> bool:
    """Whether the best are all of them."""
    return sorted(losses)[math.ceil(quantile(len(losses)) * len(losses)) - 1] == max(losses)


def _distribution(levels: Levels) -> BaseDistribution:
    if not levels.ordered:
        return CategoricalDistribution(tuple(range(levels.count)))
    return FloatDistribution(0.0, 1.0) if levels.binned else IntDistribution(0, levels.count - 1)


def _frozen(
    number: int, given: Assignment, loss: float, levels: Sequence[Levels], kinds: Mapping[str, BaseDistribution]
) -> FrozenTrial:
    """A trial in Optuna's words."""
    params = {
        each.name: each.place(given[each.name]) if each.binned else each.level(given[each.name])
        for each in levels
        if each.name in given
    }
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.COMPLETE,
        value=loss,
        params=params,
        distributions={name: kinds[name] for name in params},
        intermediate_values={},
        user_attrs={},
        system_attrs={},
        datetime_start=None,
        datetime_complete=None,
    )


class _Given(InMemoryStorage):
    """The storage of a study whose trials are given; Optuna's own copies each of them deeply and writes a log line."""

    # ruff: noqa: ARG002, FBT001, FBT002  (the signatures are Optuna's)

    def __init__(self, trials: list[FrozenTrial]) -> None:
        super().__init__()
        self._given = trials

    def get_study_id_from_name(self, study_name: str) -> int:
        return 0

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return [StudyDirection.MINIMIZE]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self._given
