"""What is said of histories whose truth is known, and what is not said of those that show nothing."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hypersweep.core.analysis.findings import Objective
from hypersweep.core.analysis.markdown import markdown
from hypersweep.core.analysis.report import analyze
from hypersweep.core.strategies import tpe
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Outcome, Reason, Trial
from hypersweep.testing.spaces import SPACES, parameters, space
from tests.core.histories import PARAMETERS, history, make_sweep


def found(trials: Sequence[Trial], **changes: Any) -> Objective:
    return analyze(make_sweep(**changes), trials).objectives[0]


def certain(objective: Objective) -> set[str]:
    return {p.name for p in objective.parameters if p.certain}


def bowl(p: Any) -> float:
    return float((math.log10(p["lr"]) + 2) ** 2)


def exclusive(p: Any) -> float:
    return 2.0 * ((p["dropout"] > 0.5) == (p["layers"] > 3))


def repeated(trials: Sequence[Trial], count: int) -> list[Trial]:
    """Each of these so many times, as trials of their own."""
    return [replace(t, index=t.index * count + i, run=f"{t.run}-{i}") for t in trials for i in range(count)]


# ---- repeats -----------------------------------------------------------------------------------------------------------


def test_repeats_of_an_assignment_are_one_observation() -> None:
    """Three seeds each say no more of the parameters than their means do, and are no evidence of more points."""
    once = history(lambda p: 2 * bowl(p), count=30)
    report = analyze(make_sweep(repeats={"count": 3}), repeated(once, 3))
    alone = analyze(make_sweep(), once)
    assert report.trials == 90
    assert report.objectives[0].results == 30
    for shown, expected in zip(report.objectives[0].parameters, alone.objectives[0].parameters, strict=True):
        assert shown.importance == expected.importance
        assert [(e.trials, e.low, e.high) for e in shown.effect] == [
            (e.trials, pytest.approx(e.low), pytest.approx(e.high)) for e in expected.effect
        ]
    assert report.tried == alone.tried
    few = analyze(make_sweep(repeats={"count": 3}), repeated(history(bowl, count=10), 3)).objectives[0]
    assert few.missing == "it takes 20 finite results of loss, and there are 10"


def test_the_best_of_repeats_is_the_surest_not_the_luckiest() -> None:
    """As in the status: by the worse end of the interval, in the name of its first repeat."""
    trials = repeated(history(lambda p: 5.0, count=20, noise=0), 2)
    trials[6:8] = [replace(t, value=1 + i / 10) for i, t in enumerate(trials[6:8])]
    trials[9] = replace(trials[9], value=0.5)
    best = found(trials, repeats={"count": 2}).best[0]
    assert (best.trial, best.value) == (6, pytest.approx(1.05))


# ---- what matters ------------------------------------------------------------------------------------------------------


def test_what_matters_is_found_and_ranked_by_how_much() -> None:
    """Of an additive truth: a strong parameter, a weaker one, and three that do nothing."""
    objective = found(history(lambda p: 2 * bowl(p) + 1.5 * (p["optimizer"] == "sgd"), count=100))
    assert certain(objective) == {"lr", "optimizer"}
    assert [p.name for p in objective.parameters][:2] == ["lr", "optimizer"]
    assert objective.parameters[0].importance > 0.5
    assert sum(p.importance or 0 for p in objective.parameters) == pytest.approx(1)


def test_a_parameter_that_is_seldom_active_can_matter() -> None:
    """Conditional on the optimizer; the parent does nothing by itself."""
    objective = found(history(lambda p: 3 * p.get("momentum", 0.5)))
    assert certain(objective) == {"momentum"}


def test_a_pure_interaction_is_found_although_neither_parameter_has_an_effect_of_its_own() -> None:
    objective = found(history(exclusive, count=80))
    assert [t.pair for t in objective.together] == [("dropout", "layers")] or [t.pair for t in objective.together] == [
        ("layers", "dropout")
    ]
    assert certain(objective) == {"dropout", "layers"}
    assert "by itself" in objective.lessons[2]


def test_an_additive_truth_has_no_interaction() -> None:
    objective = found(history(lambda p: bowl(p) + 2 * p["dropout"], count=80))
    assert objective.together == ()
    assert objective.pairs == 10


def test_noise_alone_is_seldom_taken_for_an_effect() -> None:
    """The stated chance, 5 % over all parameters together, within what 40 histories can tell (more than 7: 1 in 1,000)."""
    wrong = [certain(found(history(lambda _: 0.0, seed=seed, noise=1.0))) for seed in range(40)]
    assert sum(map(bool, wrong)) <= 7


def test_a_parameter_that_a_search_narrowed_down_together_with_a_better_one_is_no_cause() -> None:
    """TPE looks ever more often at good places, of parameters that do nothing, too."""
    wrong = 0
    for seed in range(5):
        trials: list[Trial] = []
        draws = np.random.default_rng(seed)
        for index in range(50):
            question = Question(
                space=space(PARAMETERS), goals=("Minimize",), history=trials, pending=(), seed=seed, trial=index
            )
            assignment = tpe.suggest(question) or {}
            value = bowl(assignment) + 0.3 * float(draws.normal())
            trials.append(
                Trial(index=index, run="", parameters=assignment, outcome=Outcome.SUCCEEDED, value=value, ended=index)
            )
        objective = found(trials)
        assert "lr" in certain(objective)
        wrong += len(certain(objective) - {"lr"})
    assert wrong <= 2


def test_when_more_is_better_the_same_matters_and_the_good_values_are_the_high_ones() -> None:
    trials = history(lambda p: -bowl(p))
    objective = found(trials, objectives=[{"metric": "loss", "goal": "Maximize"}])
    assert "lr" in certain(objective)
    assert objective.best[0].value == max(t.value or 0 for t in trials)
    best = max(objective.parameters[0].effect, key=lambda point: point.expected)
    assert best.value in ("0.00464 to 0.01", "0.01 to 0.0215")


# ---- effects -----------------------------------------------------------------------------------------------------------


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """95 % of the points of an additive truth, over ten histories; the others' average is part of what is expected."""
    inside = total = 0
    for seed in range(10):
        objective = found(history(lambda p: 2 * p["dropout"] + (p["layers"] - 1) / 5, seed=seed, count=80, noise=0.5))
        effect = next(p.effect for p in objective.parameters if p.name == "dropout")
        inside += sum(point.low <= 2 * point.place + 0.5 <= point.high for point in effect)
        total += len(effect)
    assert inside / total > 0.85


def test_effects_are_told_on_the_scale_of_the_parameter() -> None:
    effect = found(history(bowl)).parameters[0].effect
    assert [point.value for point in effect][:2] == ["0.0001 to 0.000215", "0.000215 to 0.000464"]
    assert min(effect, key=lambda point: point.expected).place == pytest.approx(0.5, abs=0.1)


def test_a_diverged_result_does_not_drown_the_others() -> None:
    """One loss of a million: lr still matters, and the expected values stay where the other results are."""
    trials = history(bowl)
    trials[3] = replace(trials[3], value=1e6)
    objective = found(trials)
    assert "lr" in certain(objective)
    assert max(point.expected for point in objective.parameters[0].effect) < 20


# ---- refusing to speak -------------------------------------------------------------------------------------------------

TOO_LITTLE = {
    "no trial": ([], "there are 0"),
    "a few results": (history(bowl, count=12), "it takes 20 finite results of loss, and there are 12"),
    "all failed": (
        [replace(t, outcome=Outcome.FAILED, value=None, reason="Crashed") for t in history(bowl)],
        "there are 0",
    ),
    "results that are no numbers": (
        [replace(t, outcome=Outcome.INFEASIBLE, value=math.nan) for t in history(bowl)],
        "there are 0",
    ),
    "constant": (history(lambda _: 0.5, noise=0), "all 60 results of loss are the same, 0.5"),
    "stopped early": ([replace(t, outcome=Outcome.STOPPED) for t in history(bowl)], "there are 0"),
}


@pytest.mark.parametrize(("trials", "missing"), TOO_LITTLE.values(), ids=TOO_LITTLE.keys())
def test_below_the_stated_evidence_nothing_is_said_but_what_is_missing(trials: list[Trial], missing: str) -> None:
    objective = found(trials)
    assert missing in objective.missing
    assert all(p.importance is None and p.missing for p in objective.parameters)
    assert objective.missing in objective.lessons[1]
    assert objective.missing in objective.lessons[3]


def test_a_parameter_with_too_few_results_of_its_own_is_left_out_and_named() -> None:
    """Active in 4 of 30 trials."""
    trials = [t for t in history(bowl, count=120) if t.parameters["optimizer"] == "adam"][:26]
    trials += [t for t in history(bowl, count=60) if t.parameters["optimizer"] == "sgd"][:4]
    trials = [replace(t, index=i) for i, t in enumerate(trials)]
    missing = {p.name: p.missing for p in found(trials).parameters if p.missing}
    assert missing == {"momentum": "it takes 10 finite results where it is active, and there are 4"}


def test_a_parameter_that_hardly_moved_is_left_out_and_named() -> None:
    trials = [t for t in history(bowl, count=200) if t.parameters["optimizer"] == "adam"][:30]
    missing = {p.name: p.missing for p in found(trials).parameters if p.missing}
    assert missing["optimizer"] == "it takes 3 results with other values than adam, and there are 0"


def test_pairs_need_more_evidence_than_parameters() -> None:
    objective = found(history(exclusive, count=30))
    assert objective.missing == ""
    assert "it takes 40 finite results, and there are 30" in objective.lessons[3]


def test_many_ties_are_borne() -> None:
    """Two values only, as of an accuracy on ten examples."""
    objective = found(history(lambda p: float(p["lr"] > 0.01), noise=0))
    assert "lr" in certain(objective)


# ---- failures ----------------------------------------------------------------------------------------------------------

BATCH = [{"name": "batch_size", "type": "Discrete", "numbers": [16, 32, 64, 128]}, *PARAMETERS[:1]]


def with_memory_failures(bad: int, *, of: int = 5) -> list[Trial]:
    """Twenty trials, `of` for each batch size; `bad` of those with 128 ran out of memory."""
    trials = []
    for index in range(4 * of):
        size = (16, 32, 64, 128)[index % 4]
        failed = size == 128 and index // 4 < bad
        trial = Trial(index=index, run="", parameters={"batch_size": size, "lr": 0.001 + index / 1000})
        end = (Outcome.INFEASIBLE, None, Reason.OUT_OF_MEMORY) if failed else (Outcome.SUCCEEDED, 0.5 + index, "")
        trials.append(replace(trial, outcome=end[0], value=end[1], reason=str(end[2])))
    return trials


def test_a_value_at_which_trials_ran_out_of_memory_is_named_with_the_numbers() -> None:
    report = analyze(make_sweep(BATCH), with_memory_failures(4))
    said = "batch_size 128: 4 of 5 trials ended OutOfMemory, against 0 of 15 elsewhere."
    assert report.objectives[0].lessons[4] == said
    assert said.rstrip(".") in markdown(report, title="a")


def test_two_failures_blame_no_value() -> None:
    assert analyze(make_sweep(BATCH), with_memory_failures(2)).failures == ()


def test_failures_that_are_as_frequent_everywhere_blame_no_value() -> None:
    trials = [
        replace(t, outcome=Outcome.FAILED, value=None, reason="Crashed") if t.index % 3 == 0 else t
        for t in history(bowl)
    ]
    assert analyze(make_sweep(), trials).failures == ()


# ---- where nobody looked -----------------------------------------------------------------------------------------------


def test_the_largest_gap_of_a_parameter_is_told_on_its_scale() -> None:
    trials = [t for t in history(bowl, count=100) if not 0.001 < t.parameters["lr"] < 0.1]
    tried = {t.parameter: t for t in analyze(make_sweep(), trials).tried}
    low, high = map(float, tried["lr"].gap.split(" to "))
    assert low <= 0.001
    assert high >= 0.1
    assert tried["lr"].size == pytest.approx(0.5, abs=0.1)
    assert tried["dropout"].gap == ""


def test_values_that_were_never_tried_are_listed() -> None:
    trials = [t for t in history(bowl, count=100) if t.parameters["optimizer"] == "adam"]
    tried = {t.parameter: t for t in analyze(make_sweep(), trials).tried}
    assert tried["optimizer"].gap == "rprop, sgd"
    assert tried["momentum"].gap == "all of it"


def test_an_unexplored_corner_of_two_parameters_is_told_though_each_alone_was_explored() -> None:
    trials = [t for t in history(bowl, count=300) if not (t.parameters["lr"] > 0.01 and t.parameters["dropout"] > 0.5)]
    report = analyze(make_sweep(), trials)
    assert report.unseen[0].pair == ("dropout", "lr")
    assert report.unseen[0].values == ("0.5 to 1", "0.01 to 1")
    assert report.unseen[0].size == pytest.approx(0.25)
    assert all(not t.gap for t in report.tried)


def test_a_trial_that_failed_has_been_tried() -> None:
    trials = [replace(t, outcome=Outcome.FAILED, value=None) for t in history(bowl)]
    assert all(not t.gap for t in analyze(make_sweep(), trials).tried)


# ---- the report --------------------------------------------------------------------------------------------------------


def test_the_order_of_trials_changes_nothing() -> None:
    trials = history(bowl)
    assert analyze(make_sweep(), trials).json() == analyze(make_sweep(), trials[::-1]).json()


def test_there_are_five_sentences_with_numbers() -> None:
    objective = found(history(bowl))
    assert len(objective.lessons) == 5
    for sentence in objective.lessons[:4]:
        assert re.search(r"\d", sentence), sentence


def test_thousands_of_trials_are_bounded_work() -> None:
    """The model is fitted to 400 of them."""
    objective = found(history(bowl, count=1500))
    assert certain(objective) == {"lr"}
    assert objective.results == 1500


ENDS = st.sampled_from([*Outcome, *[Outcome.SUCCEEDED] * 15])
VALUES = st.floats() | st.sampled_from([None, 0.0, 0.0, 1.0, 2.0, 1e308, -1e308])


@settings(max_examples=60, deadline=None)
@given(made=parameters(), data=st.data())
def test_no_history_breaks_the_analysis(made: list[dict[str, Any]], data: st.DataObject) -> None:
    """Any small space, any outcomes and values: a report that is JSON and Markdown."""
    trials = [
        replace(t, outcome=data.draw(ENDS), value=data.draw(VALUES), reason=data.draw(st.sampled_from(["", "Crashed"])))
        for t in history(lambda _: 0.0, parameters=made, count=data.draw(st.sampled_from([0, 3, 45])))
    ]
    report = analyze(make_sweep(made), trials)
    json.dumps(report.json(), allow_nan=False)
    assert markdown(report, title="any").startswith("# any")


def read(text: str) -> list[Token]:
    """Pieces of Markdown, with tables and what else GitHub and MLflow show."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


ODD = ["a|b", "*x*", "_y_", "`z`", "[a](b)", "<b>", "&amp;", "~~no~~", "\\", "\\|", "# a #", "![i](j)", "a_b", "1 < 2"]


def test_names_are_text_in_markdown() -> None:
    """Of metrics, values and sweeps: no table breaks, and nothing becomes emphasis, code, a link or HTML."""
    metric = " ".join(ODD)
    space = [{"name": "odd", "type": "Categorical", "values": [*ODD, "worse", "__x__"]}, PARAMETERS[0]]
    trials = history(lambda p: float(p["odd"] == "worse"), parameters=space, count=100)
    report = analyze(make_sweep(space, objectives=[{"metric": metric, "goal": "Minimize"}]), trials)
    tokens = read(markdown(report, title=metric, notes=[metric]))
    inline = [token for token in tokens if token.type == "inline"]
    assert {child.type for token in inline for child in token.children or []} == {"text"}
    shown = ["".join(child.content for child in token.children or []) for token in inline]
    assert shown[0] == metric
    assert {*ODD, "worse", "__x__", f"expected {metric}", f"What we learned: {metric} (less is better)"} <= set(shown)
    assert set(report.objectives[0].lessons) <= set(shown)
    assert shown.count(metric) == 2
    assert "html_block" not in {token.type for token in tokens}


@given(name=st.text("a1_*|\\`~[]()<>&;#!-+. \n", min_size=1, max_size=12))
def test_any_title_is_shown_as_it_is(name: str) -> None:
    """But for its line breaks."""
    heading = read(markdown(analyze(make_sweep(), []), title=name))[1]
    assert "".join(child.content for child in heading.children or []) == " ".join(name.split())


@pytest.mark.parametrize("name", SPACES)
def test_every_kind_of_space_can_be_analyzed(name: str) -> None:
    trials = history(lambda _: 0.0, parameters=SPACES[name], count=50)
    report = analyze(make_sweep(SPACES[name]), [t for t in trials if t.parameters])
    json.dumps(report.json(), allow_nan=False)
