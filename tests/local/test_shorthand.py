"""The command line's shorthand for parameters."""

from typing import Any

import pytest

from hypersweep.cli.shorthand import parameter
from hypersweep.core.errors import SpecError

ROWS: list[tuple[str, dict[str, Any]]] = [
    ("lr=1e-5..1e-1:log", {"name": "lr", "type": "Float", "min": 1e-5, "max": 0.1, "scale": "Log"}),
    ("n=1..6", {"name": "n", "type": "Integer", "min": 1, "max": 6}),
    ("n=8..64:step=8", {"name": "n", "type": "Integer", "min": 8, "max": 64, "step": 8}),
    ("x=-1..1:step=0.5", {"name": "x", "type": "Float", "min": -1, "max": 1, "step": 0.5}),
    ("m=0..0.99:reverselog", {"name": "m", "type": "Float", "min": 0, "max": 0.99, "scale": "ReverseLog"}),
    ("m=0.1..0.9:logit", {"name": "m", "type": "Float", "min": 0.1, "max": 0.9, "scale": "Logit"}),
    ("x=0.1..10:log:points=5", {"name": "x", "type": "Float", "min": 0.1, "max": 10, "scale": "Log", "points": 5}),
    ("b=16,32", {"name": "b", "type": "Discrete", "numbers": [16, 32]}),
    ("b=0.5,2", {"name": "b", "type": "Discrete", "numbers": [0.5, 2]}),
    ("o=sgd,adam", {"name": "o", "type": "Categorical", "values": ["sgd", "adam"]}),
    ("o=sgd", {"name": "o", "type": "Categorical", "values": ["sgd"]}),
    ("d=../old,../new", {"name": "d", "type": "Categorical", "values": ["../old", "../new"]}),
    ("d=../data", {"name": "d", "type": "Categorical", "values": ["../data"]}),
    ("f=true,false", {"name": "f", "type": "Boolean"}),
]


@pytest.mark.parametrize(("text", "expected"), ROWS, ids=[text for text, _ in ROWS])
def test_parameter(text: str, expected: dict[str, Any]) -> None:
    """Each form is the parameter that it looks like."""
    assert parameter(text) == expected


@pytest.mark.parametrize("values", ["1e-5..", "..1e-1", "1..2:", "1...5", "1e-5...1e-1", "0...5:log"])
def test_half_a_range_is_no_word(values: str) -> None:
    """Three dots gave an end ten times too small, and a missing end a sweep over one word."""
    with pytest.raises(SpecError, match=r"a range is MIN\.\.MAX"):
        parameter(f"lr={values}")
