"""How far a result is beyond its constraints, and in which words."""

import math
from typing import Any

import pytest

from hypersweep.core.feasibility import breaches, violation
from hypersweep.core.spec import Constraint

ROWS: list[tuple[str, dict[str, Any], float, float, str]] = [
    ("within", {"max": 20}, 19, 0, ""),
    ("on the bound", {"min": 20, "max": 20}, 20, 0, ""),
    ("above", {"max": 20}, 22, 0.1, "m is 22; allowed: at most 20"),
    ("below", {"min": 0.9, "max": 1}, 0.45, 0.5, "m is 0.45; allowed: at least 0.9 and at most 1"),
    ("beyond a negative bound", {"max": -10}, -5, 0.5, "m is -5; allowed: at most -10"),
    ("beyond zero: as it is", {"max": 0}, 3, 3, "m is 3; allowed: at most 0"),
    ("NaN is beyond everything", {"max": 20}, math.nan, math.inf, "m is nan; allowed: at most 20"),
    ("so is infinity, on either side", {"max": 20}, -math.inf, math.inf, "m is -inf; allowed: at most 20"),
]


@pytest.mark.parametrize(("bounds", "value", "beyond", "said"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_the_amount_is_relative_to_the_bound(bounds: dict[str, Any], value: float, beyond: float, said: str) -> None:
    """0 means met; the message names metric, value and bound."""
    constraint = Constraint.model_validate({"metric": "m", **bounds})
    assert violation([constraint], {"m": value}) == pytest.approx(beyond)
    assert breaches([constraint], {"m": value}) == ([said] if said else [])


def test_amounts_of_several_constraints_add_up() -> None:
    """The search is led back to where all are met."""
    constraints = [Constraint(metric="ms", max=20), Constraint(metric="mb", max=100), Constraint(metric="ok", min=0)]
    found = {"ms": 30, "mb": 150, "ok": 1}
    assert violation(constraints, found) == pytest.approx(1.0)
    assert len(breaches(constraints, found)) == 2
