"""What the status says of results: one objective, several, and never too much."""

import json
import math
from dataclasses import replace
from typing import Any

from hypersweep.core import range_test
from hypersweep.core.decide import decide
from hypersweep.core.events import events
from hypersweep.core.snapshot import Snapshot
from hypersweep.core.status import Context, build, settle
from hypersweep.core.trial import Outcome
from tests.core.builders import NOW, ended, look, make_spec

TWO = [{"metric": "loss", "goal": "Minimize"}, {"metric": "acc", "goal": "Maximize"}]
LIMIT = 30_000  # bytes
TESTED = {
    "parameters": [
        {"name": "lr", "type": "Float", "min": 1e-5, "max": 1e-1, "scale": "Log"},
        {"name": "optimizer", "type": "Categorical", "values": [f"{i:02}" + "o" * 50 for i in range(16)]},
    ],
    "learningRateRangeTest": {"parameter": "lr", "optimizer": "optimizer"},
}


def status_of(snapshot: Snapshot) -> dict[str, Any]:
    context = Context(
        generation=1, previous={}, experiment="4", parent_run="r" * 32, ui="http://mlflow.example.com:5000"
    )
    return build(context, snapshot, decide(snapshot, NOW), NOW)


def test_of_one_objective_the_best_and_the_top_are_told() -> None:
    """As before there were several."""
    status = status_of(look(history=(ended(0, 0.5), ended(1, 0.25))))
    assert [entry["trial"] for entry in status["top"]] == [1, 0]
    assert status["best"]["value"] == "0.25"
    assert status["best"]["objectives"] == {"loss": 0.25}
    assert "paretoFront" not in status


def test_of_several_objectives_the_front_is_told_and_a_compromise() -> None:
    """Every objective of every trial of the front; the column BEST shows them side by side."""
    found = [(0.1, 0.5), (0.2, 0.9), (0.4, 1.0), (0.9, 0.4)]
    history = tuple(ended(i, point[0], values=point) for i, point in enumerate(found))
    status = status_of(look(spec=make_spec(objectives=TWO), history=history))
    assert [entry["trial"] for entry in status["paretoFront"]] == [0, 1, 2]
    assert [entry["objectives"] for entry in status["paretoFront"]] == [
        {"loss": loss, "acc": acc} for loss, acc in found[:3]
    ]
    assert (status["best"]["trial"], status["best"]["value"]) == (1, "0.2 / 0.9")
    assert "best loss 0.2, acc 0.9 (trial 1)" in status["summary"]
    assert "top" not in status


def test_an_assignment_with_several_seeds_is_told_as_one() -> None:
    """Its mean, between what it lies, of how many; in the name of its first trial that succeeded."""
    spec = make_spec(repeats={"count": 3})
    first = {"lr": 0.01}
    history = (
        ended(0, outcome=Outcome.FAILED, reason="Crashed", parameters=first),
        ended(1, 1.0, parameters=first),
        ended(2, 2.0, parameters=first),
        ended(3, 9.0, parameters={"lr": 0.02}),
    )
    status = status_of(look(spec=spec, history=history))
    best = status["best"]
    assert (best["trial"], best["value"], best["objectives"], best["repeats"]) == (1, "1.5", {"loss": 1.5}, 2)
    low, high = best["interval"]
    assert low < 1
    assert high > 2
    assert [entry["repeats"] for entry in status["top"]] == [2, 1]
    assert "interval" not in status_of(look(spec=spec, history=(ended(0, 1.0),)))["best"]
    huge = (ended(0, -1.7e308), ended(1, 1.7e308))
    assert "interval" not in status_of(look(spec=spec, history=huge))["best"]


def test_a_status_stays_below_thirty_kilobytes() -> None:
    """Whatever the front's size and the length of assignments; what is left out is on the runs."""
    spec = make_spec(objectives=TWO, **TESTED)
    tests = tuple(
        ended(
            i, message=json.dumps({"verdict": "Falls", "reason": "r" * 9000, "suggestion": {"min": 1e-4, "max": 1e-3}})
        )
        for i in range_test.cases(spec)
    )
    for length, kept in ((200, True), (1900, False)):
        parameters = {"p" * 60: "v" * length}
        angles = [i / 199 * math.pi / 2 for i in range(200)]
        history = tuple(
            ended(i, 1 - math.sin(a), values=(1 - math.sin(a), math.cos(a)), parameters=parameters)
            for i, a in enumerate(angles)
        )
        status = status_of(look(spec=spec, history=history, range_tests=tests))
        assert len(status["learningRateRangeTests"]) == 16
        assert len(status["paretoFront"]) == 20
        assert len(json.dumps(status)) < LIMIT
        assert all(("parameters" in entry) == kept for entry in status["paretoFront"])
        assert status["best"]["parameters"] == parameters


def test_an_end_beyond_all_dates_is_not_told() -> None:
    """A slow first trial of very many: the sweep goes on without a guess."""
    few, many = ({"max": count, "parallel": 1} for count in (20, 100_000))
    history = (ended(0, 0.5),)
    started = NOW - 60 * 86400
    told = status_of(replace(look(spec=make_spec(trials=few), history=history), started=started))
    assert "eta" in told
    assert "eta" not in status_of(replace(look(spec=make_spec(trials=many), history=history), started=started))


def registration(state: str, **said: str) -> dict[str, Any]:
    return {"state": state, "name": "team.digits", "message": "m", **said}


def test_whether_the_model_is_registered_is_a_condition_only_where_it_is_asked_for() -> None:
    """And false until it is."""

    def condition(said: dict[str, Any], **spec: Any) -> tuple[str, str] | None:
        seen = look(spec=make_spec(**spec), history=(ended(0, 0.5),))
        context = Context(generation=1, previous={}, errands={"registeredModel": said})
        found = build(context, seen, decide(seen, NOW), NOW)["conditions"]
        return next(((c["status"], c["reason"]) for c in found if c["type"] == "ModelRegistered"), None)

    asked = {"onComplete": {"registerModel": "team.digits"}}
    assert condition({}) is None
    assert condition({}, **asked) == ("False", "SweepNotEnded")
    assert condition(registration("Pending"), **asked) == ("False", "Pending")
    assert condition(registration("Registered"), **asked) == ("True", "Registered")
    assert condition(registration("NotRegistered", reason="NoModel"), **asked) == ("False", "NoModel")


def test_what_becomes_of_an_errand_after_a_restart_is_added_to_what_was_said() -> None:
    """Nothing else of the status is touched, and the condition has its own time."""
    since, said = "2026-01-01T00:00:00Z", {"reason": "r", "message": "m", "observedGeneration": 3}
    before = {
        "best": {"trial": 1},
        "conditions": [
            {"type": "Complete", "status": "True", "lastTransitionTime": since, **said},
            {"type": "ModelRegistered", "status": "False", "lastTransitionTime": since, **said},
        ],
    }
    after = settle(before, {"registeredModel": registration("Registered")}, 3, NOW)
    complete, registered = after["conditions"]
    assert after["best"] == {"trial": 1}
    assert complete == before["conditions"][0]  # type: ignore[index]
    assert (registered["status"], registered["reason"], registered["message"]) == ("True", "Registered", "m")
    assert registered["lastTransitionTime"] == "1970-01-12T13:46:40Z"  # NOW
    told = [(e.type, e.reason, e.message) for e in events(before, after)]
    assert told == [("Normal", "ModelRegistered", "m")]
    assert list(events(after, after)) == []
