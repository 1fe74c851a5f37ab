"""Every built-in strategy after a warm start: it learns from runs of others, and tries what they have tried."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hypersweep.core import strategies
from hypersweep.core.spec import BUILT_IN, SweepSpec
from hypersweep.core.strategies import phases
from hypersweep.core.trial import Assignment, Trial
from hypersweep.testing.builders import check, drawn, ended, score, space_of, sweep
from hypersweep.testing.spaces import every
from hypersweep.testing.strategies import each_finite_space, each_space

each_strategy = pytest.mark.parametrize("name", BUILT_IN)


def before(spec: SweepSpec, count: int, value: Callable[[Assignment], float] = score) -> list[Trial]:
    """What a warm start brings: measured, with indices below 0."""
    return [ended(t.index - count, t.parameters, value(t.parameters)) for t in drawn(spec, count)]


@each_strategy
@each_space
def test_runs_of_a_warm_start_are_history_and_no_trials(name: str, where: str) -> None:
    """Any answer is the space's and new among the sweep's own trials, whatever others have tried."""
    spec = sweep(name, where)
    known = before(spec, 12)
    own = [replace(t, index=t.index + 12) for t in known[:3]]
    answer = strategies.suggest(spec, history=[*own, *known], pending=(), trial=3)
    check(spec, answer, after=own)
    assert answer == strategies.suggest(spec, history=[*known, *own][::-1], pending=(), trial=3)


@each_strategy
@each_finite_space
def test_a_sweep_may_try_again_what_others_have_tried(name: str, where: str) -> None:
    """Their results are not its own: a space that another sweep has exhausted is as large as before."""
    spec = sweep(name, where)
    points = list(every(space_of(spec)))
    known = [ended(i - len(points), p, score(p)) for i, p in enumerate(points)]
    own = [replace(t, index=t.index + len(points)) for t in known]
    for had in (own[:0], own[:-1]):
        answer = strategies.suggest(spec, history=[*known, *had], pending=(), trial=len(had))
        check(spec, answer, after=had)
    assert strategies.suggest(spec, history=[*known, *own], pending=(), trial=len(own)) is None


def bowl(parameters: Assignment) -> float:
    """Best at 0.25 of each axis."""
    return sum((float(v) - 0.25) ** 2 for v in parameters.values())


@pytest.mark.parametrize("name", ["Auto", "TPE", "GP", "CMAES"])
def test_what_others_have_found_is_where_the_search_begins(name: str) -> None:
    """The first trials of a warm sweep are nearer to the best than those of a cold one, in the median of five sweeps."""
    made = [{"name": n, "type": "Float", "min": 0, "max": 1} for n in "abc"]
    cold, warm = [], []
    for seed in range(5):
        spec = sweep(name, made, seed=seed)
        known = before(spec, 60, bowl)
        for history, found in (((), cold), (known, warm)):
            trials: list[Trial] = []
            for index in range(4):
                answer = strategies.suggest(spec, history=[*history, *trials], pending=(), trial=index)
                trials.append(ended(index, answer or {}, bowl(answer or {})))
            found += [t.value or 0.0 for t in trials]
    assert np.median(warm) < np.median(cold) / 3


def test_auto_skips_its_even_start_after_a_warm_one_and_counts_its_own_trials_before_it_changes_over() -> None:
    """A thousand runs of others are no reason to leave the models: two hundred trials of its own are."""
    space = space_of(sweep("Auto", [{"name": "a", "type": "Float", "min": 0, "max": 1}]))
    rows = [(0, 0), (0, 7), (0, 8), (3, 5), (199, 5000), (200, 0), (200, 5000)]
    assert [phases.phase(space, own, before=others) for own, others in rows] == [
        "Sobol",
        "Sobol",
        "GP and TPE",
        "GP and TPE",
        "GP and TPE",
        "CMAES",
        "CMAES",
    ]
    spec = sweep("Auto", "mixed")
    assert "30 runs of a warm start" in strategies.effective(spec, before=30)[1]
