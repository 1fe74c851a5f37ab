"""At which step a trial is read, when more than one metric judges it."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from hypersweep.core.reading import Reading, apart_message, read
from tests.core.builders import make_spec

NAN = math.nan
LOSS: dict[str, Any] = {"metric": "loss", "goal": "Minimize"}
BEST, MEAN = {**LOSS, "reduction": "Best"}, {**LOSS, "reduction": "MeanOfLast", "window": 2}
LATENCY: dict[str, Any] = {"metric": "latency", "max": 20}
MS: dict[str, Any] = {"metric": "ms", "goal": "Minimize"}
Curves = Mapping[str, list[tuple[int, float]]]


def by_step(*values: float) -> list[tuple[int, float]]:
    return list(enumerate(values))


ROWS: list[tuple[str, dict[str, Any], Curves, Mapping[str, float] | None]] = [
    (
        "the last step",
        {"objectives": [LOSS], "constraints": [LATENCY]},
        {"loss": by_step(3, 1, 2), "latency": by_step(9, 8, 7)},
        {"loss": 2, "latency": 7},
    ),
    (
        "the last step that has both",
        {"objectives": [LOSS], "constraints": [LATENCY]},
        {"loss": by_step(3, 1, 2), "latency": [(0, 9), (1, 8)]},
        {"loss": 1, "latency": 8},
    ),
    (
        "the step where the objective is best",
        {"objectives": [BEST], "constraints": [LATENCY]},
        {"loss": by_step(3, 1, 2), "latency": by_step(9, 8, 7)},
        {"loss": 1, "latency": 8},
    ),
    (
        "of two best steps the first",
        {"objectives": [BEST], "constraints": [LATENCY]},
        {"loss": by_step(1, 3, 1), "latency": by_step(9, 8, 7)},
        {"loss": 1, "latency": 9},
    ),
    (
        "a best step that has no latency does not exist",
        {"objectives": [BEST], "constraints": [LATENCY]},
        {"loss": by_step(3, 1, 2), "latency": [(0, 9), (2, 7)]},
        {"loss": 2, "latency": 7},
    ),
    (
        "best looks past NaN",
        {"objectives": [BEST], "constraints": [LATENCY]},
        {"loss": by_step(NAN, 3, 2), "latency": by_step(9, 8, 7)},
        {"loss": 2, "latency": 7},
    ),
    (
        "largest where that is better",
        {"objectives": [{**BEST, "goal": "Maximize"}], "constraints": [LATENCY]},
        {"loss": by_step(1, 3, 2), "latency": by_step(9, 8, 7)},
        {"loss": 3, "latency": 8},
    ),
    (
        "logged once, without a step: it holds at every step",
        {"objectives": [LOSS], "constraints": [LATENCY]},
        {"loss": by_step(3, 1, 2), "latency": [(0, 9.0)]},
        {"loss": 2, "latency": 9},
    ),
    (
        "everything logged once, at steps of its own",
        {"objectives": [LOSS], "constraints": [LATENCY]},
        {"loss": [(10, 0.5)], "latency": [(0, 9.0)]},
        {"loss": 0.5, "latency": 9},
    ),
    (
        "an objective that never moves has no best step",
        {"objectives": [BEST], "constraints": [LATENCY]},
        {"loss": [(0, 0.5)], "latency": by_step(9, 8, 7)},
        {"loss": 0.5, "latency": 7},
    ),
    (
        "a step that was logged again counts as it was logged last",
        {"objectives": [BEST], "constraints": [LATENCY]},
        {"loss": [(0, 1.0), (0, 5.0), (1, 3.0)], "latency": by_step(9, 8)},
        {"loss": 3, "latency": 8},
    ),
    (
        "no step has both",
        {"objectives": [LOSS], "constraints": [LATENCY]},
        {"loss": [(0, 3), (2, 1)], "latency": [(1, 9), (3, 8)]},
        None,
    ),
    (
        "means are each metric's own",
        {"objectives": [MEAN], "constraints": [LATENCY]},
        {"loss": by_step(9, 1, 2), "latency": [(0, 7)]},
        {"loss": 1.5, "latency": 7},
    ),
    (
        "two objectives, at the last step that has both",
        {"objectives": [LOSS, MS]},
        {"loss": by_step(3, 1, 2), "ms": by_step(9, 7)},
        {"loss": 1, "ms": 7},
    ),
    (
        "two objectives and a constraint, where one is best",
        {"objectives": [LOSS, MS], "readAt": {"metric": "ms"}, "constraints": [LATENCY]},
        {"loss": by_step(3, 1, 2), "ms": by_step(9, 8, 8), "latency": by_step(4, 5, 6)},
        {"loss": 1, "ms": 8, "latency": 5},
    ),
    (
        "a constraint on the objective itself",
        {"objectives": [BEST], "constraints": [{"metric": "loss", "min": 0}]},
        {"loss": by_step(3, 1, 2)},
        {"loss": 1},
    ),
]


@pytest.mark.parametrize(("spec", "curves", "found"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_all_metrics_are_read_at_one_step(
    spec: dict[str, Any], curves: Curves, found: Mapping[str, float] | None
) -> None:
    """So that a result is a model that existed."""
    assert read(curves, Reading.of(make_spec(**spec))) == found


def test_metrics_that_share_no_step_are_told() -> None:
    """With their names, and what to do."""
    message = apart_message(make_spec(objectives=[LOSS], constraints=[LATENCY]))
    assert message.startswith("no step has all of loss, latency: log them together")
