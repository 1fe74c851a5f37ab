"""When two documents are the same search, and when a sweep belongs to someone else."""

from typing import Any

import pytest

from hypersweep.core.spec import SweepSpec
from hypersweep.tracking.identity import HEARTBEAT_LASTS, Identity, Owner, Parent, owned_elsewhere, search_hash

NOW = 1_000_000.0
DOCUMENT: dict[str, Any] = {
    "objectives": [{"metric": "loss", "goal": "Minimize"}],
    "parameters": [
        {"name": "lr", "type": "Float", "min": 1e-5, "max": 1},
        {"name": "layers", "type": "Integer", "min": 1, "max": 8},
        {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam"]},
        {
            "name": "momentum",
            "type": "Float",
            "min": 0,
            "max": 0.99,
            "when": [{"parameter": "optimizer", "values": ["sgd", "adam"]}],
        },
    ],
    "strategy": {"name": "Random", "seed": 7},
    "initialTrials": [{"parameters": {"lr": 0.5, "layers": 2, "optimizer": "sgd", "momentum": 0}}],
}


def changed(path: str, value: Any) -> SweepSpec:
    """The document with one field set to something else; None removes it."""
    document = SweepSpec.model_validate(DOCUMENT).model_dump(mode="json", by_alias=True, exclude_unset=True)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = document
    for part in parents:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    place[last] = value
    return SweepSpec.model_validate(document)


SAME = [
    ("a whole number as a float", "parameters.0.max", 1.0),
    ("an initial whole number as a float", "initialTrials.0.parameters.momentum", 0.0),
    ("the default reduction spelled out", "objectives.0.reduction", "Last"),
    ("the default scale spelled out", "parameters.0.scale", "Linear"),
    ("an Integer's default step spelled out", "parameters.1.step", 1),
    ("an empty list of conditions", "parameters.0.when", []),
    ("conditions' values in another order", "parameters.3.when.0.values", ["adam", "sgd"]),
    ("parameters in another order", "parameters", DOCUMENT["parameters"][::-1]),
    ("an empty list of constraints", "parameterConstraints", []),
    ("no repeats spelled out", "repeats", {"count": 1, "racing": False}),
    ("no outcome constraints spelled out", "constraints", []),
    ("no warm start spelled out", "warmStart", []),
    ("another budget", "trials.max", 99),
    ("another image", "job.template", {"spec": {}}),
    ("another experiment", "tracking.experiment", "other"),
    ("a retry", "retry", "again"),
]
OTHER = [
    ("another metric", "objectives.0.metric", "accuracy"),
    ("another goal", "objectives.0.goal", "Maximize"),
    ("another reduction", "objectives.0.reduction", "Best"),
    ("another bound", "parameters.0.max", 2),
    (
        "one more objective",
        "objectives",
        [{"metric": "loss", "goal": "Minimize"}, {"metric": "ms", "goal": "Minimize"}],
    ),
    ("repeats", "repeats", {"count": 3}),
    ("an outcome constraint", "constraints", [{"metric": "latency_ms", "max": 20}]),
    ("another scale", "parameters.0.scale", "Log"),
    ("another step", "parameters.1.step", 2),
    ("another name", "parameters.0.name", "rate"),
    ("values in another order", "parameters.2.values", ["adam", "sgd"]),
    ("another condition", "parameters.3.when.0.values", ["sgd"]),
    ("another strategy", "strategy.name", "TPE"),
    ("another seed", "strategy.seed", 8),
    (
        "a distribution",
        "parameters.1",
        {**DOCUMENT["parameters"][1], "distribution": "Normal", "mean": 4, "deviation": 2},
    ),
    ("a default", "parameters.1.default", 2),
    ("a condition on a number", "parameters.3.when", [{"parameter": "layers", "min": 2}]),
    ("a constraint", "parameterConstraints", [{"expression": "layers < 8"}]),
    ("results of equal trials", "reuse", {"dataFingerprint": "v1"}),
    ("a warm start", "warmStart", [{"experiment": "digits-2025"}]),
    ("another initial trial", "initialTrials.0.parameters.lr", 0.25),
]


@pytest.mark.parametrize(("path", "value"), [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_documents_that_search_alike_have_one_hash(path: str, value: Any) -> None:
    """Else a sweep that was applied again from another tool would start from nothing."""
    assert search_hash(changed(path, value)) == search_hash(SweepSpec.model_validate(DOCUMENT))


@pytest.mark.parametrize(("path", "value"), [row[1:] for row in OTHER], ids=[row[0] for row in OTHER])
def test_another_search_has_another_hash(path: str, value: Any) -> None:
    """Else its trials would be mixed with those of another question."""
    assert search_hash(changed(path, value)) != search_hash(SweepSpec.model_validate(DOCUMENT))


def test_the_order_and_the_messages_of_constraints_have_no_meaning() -> None:
    """What the search may try is the same."""
    items = [{"expression": "layers < 8"}, {"expression": "lr < 0.5", "message": "diverges"}]
    again = [{"expression": "lr < 0.5"}, items[0]]
    assert search_hash(changed("parameterConstraints", items)) == search_hash(changed("parameterConstraints", again))


def test_the_order_of_outcome_constraints_has_no_meaning() -> None:
    """They are kept by their metric."""
    constraints = [{"metric": "a", "max": 1}, {"metric": "b", "min": 2}]
    assert search_hash(changed("constraints", constraints)) == search_hash(changed("constraints", constraints[::-1]))


def test_the_hash_never_changes() -> None:
    """Sweeps in ledgers out there are found by it: a new version that hashes otherwise starts them all anew."""
    assert search_hash(SweepSpec.model_validate(DOCUMENT)) == "91b81f4b71d7"


def test_sweep_and_search_are_kept_apart() -> None:
    """No two identities have one key, also when their texts joined are the same."""
    keys = {
        Identity(sweep=sweep, search=search, experiment="e").key
        for sweep, search in (("a", "bc"), ("ab", "c"), ("a'", '"c'))
    }
    assert len(keys) == 3
    assert all(key.isalnum() for key in keys)


ME = Owner(operator="op-1", sweep="uid-1")
OWNERS = [
    ("nobody", None, 0.0, False, False),
    ("we ourselves", ME, 10.0, False, False),
    ("this object under another operator", Owner(operator="op-2", sweep="uid-1"), 10.0, False, False),
    ("another operator, fresh", Owner(operator="op-2", sweep="uid-2"), 10.0, False, True),
    (
        "another operator, just before three minutes",
        Owner(operator="op-2", sweep="uid-2"),
        HEARTBEAT_LASTS,
        False,
        True,
    ),
    ("another operator, gone", Owner(operator="op-2", sweep="uid-2"), HEARTBEAT_LASTS + 1, False, False),
    ("another operator, released", Owner(operator="op-2", sweep="uid-2"), 10.0, True, False),
    ("another operator whose clock is ahead", Owner(operator="op-2", sweep="uid-2"), -60.0, False, True),
    ("a former object of ours", Owner(operator="op-1", sweep="uid-0"), 10.0, False, False),
    ("another object of ours that lives", Owner(operator="op-1", sweep="alive"), 10.0, False, True),
]


@pytest.mark.parametrize(
    ("owner", "age", "released", "elsewhere"), [row[1:] for row in OWNERS], ids=[row[0] for row in OWNERS]
)
def test_a_sweep_is_taken_over_only_from_who_is_gone(
    owner: Owner | None, age: float, *, released: bool, elsewhere: bool
) -> None:
    """Fresh heartbeats of others are respected, and the reason says whose."""
    parent = Parent(run="r", experiment="1", started=0.0, owner=owner, heartbeat=NOW - age, released=released)
    why = owned_elsewhere(parent, ME, lambda uid: uid == "alive", NOW)
    assert (why is not None) == elsewhere
    if why is not None and owner is not None and owner.operator != ME.operator:
        assert owner.operator in why
