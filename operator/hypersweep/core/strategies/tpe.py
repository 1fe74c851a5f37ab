"""TPE: the tree-structured Parzen estimator of Optuna, multivariate, built anew for each trial.

Owns the translation: a history becomes a read-only Optuna study, an answer becomes an exact assignment. Nothing is kept
between two calls, and nothing outside is touched: no log line, no warnings filter, no global generator.

Bergstra et al., Algorithms for Hyper-Parameter Optimization, NIPS 2011; Watanabe, arXiv 2304.11127.
"""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna import Trial as Ask
from optuna import load_study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import NopPruner
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hypersweep.core.aim import Goal
from hypersweep.core.domain import Choices, Domain, Lattice
from hypersweep.core.keyed import number
from hypersweep.core.space import Space
from hypersweep.core.strategies import random
from hypersweep.core.strategies.merit import measured
from hypersweep.core.strategies.points import tried
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment, Outcome, Trial, Value

STARTUP = 10  # ended trials, one of which tells good from bad, before the estimator is asked; until then, Random
CANDIDATES = (24, 12, 6, 3, 1, 1)  # TPE takes the best of so many; if that was tried already, it is asked less greedily
STEPS = 1000  # more steps than that are as good as a continuum


def suggest(question: Question) -> Assignment | None:
    """An assignment that TPE expects to be good and no trial has had. None: the space is exhausted."""
    space, history, pending = question.space, question.history, question.pending
    seed, trial = question.seed, question.trial
    seen = tried(space, (*history, *pending))
    startup = question.settings.get("startup", STARTUP)
    if len(history) >= startup and any(measured(t) or 0 < t.violation < math.inf for t in history):
        distributions = {d.name: _distribution(d.domain) for d in space.dimensions}
        trials = [_frozen(t, space, distributions) for t in _told(question)]
        study = load_study(study_name="", storage=_Given(trials, goals=question.goals, trial=trial), pruner=NopPruner())
        for again, candidates in enumerate((question.settings.get("candidates", CANDIDATES[0]), *CANDIDATES[1:])):
            study.sampler = _sampler(candidates, startup=startup, seed=number("TPE", seed, trial, again) >> 32)
            answer = _answer(study.ask(), space, distributions)
            if space.key(answer) not in seen and space.meets(answer):
                return answer
    return random.unseen(space, seen=seen, seed=seed, trial=trial)


def _told(question: Question) -> list[Trial]:
    """All trials, by index. With several objectives values are scaled to at most 1 (Optuna multiplies them, and large ones
    would overflow; volumes compare alike), and only those of trials that ended well are told: it ranks no others.
    """
    trials = sorted((*question.history, *question.pending), key=lambda t: t.index)
    if len(question.goals) == 1:
        return trials
    whole = [measured(t) and t.outcome is Outcome.SUCCEEDED for t in trials]
    columns = zip(*(t.values for t, known in zip(trials, whole, strict=True) if known), strict=True)
    scales = [max(map(abs, column)) or 1.0 for column in columns]
    return [
        replace(t, value=t.values[0] / scales[0], values=tuple(v / s for v, s in zip(t.values, scales, strict=True)))
        if known
        else replace(t, value=None)
        for t, known in zip(trials, whole, strict=True)
    ]


def _frozen(trial: Trial, space: Space, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """The trial in Optuna's words. What ended without a value is PRUNED: TPE ranks it last (FAIL, it ignores); what
    violates a constraint comes after that.
    """
    params = {
        d.name: _coordinate(d.domain, trial.parameters[d.name]) for d in space.dimensions if d.name in trial.parameters
    }
    frozen = _open(trial.index)
    frozen.params = params
    frozen.distributions = {name: distributions[name] for name in params}
    if trial.outcome is not Outcome.OPEN:
        frozen.state = TrialState.PRUNED
    if trial.violation > 0:
        frozen.set_constraint("constraints", trial.violation)  # TPE ranks it after all feasible ones, the nearest first
    if measured(trial) and trial.value is not None:
        if trial.outcome is Outcome.SUCCEEDED:
            frozen.state, frozen.values = TrialState.COMPLETE, list(trial.values)
        else:
            frozen.intermediate_values = {max(trial.rungs, default=0): trial.value}
    return frozen


def _open(number: int) -> FrozenTrial:
    """A trial of which nothing is known yet."""
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.RUNNING,
        value=None,
        intermediate_values={},
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        datetime_start=None,
        datetime_complete=None,
    )


class _Given(InMemoryStorage):
    """The storage of a study whose trials are given, under their own numbers with any gaps; a question leaves no trace.

    Telling Optuna's own storage each trial takes ten times as long (it copies them deeply) and logs a line.
    """

    # ruff: noqa: ARG002, FBT001, FBT002  (the signatures are Optuna's)

    def __init__(self, trials: list[FrozenTrial], *, goals: Sequence[Goal], trial: int) -> None:
        super().__init__()
        self._trials = trials
        self._directions = [
            StudyDirection.MAXIMIZE if goal == "Maximize" else StudyDirection.MINIMIZE for goal in goals
        ]
        self._number = trial

    def get_study_id_from_name(self, study_name: str) -> int:
        return 0

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._directions

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return [t for t in self._trials if states is None or t.state in states]

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        return self._number

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return _open(self._number)

    def get_trial_number_from_id(self, trial_id: int) -> int:
        return self._number

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """The question itself remembers."""

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """For other processes that ask the same study; there are none."""


def _sampler(candidates: int, *, startup: int, seed: int) -> TPESampler:
    """A new one for each question: nothing it may remember changes an answer."""
    return TPESampler(
        seed=seed, n_startup_trials=startup, n_ei_candidates=candidates, multivariate=True, constant_liar=True
    )


def _answer(ask: Ask, space: Space, distributions: Mapping[str, BaseDistribution]) -> Assignment:
    """What TPE proposes, parents first, asked only for the parameters that are active."""
    values: dict[str, Value] = {}
    for d in space.dimensions:
        if d.active(values):
            values[d.name] = _value(d.domain, _asked(ask, d.name, distributions[d.name]))
    return values


def _asked(ask: Ask, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case CategoricalDistribution():
            return ask.suggest_categorical(name, distribution.choices)
        case IntDistribution():
            return ask.suggest_int(name, distribution.low, distribution.high)
        case FloatDistribution():
            return ask.suggest_float(name, distribution.low, distribution.high)
    raise TypeError(distribution)


def _distribution(domain: Domain) -> BaseDistribution:
    """How TPE sees a parameter: as categories, as a few numbered steps, or as a part of the way through its scale.

    (Optuna has no steps on a log scale, and divides by zero on lattices finer than floats near 1 can tell.)
    """
    if isinstance(domain, Choices) and domain.noun != "numbers":
        return CategoricalDistribution(tuple(range(domain.size)))
    if _numbered(domain):
        return IntDistribution(0, (domain.size or 1) - 1)
    return FloatDistribution(0.0, 1.0)


def _numbered(domain: Domain) -> bool:
    """Whether index stands for value; if not, its part of the way does."""
    if isinstance(domain, Lattice) and not domain.even:
        return False
    return domain.size is not None and domain.size <= STEPS


def _coordinate(domain: Domain, value: Any) -> float:
    """A value as its distribution knows it."""
    return domain.index(value) if _numbered(domain) else domain.part(value)


def _value(domain: Domain, coordinate: Any) -> Value:
    """The exact value that a coordinate means."""
    return domain.at(coordinate) if _numbered(domain) else domain.near(coordinate)
