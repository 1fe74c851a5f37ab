"""Repeats: what an assignment is worth, which one leads, and which is to be run with a further seed."""

import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hypersweep.core import repeats
from hypersweep.core.admission import check
from hypersweep.core.aim import Aim
from hypersweep.core.decide import decide
from hypersweep.core.proposals import Proposal, propose
from hypersweep.core.repeats import PRIOR, Repeated, grouped, next_repeat
from hypersweep.core.spec import SweepSpec
from hypersweep.core.strategies import effective, suggest
from hypersweep.core.tally import Tally
from hypersweep.core.trial import Outcome, Reason, Trial
from tests.core.builders import NOW, ended, look, make_spec

THREE = {"count": 3, "racing": False}
RACE = {"count": 3, "racing": True}
STOPPED = Outcome.STOPPED


Told = float | Outcome | tuple[Outcome, float] | None


def results(**values: Sequence[Told]) -> list[Trial]:
    """Trials of the assignments a, b, …: values in the order of seeds (first seeds first); None is open, an Outcome an end.

    A pair is how it ended, and its last value.
    """
    found: list[Trial] = []
    for seed in range(max(map(len, values.values()))):
        for name, row in values.items():
            if seed >= len(row):
                continue
            value, parameters = row[seed], {"lr": 0.001 * ord(name[0])}
            if isinstance(value, tuple):
                found.append(ended(len(found), value[1], outcome=value[0], parameters=parameters))
            elif isinstance(value, Outcome):
                found.append(ended(len(found), outcome=value, parameters=parameters))
            elif value is None:
                found.append(replace(ended(len(found)), outcome=Outcome.OPEN, parameters=parameters))
            else:
                found.append(ended(len(found), value, parameters=parameters))
    return found


def cut_off(trials: Sequence[Trial]) -> list[Trial]:
    """The same, with the stopped ones stopped by the sweep's end."""
    return [replace(t, reason=Reason.SWEEP_ENDED) if t.outcome is STOPPED else t for t in trials]


def name_of(trial: Trial | None) -> str:
    return "" if trial is None else chr(round(float(trial.parameters["lr"]) / 0.001))


def tally(trials: Sequence[Trial], *, goal: Any = "Minimize", count: int = 3) -> Tally:
    return Tally.of(Aim(goals=(goal,), repeats=count), trials)


LEADERS: list[tuple[str, list[Trial], str]] = [
    ("the smallest mean", results(a=[2, 2.1, 2.2], b=[1, 1.1, 1.2]), "b"),
    ("not the luckiest seed", results(a=[0.5, 3, 2.5], b=[1, 1.1, 1.2]), "b"),
    ("a single lucky seed does not beat three good ones", results(a=[1.0, 1.4, 1.2], b=[1.05], c=[2, 1.6, 1.8]), "a"),
    ("a single seed that is beyond doubt does", results(a=[1.0, 1.4, 1.2], b=[-5], c=[2, 1.6, 1.8]), "b"),
    ("while no assignment has two seeds, the best seed", results(a=[2], b=[1], c=[3]), "b"),
    ("a failed repeat is left out", results(a=[1, Outcome.FAILED, 1.1], b=[2, 2, 2]), "a"),
    ("one that was stopped counts as the worst", results(a=[1.0, 1.8, Outcome.STOPPED], b=[1.5, 1.45, 1.55]), "b"),
    ("a lucky seed does not beat three, if the other was stopped", results(a=[1, (STOPPED, 9)], b=[2, 2.1, 1.9]), "b"),
    (
        "a stopped repeat that was better then is no better",
        results(a=[1.0, 1.9, (STOPPED, 0.1)], b=[1.5, 1.45, 1.55]),
        "b",
    ),
    ("one cut off by the sweep's end tells nothing", cut_off(results(a=[1, 1, (STOPPED, 9)], b=[2, 2, 2])), "a"),
    ("one infeasible repeat excludes the assignment", results(a=[1, 1, Outcome.INFEASIBLE], b=[2, 2, 2]), "b"),
    ("ties go to the earlier assignment", results(a=[1, 1], b=[1, 1]), "a"),
]


@pytest.mark.parametrize(("trials", "best"), [row[1:] for row in LEADERS], ids=[row[0] for row in LEADERS])
def test_the_leader_is_decided_by_the_worse_end_of_the_interval(trials: list[Trial], best: str) -> None:
    """In either direction, and in whatever order trials end."""
    assert name_of(tally(trials).best) == best
    assert name_of(tally(trials[::-1]).best) == best
    mirrored = [replace(t, value=-t.value) if t.value is not None else t for t in trials]
    assert name_of(tally(mirrored, goal="Maximize").best) == best


def test_the_best_is_told_with_its_mean_its_interval_and_its_repeats() -> None:
    """Student's interval, its variance shrunk to that of all; checked against the formula and scipy's quantiles."""
    best = tally(results(a=[1.0, 1.4, 1.2], b=[3.0, 3.2])).best
    assert best is not None
    assert (best.index, best.repeats) == (0, 3)
    assert best.value == pytest.approx(1.2)
    pooled = (0.08 + 0.02) / 3
    variance = (0.08 + PRIOR * pooled) / (2 + PRIOR)
    reach = stats.t.ppf(0.975, 2 + PRIOR) * math.sqrt(variance / 3)
    assert best.interval == pytest.approx((1.2 - reach, 1.2 + reach), rel=1e-4)


def test_the_quantiles_are_students() -> None:
    """For every number of repeats that the schema admits."""
    for freedom, quantile in enumerate(repeats.QUANTILES, start=1):
        assert quantile == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-4)
    assert len(repeats.QUANTILES) == 20 - 1 + PRIOR


def test_an_interval_holds_what_it_says() -> None:
    """Of many assignments with noise of one kind, the mean lies within for about 95 of a hundred."""
    random = Random(7)
    held = 0
    for _ in range(50):
        groups = {chr(97 + i): [i + random.gauss(0, 0.3) for _ in range(3)] for i in range(8)}
        for trial in tally(results(**groups)).leaders.top:
            assert trial.interval is not None
            truth = ord(name_of(trial)) - 97
            held += trial.interval[0] <= truth <= trial.interval[1]
    assert 0.92 <= held / 400 <= 0.99


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-1e308, 1e308)), max_size=30), st.randoms())
@settings(max_examples=500)
def test_leaders_depend_on_the_set_of_trials_alone(found: list[tuple[int, float]], random: Random) -> None:
    """A restart reads them in another order; large values overflow nothing."""
    trials = [ended(i, value, parameters={"lr": float(group)}) for i, (group, value) in enumerate(found)]
    first, second = Repeated(1.0, 3), Repeated(1.0, 3)
    for trial in trials:
        first.add(trial)
    random.shuffle(trials)
    for trial in trials:
        second.add(trial)
    assert repr(first.top) == repr(second.top)


def test_the_strategy_at_work_is_told_by_what_it_sees() -> None:
    """Auto changes over by the number of assignments, and so does what is said of it."""
    trials = results(a=[1.0, 1.1, 1.2], b=[2.0, STOPPED], c=[None])
    assert (tally(trials).observed, tally(trials, count=1).observed) == (2, 5)
    name, why = effective(make_spec(repeats=THREE, strategy={"name": "Auto"}), ended=tally(trials).observed)
    assert name == "Sobol"
    assert why.endswith("2 assignments ended")


# ---- endings ---------------------------------------------------------------------------------------------------------


def test_a_target_is_reached_by_the_mean_of_all_repeats() -> None:
    """Neither one lucky seed nor two of three end the sweep."""
    spec = make_spec(repeats=THREE, trials={"max": 20}, stopWhen={"targets": [{"metric": "loss", "value": 1.0}]})

    def ends(trials: list[Trial]) -> str:
        found = decide(look(spec=spec, history=tuple(trials)), NOW).ending
        return found.reason if found else ""

    assert ends(results(a=[0.1])) == ""
    assert ends(results(a=[0.9, 0.9])) == ""
    assert ends(results(a=[0.1, 2, 2], b=[3])) == ""
    assert ends(results(a=[0.9, 1.2, 0.9], b=[3])) == "TargetReached"


# ---- which comes next --------------------------------------------------------------------------------------------------

NEXT: list[tuple[str, list[Trial], bool, str]] = [
    ("nothing was tried: a new one", [], False, ""),
    ("every assignment gets its seeds at once", results(a=[None]), False, "a"),
    ("also after its first has ended", results(a=[1.0, None]), False, "a"),
    ("then a new one", results(a=[None, None, None]), False, ""),
    ("one that failed gets no further seeds", results(a=[Outcome.FAILED]), False, ""),
    ("nor does one that is infeasible", results(a=[1.0, Outcome.INFEASIBLE]), False, ""),
    ("nor does one that was stopped early", results(a=[STOPPED]), False, ""),
    ("one that the sweep's end cut off is made up for", cut_off(results(a=[1.0, 2.0, STOPPED])), False, "a"),
    ("racing: what was cut off was spent", cut_off(results(a=[1.0, STOPPED])), True, ""),
    ("racing: not where all were cut off", cut_off(results(a=[STOPPED], b=[1.0], c=[9])), True, "b"),
    ("racing: not before the first seed has ended", results(a=[None]), True, ""),
    ("racing: the best so far", results(a=[2], b=[1]), True, "b"),
    ("racing: one seed after the other", results(a=[2], b=[1, None]), True, ""),
    ("racing: whose interval reaches the best's", results(a=[1.0, 1.2, 1.1], b=[1.15], c=[9], d=[9.5]), True, "b"),
    ("racing: not who is beyond doubt worse", results(a=[1.0, 1.2, 1.1], b=[5], c=[9], d=[9.5]), True, ""),
    ("racing: no more on seeds than on assignments", results(a=[1.0, 1.2], b=[1.1, 1.2], c=[1.2, 1.1]), True, ""),
]


@pytest.mark.parametrize(("trials", "racing", "due"), [r[1:] for r in NEXT], ids=[r[0] for r in NEXT])
def test_which_assignment_has_the_next_seed(trials: list[Trial], racing: bool, due: str) -> None:
    """Empty: a new assignment is to be tried."""
    found = next_repeat(grouped(trials), sign=1.0, count=3, racing=racing)
    assert (name_of(found.trials[0]) if found else "") == due


def test_when_all_has_been_tried_the_contenders_get_the_rest() -> None:
    """The share of new assignments is of no use where there are none."""
    groups = grouped(results(a=[1.0, 1.2], b=[1.1, 1.2], c=[1.2, 1.1]))
    found = next_repeat(groups, sign=1.0, count=3, racing=True, exhausted=True)
    assert found is not None
    assert name_of(found.trials[0]) == "a"


def noisy(spec: SweepSpec, trials: int, *, noise: float = 0.0) -> list[Trial]:
    """A sweep, one trial at a time: the loss is the distance from lr = 0.01, in decades, and noise of the seed."""
    history: list[Trial] = []
    for index in range(trials):
        proposal = propose(spec, history=history, pending=(), trial=index)
        if proposal is None:
            break
        lr = float(proposal.parameters["lr"])
        value = abs(math.log10(lr) + 2) + Random(index).gauss(0, noise)
        history.append(ended(index, value, parameters=proposal.parameters, name=proposal.name))
    return history


@pytest.mark.parametrize("strategy", ["Random", "TPE", "Auto"])
def test_strategies_see_one_trial_for_each_assignment(strategy: str) -> None:
    """They propose the same assignments as in a sweep without repeats, each once, in which each result is the mean."""
    spec = make_spec(repeats=THREE, strategy={"name": strategy, "seed": 3}, trials={"max": 60})
    history = noisy(spec, 36)
    groups = grouped(history)
    assert [len(group.trials) for group in groups] == [3] * 12
    alone: list[Trial] = []
    for group in groups:
        assignment = suggest(spec, history=alone, pending=(), trial=len(alone))
        assert assignment == group.parameters
        alone.append(ended(len(alone), group.mean, parameters=group.parameters))


def test_initial_trials_come_first_and_are_repeated_with_their_names() -> None:
    """In their order, each with all its seeds."""
    spec = make_spec(
        repeats={"count": 2},
        trials={"max": 20},
        initialTrials=[{"name": "published", "parameters": {"lr": 0.01}}, {"parameters": {"lr": 0.02}}],
    )
    history = noisy(spec, 5)
    assert [t.parameters["lr"] for t in history[:4]] == [0.01, 0.01, 0.02, 0.02]
    assert [t.name for t in history[:4]] == ["published", "published", "", ""]
    assert history[4].parameters["lr"] not in (0.01, 0.02)


def test_an_initial_trial_whose_run_was_deleted_is_tried_again() -> None:
    """Its place is free again, and the others keep theirs: none of them is taken for new."""
    initial = [{"name": name, "parameters": {"lr": lr}} for name, lr in (("a", 0.01), ("b", 0.02), ("c", 0.03))]
    spec = make_spec(repeats={"count": 2}, trials={"max": 20}, initialTrials=initial)
    history = noisy(spec, 8)
    for gone in (0, 1, 2):
        left = [t for t in history if t.index // 2 != gone]
        assert propose(spec, history=left, pending=(), trial=2 * gone) == Proposal(
            initial[gone]["parameters"], "abc"[gone]
        )


def test_a_finite_space_is_exhausted_when_every_point_has_its_seeds() -> None:
    """Then, and not before, there is nothing to propose."""
    parameters = [{"name": "lr", "type": "Discrete", "numbers": [0.001, 0.01, 0.1]}]
    spec = make_spec(parameters=parameters, repeats={"count": 2}, trials={"max": 99})
    assert [len(g.trials) for g in grouped(noisy(spec, 99))] == [2, 2, 2]
    raced = grouped(noisy(make_spec(parameters=parameters, repeats=RACE, trials={"max": 99}), 99))
    assert len(raced) == 3
    assert max(len(g.trials) for g in raced) == 3


def test_racing_spends_its_seeds_on_the_good_ones() -> None:
    """And finds as good a one with them: of 60 noisy trials, those near the best have more seeds than the others."""
    spec = make_spec(repeats=RACE, strategy={"name": "Random", "seed": 5}, trials={"max": 60})
    groups = grouped(noisy(spec, 60, noise=0.1))
    assert len(groups) >= 30
    good = sorted(groups, key=lambda g: abs(math.log10(float(g.parameters["lr"])) + 2))
    assert sum(len(g.trials) for g in good[:10]) > 2 * sum(len(g.trials) for g in good[-10:])


def test_the_order_of_trials_changes_no_proposal() -> None:
    """A restart reads the ledger in another order."""
    spec = make_spec(repeats=RACE, strategy={"name": "TPE"}, trials={"max": 60})
    history = noisy(spec, 40, noise=0.1)
    again = propose(spec, history=history[::-1], pending=(), trial=40)
    assert again == propose(spec, history=history, pending=(), trial=40)


def test_trials_of_other_sweeps_are_no_repeats() -> None:
    """What a warm start brings has a negative index: the strategy sees it, no seed is owed to it."""
    spec = make_spec(repeats=THREE, trials={"max": 20})
    warm = [ended(-1 - i, 1.0, parameters={"lr": 0.001 * (i + 1)}) for i in range(3)]
    proposal = propose(spec, history=warm, pending=(), trial=0)
    assert proposal is not None
    assert proposal.parameters["lr"] not in (0.001, 0.002, 0.003)


def test_equal_initial_trials_are_refused_with_repeats() -> None:
    """They would be taken for repeats of one."""
    initial = [{"parameters": {"lr": 0.01}}, {"parameters": {"lr": 0.01}}]
    [problem] = check({}, make_spec(repeats=THREE, initialTrials=initial))
    assert str(problem) == (
        "spec.initialTrials[1].parameters: found the assignment of spec.initialTrials[0] again; `repeats` repeats it"
    )
    assert check({}, make_spec(initialTrials=initial)) == []
    filled = [
        {"name": "lr", "type": "Float", "min": 0.001, "max": 0.1},
        {"name": "b", "type": "Integer", "min": 1, "max": 9, "default": 2},
    ]
    same = [{"parameters": {"lr": 0.01, "b": 2}}, {"parameters": {"lr": 0.01}}]
    assert len(check({}, make_spec(parameters=filled, repeats=THREE, initialTrials=same))) == 1
