"""Numbers and runs on the wire."""

import json
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersweep.tracking import wire


@given(st.floats().filter(lambda value: abs(value) != sys.float_info.max))
def test_a_number_survives_json(value: float) -> None:
    """Every double, NaN and infinities included, but for the two that MLflow uses for the infinities."""
    sent = json.dumps(wire.number_to_wire(value), allow_nan=False)
    assert repr(wire.number(json.loads(sent))) == repr(value)


@pytest.mark.parametrize(
    ("stored", "value"), [(sys.float_info.max, math.inf), (-sys.float_info.max, -math.inf), ("NaN", math.nan)]
)
def test_what_mlflow_keeps_for_infinities_is_read_as_such(stored: float | str, value: float) -> None:
    """Its database has no infinity."""
    assert repr(wire.number(stored)) == repr(value)


def test_a_run_of_an_older_server_is_read() -> None:
    """64-bit integers as strings, and fields left out where they are empty."""
    run = wire.run(
        {"info": {"run_id": "r", "experiment_id": "1", "status": "FINISHED", "start_time": "1500", "end_time": "2500"}}
    )
    assert (run.started, run.ended, run.tags, run.metrics, run.deleted) == (1.5, 2.5, {}, {}, False)
