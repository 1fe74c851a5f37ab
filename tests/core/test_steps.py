"""What a result says: the amount, the words, and of which attempt it is."""

from dataclasses import replace

import pytest

from hypersweep.core.decide import decide
from hypersweep.core.snapshot import Commit, Fault, OpenTrial, Pause, Snapshot
from hypersweep.core.steps import OBJECTIVE_GRACE
from hypersweep.core.stoppers import Verdict
from hypersweep.core.trial import Measurement, Outcome, Phase, Reason, Result
from tests.core.builders import NOW, look, make_spec, view

CONSTRAINED = make_spec(constraints=[{"metric": "ms", "max": 20}])
PROMOTING = make_spec(earlyStopping={"type": "ASHA", "asha": {"mode": "Promote"}})
VERDICT = Verdict("ASHA", 3, 0.9, "at budget 3", NOW - 9)
REFUSED = Fault(reason=Reason.LAUNCH_REFUSED, message="no")


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


@pytest.mark.parametrize(
    ("trial", "where", "when"),
    [
        pytest.param(view(0, Phase.FAILED, reason=Reason.BAD_SETTINGS, ended=NOW - 20), "pod-0", NOW - 20, id="ended"),
        pytest.param(replace(view(0), verdict=VERDICT), "pod-0", NOW, id="cut short"),
        pytest.param(replace(view(0, None), fault=REFUSED), "", NOW, id="never begun"),
    ],
)
def test_a_result_says_where_its_attempt_was_and_when_that_ended(trial: OpenTrial, where: str, when: float) -> None:
    """One that still runs, or never did, ends now."""
    result = committed(look(trial, spec=make_spec(earlyStopping={"type": "ASHA"})))
    assert (result.where, result.ended) == (where, when)


def test_a_pause_is_told_as_an_end_is() -> None:
    """By what the trial was judged, at which rung, where and when."""
    paused = decide(look(replace(view(0), verdict=VERDICT), spec=PROMOTING), NOW).actions[0]
    assert isinstance(paused, Pause)
    told = Result(
        outcome=Outcome.PAUSED, value=0.9, reason="ASHA", message="paused at budget 3", where="pod-0", ended=NOW
    )
    assert (paused.rung, paused.result) == (3, told)
