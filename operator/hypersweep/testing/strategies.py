"""The conformance suite: what every strategy must do in every space, ours and yours.

    @pytest.mark.parametrize("name", ["acme-search/Greedy"])
    class TestGreedy(StrategySuite):
        pass

`name` is what a sweep calls the strategy; a parametrized subclass runs the whole suite. Needs pytest and Hypothesis (the extra
`hypersweep[testing]`).
"""

import json
import logging
import pickle
import random as stdlib_random
import subprocess
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypersweep.core import strategies
from hypersweep.core.spec import SweepSpec
from hypersweep.core.strategies import random
from hypersweep.core.trial import Outcome, Trial
from hypersweep.testing.builders import KINDS, check, drawn, ended, made_history, run, score, space_of, sweep
from hypersweep.testing.spaces import SPACES, Json, every, parameters

FINITE = ("one point", "small, conditional", "small, all types", "small, constrained", "small, numbers as parents")

each_space = pytest.mark.parametrize("where", SPACES)
each_finite_space = pytest.mark.parametrize("where", FINITE)

Case = tuple[SweepSpec, Sequence[Trial], Sequence[Trial], int]


@cache
def cases(name: str) -> Sequence[Case]:
    """A question in each space: forty trials of all kinds with gaps, three open ones."""
    found = []
    for where in SPACES:
        spec = sweep(name, where)
        trials = made_history(spec, 46, kind="of all kinds")
        opened = [replace(t, outcome=Outcome.OPEN, value=None) for t in trials[40:43]]
        found.append((spec, [t for t in trials[:40] if t.index % 7], opened, 43))
    return found


def asked(case: Case) -> str:
    """The strategy's answer, as JSON."""
    spec, history, pending, trial = case
    return json.dumps(strategies.suggest(spec, history=history, pending=pending, trial=trial))


@cache
def ten_thousand() -> Sequence[Trial]:
    """A long history."""
    space = space_of(sweep("Random", "mixed"))
    opened = (Trial(index=i, run="", parameters=random.draw(space, seed=1, trial=i)) for i in range(10_000))
    return [KINDS["measured"](t) for t in opened]


IN_ANOTHER_PROCESS = """
import pickle, sys
from hypersweep.testing.strategies import asked
print(*map(asked, pickle.load(sys.stdin.buffer)), sep="\\n")
"""


class StrategySuite:
    """What holds of every strategy."""

    # ---- pure

    def test_another_process_gives_the_same_answers(self, name: str) -> None:
        """After a restart the sweep goes on as if nothing had been: no answer depends on a process, or on its hash seed."""
        done = subprocess.run(
            [sys.executable, "-c", IN_ANOTHER_PROCESS],
            input=pickle.dumps(cases(name)),
            capture_output=True,
            check=True,
            timeout=120,
            env={"PYTHONHASHSEED": "4711", "PYTHONPATH": ":".join(sys.path)},
        )
        assert done.stdout.decode().splitlines() == [asked(case) for case in cases(name)]

    def test_the_order_of_the_trials_has_no_meaning(self, name: str) -> None:
        """A ledger may list trials as it likes."""
        shuffle = stdlib_random.Random(1).sample
        for spec, history, pending, trial in cases(name):
            shuffled = shuffle(history, len(history)), shuffle(pending, len(pending))
            assert asked((spec, *shuffled, trial)) == asked((spec, history, pending, trial))

    def test_threads_do_not_disturb_each_other(self, name: str) -> None:
        """Many sweeps ask at once, each in a worker thread."""
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(asked, cases(name))) == [asked(case) for case in cases(name)]

    def test_nothing_outside_is_touched(self, name: str, capfd: pytest.CaptureFixture[str]) -> None:
        """No generator that others use, no logging set-up, no warnings filter, and not a word on the terminal."""
        spec = sweep(name, "mixed")
        history = made_history(spec, 30)

        def outside() -> list[Any]:
            log = logging.getLogger("optuna")
            generators = stdlib_random.getstate(), repr(np.random.get_state())  # noqa: NPY002
            return [generators, list(warnings.filters), log.level, list(log.handlers)]

        strategies.suggest(spec, history=history, pending=(), trial=29)  # imports happen here
        before = outside()
        strategies.suggest(spec, history=history, pending=(), trial=30)
        assert outside() == before
        assert capfd.readouterr() == ("", "")

    # ---- any history

    @each_space
    @pytest.mark.parametrize(("kind", "count"), [*((kind, 24) for kind in KINDS), ("measured", 1), ("all failed", 1)])
    def test_any_history_is_answered(self, name: str, where: str, kind: str, count: int) -> None:
        """Failures, NaN, infinities, ties and constants do not confuse a strategy."""
        spec = sweep(name, where)
        history = made_history(spec, count, kind=kind)
        check(spec, strategies.suggest(spec, history=history, pending=(), trial=count), after=history)

    @each_space
    def test_the_first_trial_needs_no_history(self, name: str, where: str) -> None:
        """A sweep begins somewhere."""
        spec = sweep(name, where)
        check(spec, strategies.suggest(spec, history=(), pending=(), trial=0), after=())

    @each_space
    def test_gaps_in_the_numbers_are_borne(self, name: str, where: str) -> None:
        """Deleted runs leave holes, and the smallest free number may lie far below the largest."""
        spec = sweep(name, where)
        history = [t for t in made_history(spec, 40) if t.index % 5 and t.index != 3]
        history += [replace(t, index=t.index + 5000) for t in history[:4]]
        for trial in (0, 3, 41, 100_000):
            check(spec, strategies.suggest(spec, history=history, pending=(), trial=trial), after=history)

    @each_space
    @pytest.mark.parametrize("known", [0, 20])
    def test_sixty_four_open_trials_are_all_different(self, name: str, where: str, known: int) -> None:
        """A wide sweep is planned without one result, or with few."""
        spec = sweep(name, where)
        history = made_history(spec, known)
        pending: list[Trial] = []
        for index in range(known, known + 64):
            answer = strategies.suggest(spec, history=history, pending=pending, trial=index)
            check(spec, answer, after=[*history, *pending])
            if answer is None:
                break
            pending.append(Trial(index=index, run="", parameters=answer))

    @each_finite_space
    def test_every_point_has_its_turn_and_then_the_end_is_told(self, name: str, where: str) -> None:
        """No duplicate while there is something new, all of a small space is tried, and then the answer is None."""
        spec = sweep(name, where)
        points = {space_of(spec).key(a) for a in every(space_of(spec))}
        trials = run(spec, len(points) + 1)
        assert len(trials) == len(points)
        assert {space_of(spec).key(t.parameters) for t in trials} == points
        assert strategies.suggest(spec, history=trials[1:], pending=trials[:1], trial=len(points) + 7) is None

    @settings(
        max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors]
    )
    @given(made=parameters(finite=True, most=3), seed=st.integers(0, 2**31 - 1), data=st.data())
    def test_any_finite_space_is_exhausted(self, name: str, made: list[Json], seed: int, data: st.DataObject) -> None:
        """Whatever was tried before, what is left is found, and nothing else."""
        spec = sweep(name, made, seed=seed)
        points = list(every(space_of(spec)))
        had = data.draw(st.lists(st.sampled_from(range(len(points))), unique=True, min_size=max(0, len(points) - 3)))
        history = [ended(i, points[n], score(points[n])) for i, n in enumerate(had)]
        for index in range(len(had), len(points) + 1):
            answer = strategies.suggest(spec, history=history, pending=(), trial=index)
            check(spec, answer, after=history)
            if answer is not None:
                history.append(ended(index, answer, score(answer)))
        assert len(history) == len(points)

    @settings(
        max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors]
    )
    @given(made=parameters(), seed=st.integers(0, 2**31 - 1), kind=st.sampled_from(sorted(KINDS)))
    def test_any_space_is_answered(self, name: str, made: list[Json], seed: int, kind: str) -> None:
        """Ranges as wide as numbers go, or one number wide; any scale, any conditions."""
        made = [{**p, "points": 3} if p["type"] == "Float" and "step" not in p else p for p in made]
        spec = sweep(name, made, seed=seed)
        history = made_history(spec, 15, kind=kind)
        check(spec, strategies.suggest(spec, history=history, pending=(), trial=15), after=history)

    def test_a_thousand_trials_are_no_burden(self, name: str) -> None:
        """Seconds would hold up every launch; bench/ask.py has the figures."""
        spec = sweep(name, "mixed")
        history = made_history(spec, 1000, kind="of all kinds")
        pending = drawn(spec, 8, first=1000)
        check(spec, strategies.suggest(spec, history=history, pending=pending, trial=1008), after=[*history, *pending])

    def test_ten_thousand_trials_are_borne(self, name: str) -> None:
        """The longest sweeps end, too."""
        spec = sweep(name, "mixed")
        history = ten_thousand()
        check(spec, strategies.suggest(spec, history=history, pending=(), trial=10_000), after=history)
