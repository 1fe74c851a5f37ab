"""What runs of others teach: read as trials of the sweep's space, or left out with the reason."""

import math
from typing import Any

import pytest

from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Outcome
from hypersweep.core.warm_start import MOST_RUNS, Candidate, learned, most_runs
from tests.core.builders import make_spec

SPEC = make_spec(
    parameters=[
        {"name": "lr", "type": "Float", "min": 0.001, "max": 1},
        {"name": "layers", "type": "Integer", "min": 1, "max": 4},
        {"name": "batch", "type": "Discrete", "numbers": [16, 32]},
        {"name": "opt", "type": "Categorical", "values": ["adam", "sgd", "1"]},
        {"name": "nesterov", "type": "Boolean", "when": [{"parameter": "opt", "values": ["sgd"]}]},
    ],
    parameterConstraints=[{"expression": "layers * batch <= 64", "message": "does not fit"}],
    constraints=[{"metric": "ms", "max": 20}],
)
GIVEN = {"lr": "0.1", "layers": "2", "batch": "32", "opt": "sgd", "nesterov": "True"}
READ = {"lr": 0.1, "layers": 2, "batch": 32, "opt": "sgd", "nesterov": True}


def candidate(run: str = "r", *, without: str = "", **changes: Any) -> Candidate:
    """A run that teaches: changes of its parameters by name, and of itself by `outcome`, `values`, `ms`."""
    own = {name: changes.pop(name) for name in ("outcome", "values", "ms") if name in changes}
    parameters = {name: value for name, value in (GIVEN | changes).items() if name != without}
    return Candidate(
        run=run,
        outcome=own.get("outcome", Outcome.SUCCEEDED),
        parameters=parameters,
        values=own.get("values", (0.5,)),
        constrained={"ms": own.get("ms", 10.0)},
    )


def take(*candidates: Candidate, spec: SweepSpec = SPEC) -> Any:
    return learned(candidates, Space.of(spec), spec.constraints)


def test_runs_become_ended_trials_with_negative_indices_the_newest_last() -> None:
    """Texts in exact types, parameters of other scripts left aside; indices that no trial of the sweep can have."""
    lessons = take(candidate("old", epochs="10"), candidate("bad", lr="7"), candidate("new", values=(0.25,)))
    assert [(t.index, t.run, t.value, t.outcome) for t in lessons.trials] == [
        (-2, "old", 0.5, Outcome.SUCCEEDED),
        (-1, "new", 0.25, Outcome.SUCCEEDED),
    ]
    assert dict(lessons.trials[0].parameters) == READ
    assert [type(v) for v in lessons.trials[0].parameters.values()] == [
        type(READ[n]) for n in lessons.trials[0].parameters
    ]
    assert lessons.found == 3


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"layers": 2.0, "nesterov": False}, {"layers": 2, "nesterov": False}),
        ({"layers": "2.0", "lr": "1e-2"}, {"layers": 2, "lr": 0.01}),
        ({"opt": "adam"}, {"opt": "adam", "nesterov": None}),
        ({"opt": "1", "nesterov": "whatever"}, {"opt": "1", "nesterov": None}),
    ],
    ids=["as a sweep wrote it", "as a script logged it", "with an inactive one", "with nonsense for an inactive one"],
)
def test_values_are_taken_however_they_were_logged(changes: dict[str, Any], kept: dict[str, Any]) -> None:
    """Only what is active here matters."""
    [trial] = take(candidate(**changes)).trials
    assert {name: trial.parameters.get(name) for name in kept} == kept


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"outcome": Outcome.OPEN}, "NotFinished", "no result"),
        ({"values": ()}, "NotMeasured", "has not logged"),
        ({"without": "layers"}, "Missing", "layers"),
        ({"without": "nesterov"}, "Missing", "nesterov"),
        ({"lr": "fast"}, "WrongType", 'lr: found "fast"'),
        ({"lr": "nan"}, "WrongType", "lr"),
        ({"lr": True}, "WrongType", "lr"),
        ({"nesterov": "yes"}, "WrongType", 'nesterov: found "yes"'),
        ({"opt": 1}, "WrongType", "opt: found 1"),
        ({"lr": "7"}, "OutsideSpace", "lr: found 7; allowed: a number from 0.001 to 1"),
        ({"layers": "2.5"}, "OutsideSpace", "layers: found 2.5"),
        ({"batch": "64"}, "OutsideSpace", "batch: found 64"),
        ({"opt": "lion"}, "OutsideSpace", 'opt: found "lion"'),
        ({"layers": "4"}, "OutsideSpace", "does not fit"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_counted_by_reason_with_an_example(changes: Any, reason: str, said: str) -> None:
    """Nothing is dropped in silence."""
    lessons = take(candidate("old", **changes), candidate("new", **changes), candidate())
    assert len(lessons.trials) == 1
    [left] = lessons.left_out
    assert (left.reason, left.count) == (reason, 2)
    assert left.example.startswith("run new: ")
    assert said in left.example
    assert lessons.told.startswith(f"1 of 3 runs taken, left out: 2 {reason} (such as run new: ")


@pytest.mark.parametrize(
    ("changes", "outcome", "value", "violation"),
    [
        ({"values": (math.nan,)}, Outcome.INFEASIBLE, None, 0.0),
        ({"values": (math.inf,)}, Outcome.INFEASIBLE, None, 0.0),
        ({"ms": 30.0}, Outcome.INFEASIBLE, 0.5, 0.5),
        ({"outcome": Outcome.STOPPED}, Outcome.STOPPED, 0.5, 0.0),
    ],
    ids=["not a number", "infinite", "beyond a constraint of this sweep", "stopped early"],
)
def test_a_run_is_judged_as_a_trial_of_the_sweep_would_be(
    changes: Any, outcome: Outcome, value: float | None, violation: float
) -> None:
    """So that strategies avoid what did not work elsewhere, and rank it alike."""
    [trial] = take(candidate(**changes)).trials
    assert (trial.outcome, trial.value, trial.violation) == (outcome, value, violation)


def test_with_very_many_parameters_fewer_runs_are_looked_at() -> None:
    """What is kept in the ledger is bounded, whatever the space."""
    many = [{"name": f"p{i}", "type": "Boolean"} for i in range(100)]
    assert most_runs(SPEC) == MOST_RUNS == 5000
    assert most_runs(make_spec(parameters=many)) == 2000
