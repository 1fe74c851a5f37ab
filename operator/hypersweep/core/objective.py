"""The objective: how a curve becomes one value, and what to say when there is none.

Pure. The policy on non-finite numbers is here and nowhere else: `Best` looks past
them while a finite point exists, and `Last` and `MeanOfLast` report them as they are (the trial is then infeasible).
"""

import difflib
import math
from collections.abc import Sequence
from typing import Literal

from hypersweep.core.spec import Objective

Curve = Sequence[tuple[int, float]]  # (step, value), ordered by step, then by time
NAMES_SHOWN = 10
_RUN_ID = 'run_id=os.environ["MLFLOW_RUN_ID"]'


def reduce(curve: Curve, objective: Objective) -> float | None:
    """The one value of a metric's curve that the trial is judged by; None for an empty curve."""
    if not curve:
        return None
    match objective.reduction:
        case "Last":
            return curve[-1][1]
        case "Best":
            return _best([value for _, value in curve], objective.goal)
        case "MeanOfLast":
            last = _one_per_step(curve)[-(objective.window or 1) :]
            return sum(value / len(last) for value in last)  # divided first: a sum of large values would overflow


def nearest(name: str, logged: Sequence[str]) -> list[str]:
    """`logged`, the most similar to `name` first; upper and lower case count as similar."""

    def distance(other: str) -> tuple[float, str]:
        return -difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio(), other

    return sorted(set(logged), key=distance)


def missing_message(
    metric: str, logged: Sequence[str], *, elsewhere: Sequence[str] = (), role: str = "objective"
) -> str:
    """What to tell the owner of a trial that ended without its objective (or what `role` names). `elsewhere`: other runs
    that the trial made.
    """
    missing = f'the trial never logged the {role} "{metric}"'
    if logged:
        missing += f"; it logged {_listed(nearest(metric, logged))}"
    else:
        missing += ", nor any other metric: does it log to the run MLFLOW_RUN_ID?"
    if elsewhere:
        return (
            f"{missing}. It made other runs, {_listed(elsewhere)}: only the first mlflow.start_run() of a process joins the "
            f"trial's run, so log the {role} there, or give the logger {_RUN_ID}"
        )
    if not logged:
        missing += f" A logger with runs of its own, such as Lightning's MLFlowLogger, needs {_RUN_ID}"
    return missing


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _best(values: Sequence[float], goal: Literal["Minimize", "Maximize"]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return values[-1]
    return min(finite) if goal == "Minimize" else max(finite)


def _one_per_step(curve: Curve) -> list[float]:
    """The newest value of each step, since a resumed attempt logs some steps again.

    A curve that was logged without steps sits at one step: there, each point counts.
    """
    steps = dict(curve)
    return [value for _, value in curve] if len(steps) == 1 else list(steps.values())
