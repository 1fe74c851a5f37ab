"""When `decide` ends a sweep, what it says of that, and what takes an end back."""

from dataclasses import replace

import pytest

from hypersweep.core.decide import decide
from hypersweep.core.snapshot import Ending, Remove, Snapshot
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Outcome, Phase
from tests.core.builders import NOW, brief, ended, look, make_attempt, make_spec, two_hours

CONSTRAINED = make_spec(constraints=[{"metric": "ms", "max": 20}])


def constrained(kind: str) -> SweepSpec:
    """A sweep of which a constraint leaves one integer, or one number among all."""
    return make_spec(
        parameters=[{"name": "x", "type": kind, "min": 1, "max": 9}], parameterConstraints=[{"expression": "x == 5"}]
    )


ENDS: dict[str, tuple[Snapshot, str, bool]] = {
    "all trials ended": (look(history=tuple(ended(i, 1.0) for i in range(4))), "MaxTrialsReached", True),
    "none has a result": (
        look(history=tuple(ended(i, outcome=Outcome.INFEASIBLE) for i in range(4))),
        "NoResult",
        False,
    ),
    "the space is exhausted": (look(history=(ended(0, 1.0),), exhausted=True), "SpaceExhausted", True),
    "the space is exhausted but for what constraints rule out": (
        look(history=(ended(0, 1.0),), exhausted=True, spec=constrained("Integer")),
        "SpaceExhausted",
        True,
    ),
    "nothing that meets the constraints is found": (
        look(exhausted=True, spec=constrained("Float")),
        "ConstraintsUnmet",
        False,
    ),
    "nothing more that meets the constraints is found": (
        look(history=(ended(0, 1.0),), exhausted=True, spec=constrained("Float")),
        "ConstraintsUnmet",
        True,
    ),
    "time is up": (
        look(history=(ended(0, 1.0),), spec=make_spec(stopWhen={"duration": "10m"})),
        "DurationExceeded",
        True,
    ),
    "resource hours are spent": (
        look(history=(ended(0, 0.3, spent={"a": {"cpu": 1.0}, "b": {"cpu": 1.0}}),), spec=two_hours()),
        "ResourceHoursSpent",
        True,
    ),
    "no improvement": (
        look(
            history=(ended(0, 0.3), ended(1, 0.2), ended(2, 0.1)),
            spec=make_spec(stopWhen={"noImprovement": {"trials": 2, "tolerance": 0.25}}),
        ),
        "NoImprovement",
        True,
    ),
    "too many failures": (
        look(history=tuple(ended(i, outcome=Outcome.FAILED, reason="Crashed", message="abc"[i]) for i in range(3))),
        "TooManyFailures",
        False,
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_end_says_why(name: str) -> None:
    """Each end has its own reason, and whether it is a good one."""
    snapshot, reason, complete = ENDS[name]
    decision = decide(snapshot, NOW)
    assert decision.finished
    assert decision.ending is not None
    assert (decision.ending.reason, decision.ending.complete) == (reason, complete)


def test_a_raised_limit_continues_a_finished_sweep() -> None:
    """The end is a function of the spec and the history: with more trials allowed there is none."""
    history = tuple(ended(i, 1.0) for i in range(4))
    assert decide(look(history=history), NOW).finished
    more = decide(look(history=history, spec=make_spec(trials={"max": 6})), NOW)
    assert (more.finished, brief(more.actions)) == (False, ["plan 4", "plan 5"])


CRASHED = tuple(ended(i, outcome=Outcome.FAILED, reason="Crashed", message="x", retry="a") for i in range(3))
NO_MEMORY = tuple(ended(i, outcome=Outcome.INFEASIBLE, reason="OutOfMemory", retry="a") for i in range(3))
ENDED_BADLY = {
    "RepeatedFailure": look(history=CRASHED, spec=make_spec(trials={"max": 9, "maxFailed": 9})),
    "RepeatedFailure, out of memory": look(history=NO_MEMORY, spec=make_spec(trials={"max": 9})),
    "TooManyFailures": look(history=CRASHED[:2], spec=make_spec(trials={"max": 9, "maxFailed": 1})),
    "MaxTrialsReached": look(history=(*CRASHED[:2], ended(2, 1.0)), spec=make_spec(trials={"max": 3, "maxFailed": 2})),
    "SpaceExhausted": look(history=(*CRASHED[:2], ended(2, 1.0)), spec=make_spec(trials={"max": 9}), exhausted=True),
}


@pytest.mark.parametrize("name", ENDED_BADLY)
def test_a_new_retry_token_takes_an_end_back(name: str) -> None:
    """What the failed trials ended is not over while they are to be tried again, and is under the same token."""
    before = replace(ENDED_BADLY[name], spec=ENDED_BADLY[name].spec.model_copy(update={"retry": "a"}))
    decision = decide(before, NOW)
    assert decision.finished
    assert decision.ending is not None
    assert decision.ending.reason == name.split(",", maxsplit=1)[0]
    after = decide(replace(before, spec=before.spec.model_copy(update={"retry": "b"})), NOW)
    assert after.ending is None
    assert [action for action in brief(after.actions) if action.startswith("reopen")] == [
        f"reopen {trial}" for trial in before.tally.failed
    ]


def test_an_end_that_the_status_holds_is_terminal() -> None:
    """Within a generation nothing undoes an end, even if MLflow lost runs since."""
    end = Ending(reason="MaxTrialsReached", message="", complete=True)
    decision = decide(look(history=(ended(0, 1.0),), ended=end), NOW)
    assert (decision.finished, decision.actions) == (True, ())


def test_cleaning_up_after_the_end_is_no_new_beginning() -> None:
    """While a finished sweep's Jobs are being removed it stays finished: its conditions must not flap."""
    end = Ending(reason="MaxTrialsReached", message="", complete=True)
    removing = {0: Remove(index=0, attempt=make_attempt(0, Phase.SUCCEEDED))}
    assert decide(look(history=(ended(0, 1.0),), ended=end, busy=removing), NOW).finished


def test_without_a_feasible_trial_the_end_says_so() -> None:
    """Results there were; none may win."""
    history = tuple(ended(i, 1.0, outcome=Outcome.INFEASIBLE, reason="ConstraintViolated") for i in range(4))
    ending = decide(look(spec=CONSTRAINED, history=history), NOW).ending
    assert ending is not None
    assert ending.reason == "NoResult"
    assert ending.message.endswith("none has a finite result that meets the constraints")
