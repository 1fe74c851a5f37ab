"""Sweeps that are judged by more than one number, from `kubectl apply` to their end."""

from collections import Counter
from statistics import fmean

import pytest

from tests.api.conftest import Stage
from tests.api.sweeps import parent_runs, trial_runs
from tests.api.trainers import Play, Told

pytestmark = pytest.mark.api

OBJECTIVES = [{"metric": "loss", "goal": "Minimize"}, {"metric": "accuracy", "goal": "Maximize"}]


def trade(told: Told) -> Play:
    """What lowers the loss lowers the accuracy; the best loss is at step 1; below x = 0.2 the model is too slow."""
    x = float(told.parameters["x"])
    return Play(metrics={"loss": [9, x, x + 1], "accuracy": [0, x**0.5, 1], "ms": [50 if x < 0.2 else 10]})


def test_two_objectives_and_a_constraint_end_in_a_front(shared: Stage) -> None:
    """Read at the step where the loss is best; what is too slow is infeasible; the rest is the front, also in MLflow."""
    shared.trainers.cast[shared.namespace, "front"] = trade
    sweep = shared.apply(
        "front",
        objectives=OBJECTIVES,
        readAt={"metric": "loss"},
        constraints=[{"metric": "ms", "max": 20}],
        strategy={"name": "TPE", "seed": 3},
        trials={"max": 14, "parallel": 4},
    )
    status = sweep.wait("Complete")
    told = {one.trial: float(one.parameters["x"]) for one in shared.trainers.of(shared.namespace, "front")}
    fast = {trial: x for trial, x in told.items() if x >= 0.2}
    assert status["trials"]["infeasible"] == len(told) - len(fast) > 0
    assert status["trials"]["succeeded"] == len(fast)
    assert [entry["trial"] for entry in status["paretoFront"]] == sorted(fast, key=lambda trial: fast[trial])
    for entry in status["paretoFront"]:
        assert entry["objectives"] == {"loss": fast[entry["trial"]], "accuracy": fast[entry["trial"]] ** 0.5}
    assert status["best"] in status["paretoFront"]
    assert "top" not in status
    [parent] = parent_runs(shared.mlflow, f"{shared.namespace}/front")
    assert parent.metrics["hypervolume"] > 0
    slow = [run for trial, run in trial_runs(shared.mlflow, f"{shared.namespace}/front").items() if trial not in fast]
    assert {run.tags["hypersweep.reason"] for run in slow} == {"ConstraintViolated"}
    best = status["best"]
    assert best["value"] == f"{best['objectives']['loss']:.6g} / {best['objectives']['accuracy']:.6g}"
    assert best["value"] in " ".join(shared.kubectl("get", "hps", "front", "--no-headers").split())


def lucky(told: Told) -> Play:
    """Beside what the parameters allow, the seed has its share."""
    return Play(metrics={"loss": [float(told.parameters["x"]) + int(told.environment["HYPERSWEEP_SEED"]) / 2**31 / 10]})


@pytest.mark.parametrize("racing", [False, True], ids=["at once", "racing"])
def test_repeats_are_judged_as_one(shared: Stage, *, racing: bool) -> None:
    """Each with a seed and a run of its own; the best is the mean of its repeats, and no assignment has more than it may."""
    name = "race" if racing else "repeats"
    shared.trainers.cast[shared.namespace, name] = lucky
    sweep = shared.apply(
        name,
        strategy={"name": "Random", "seed": 3},
        repeats={"count": 3, "racing": racing},
        trials={"max": 18, "parallel": 3},
    )
    status = sweep.wait("Complete")
    told = shared.trainers.of(shared.namespace, name)
    assert len({one.environment["HYPERSWEEP_SEED"] for one in told}) == len({one.run for one in told}) == 18
    tried = Counter(float(one.parameters["x"]) for one in told)
    if racing:
        assert 9 <= len(tried) < 18
        assert max(tried.values()) in (2, 3)
    else:
        assert set(tried.values()) == {3}
    best = status["best"]
    results = [lucky(one).metrics["loss"][0] for one in told if float(one.parameters["x"]) == best["parameters"]["x"]]
    assert best["repeats"] == len(results) == tried[best["parameters"]["x"]]
    assert best["objectives"]["loss"] == pytest.approx(fmean(results))
    assert best["interval"][0] < best["objectives"]["loss"] < best["interval"][1]
    assert status["trials"]["succeeded"] == 18
