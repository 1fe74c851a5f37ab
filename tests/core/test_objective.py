"""How a curve becomes one value, and what non-finite numbers do."""

import math

import pytest

from hypersweep.core.objective import missing_message, nearest, reduce
from hypersweep.core.spec import Objective

NAN, INF = math.nan, math.inf


def objective(reduction: str, goal: str = "Minimize", window: int | None = None) -> Objective:
    return Objective.model_validate({"metric": "loss", "goal": goal, "reduction": reduction, "window": window})


def by_step(*values: float) -> list[tuple[int, float]]:
    return list(enumerate(values))


REDUCTIONS = [
    ("the last point", objective("Last"), by_step(3, 1, 2), 2),
    ("last, NaN", objective("Last"), by_step(3, NAN), NAN),
    ("last of one step: the newest", objective("Last"), [(0, 3.0), (0, 1.0)], 1),
    ("smallest", objective("Best"), by_step(3, 1, 2), 1),
    ("largest", objective("Best", "Maximize"), by_step(3, 1, 2), 3),
    ("best looks past NaN", objective("Best"), by_step(NAN, 2, NAN), 2),
    ("best looks past -inf, also where smaller is better", objective("Best"), by_step(2, -INF), 2),
    ("best of nothing finite: the last", objective("Best"), by_step(NAN, INF), INF),
    ("mean of the last two", objective("MeanOfLast", window=2), by_step(9, 1, 2), 1.5),
    ("a window larger than the curve", objective("MeanOfLast", window=5), by_step(1, 2), 1.5),
    ("mean with NaN in the window", objective("MeanOfLast", window=2), by_step(1, NAN, 2), NAN),
    ("mean with NaN before the window", objective("MeanOfLast", window=2), by_step(NAN, 1, 2), 1.5),
    ("mean with inf", objective("MeanOfLast", window=2), by_step(1, INF), INF),
    ("mean of large values", objective("MeanOfLast", window=2), by_step(1.5e308, 1.5e308), 1.5e308),
    (
        "steps logged again after a resume count once",
        objective("MeanOfLast", window=2),
        [(1, 9.0), (2, 8.0), (2, 4.0), (3, 2.0)],
        3,
    ),
    ("without steps each point counts", objective("MeanOfLast", window=2), [(0, 9.0), (0, 1.0), (0, 3.0)], 2),
]


@pytest.mark.parametrize(
    ("wanted", "curve", "value"), [row[1:] for row in REDUCTIONS], ids=[row[0] for row in REDUCTIONS]
)
def test_a_curve_becomes_one_value(wanted: Objective, curve: list[tuple[int, float]], value: float) -> None:
    """Each reduction, with what trainers really log."""
    found = reduce(curve, wanted)
    assert found is not None
    assert found == value or (math.isnan(found) and math.isnan(value))


@pytest.mark.parametrize("reduction", ["Last", "Best", "MeanOfLast"])
def test_no_points_have_no_value(reduction: str) -> None:
    """Absent is not zero."""
    assert reduce([], objective(reduction)) is None


def test_the_nearest_name_comes_first() -> None:
    """What was most likely meant stands where it is read."""
    assert nearest("val_loss", ["accuracy", "train_loss", "validation_loss", "Val_Loss"])[0] == "Val_Loss"
    assert nearest("loss", ["b", "a", "a"]) == ["a", "b"]


def test_the_message_names_what_was_logged() -> None:
    """At most ten names; without any, where to log."""
    assert missing_message("val_loss", ["acc", "val-loss"]).endswith('objective "val_loss"; it logged val-loss, acc')
    assert missing_message("loss", [f"m{i:02}" for i in range(14)]).endswith("m09 and 4 more")
    assert "MLFLOW_RUN_ID" in missing_message("loss", [])


def test_the_message_names_the_runs_that_the_trial_made() -> None:
    """A trial that logged to a run of its own making is told which, and how to log to the trial's."""
    message = missing_message("loss", ["accuracy"], elsewhere=['"warm-up"', '"finetuning" (has it)'])
    assert 'it logged accuracy. It made other runs, "warm-up", "finetuning" (has it): ' in message
    assert 'run_id=os.environ["MLFLOW_RUN_ID"]' in message
