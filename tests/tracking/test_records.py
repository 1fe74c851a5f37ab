"""How a trial is written down: what any tag gives back, also one that is not as we wrote it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core.trial import Outcome, Result
from hypersweep.tracking import records
from hypersweep.tracking.base import RUNNING, Run
from tests.tracking.ledgers import IDENTITY


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8),
        st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8),
        max_size=6,
    )
)
def test_an_assignment_keeps_values_and_types(parameters: dict[str, Any]) -> None:
    """1, 1.0, True and "1" are four different values, in the ledger as in the trial."""
    tags = records.identity_tags(IDENTITY, records.KIND_TRIAL) | records.planned_tags(
        0, parameters, name="", retry="", parent="p"
    )
    found = records.trial_of(Run(id="r", experiment="1", status=RUNNING, started=0.0, tags=tags)).parameters
    assert found == parameters
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in parameters.items()}


@given(st.none() | st.floats(), st.floats(0, 4e9))
def test_a_result_keeps_its_value(value: float | None, ended: float) -> None:
    """Bit for bit, non-finite ones too."""
    tags = records.planned_tags(0, {}, name="", retry="", parent="p")
    tags |= records.committed_tags(Result(outcome=Outcome.SUCCEEDED, value=value, ended=ended))
    found = records.trial_of(Run(id="r", experiment="1", status=RUNNING, started=0.0, tags=tags))
    assert (repr(found.value), found.ended) == (repr(value), ended)


@given(st.text(alphabet=st.characters(), max_size=50), st.integers(1, 60))
def test_cleaned_text_is_storable_and_short(text: str, limit: int) -> None:
    """No NUL, no lone surrogate, not one character too many."""
    found = records.clean(text, limit)
    assert len(found) <= limit
    assert "\0" not in found
    found.encode()


@pytest.mark.parametrize(
    "tag", ["", "{", "[]", '{"operator": "x"}', '{"operator":"x","sweep":"y","time":"z","released":false}']
)
def test_an_owner_that_cannot_be_read_is_none(tag: str) -> None:
    """A damaged heartbeat holds nobody up."""
    run = Run(id="r", experiment="1", status=RUNNING, started=0.0, tags={records.OWNER: tag})
    assert records.parent_of(run).owner is None
