"""What a trial's end says: the result that is committed, its amount and its words."""

from dataclasses import replace

from hypersweep.core.decide import decide
from hypersweep.core.snapshot import Commit, Snapshot
from hypersweep.core.steps import OBJECTIVE_GRACE
from hypersweep.core.trial import Measurement, Phase, Reason, Result
from tests.core.builders import NOW, look, make_spec, view

CONSTRAINED = make_spec(constraints=[{"metric": "ms", "max": 20}])


def committed(snapshot: Snapshot) -> Result:
    """The one result that is written."""
    [action] = [action for action in decide(snapshot, NOW).actions if isinstance(action, Commit)]
    return action.result


def test_a_violation_is_committed_with_its_amount_and_its_words() -> None:
    """The value stays, for whoever looks at the run; the amount guides the search, the words tell a person."""
    result = committed(look(view(0, Phase.SUCCEEDED, measured=1.0, constrained={"ms": 25.0}), spec=CONSTRAINED))
    assert (result.value, result.violation) == (1.0, 0.25)
    assert result.message == "ms is 25; allowed: at most 20"


def test_a_metric_of_a_constraint_that_never_came_is_named() -> None:
    """As a missing objective: after the grace, with what was logged instead."""
    late = view(0, Phase.SUCCEEDED, ended=NOW - OBJECTIVE_GRACE, logged=("latency", "loss"))
    late = replace(late, measured=Measurement(value=None, missing="ms", logged=("latency", "loss")))
    result = committed(look(late, spec=CONSTRAINED))
    assert result.reason == Reason.OBJECTIVE_MISSING
    assert result.message.startswith('the trial never logged the constraint\'s metric "ms"; it logged ')


def test_metrics_that_share_no_step_are_no_result() -> None:
    """All are there, but never of one model."""
    late = view(0, Phase.SUCCEEDED, ended=NOW - OBJECTIVE_GRACE, logged=("loss", "ms"))
    result = committed(look(late, spec=CONSTRAINED))
    assert result.reason == Reason.OBJECTIVE_MISSING
    assert result.message.startswith("no step has all of loss, ms")
