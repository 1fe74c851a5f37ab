"""The definition that is made from the models: what the repository holds, and what every schema of ours must be."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hypersweep.core import crd
from hypersweep.core.decide import decide
from hypersweep.core.rules import RULES
from hypersweep.core.snapshot import Fault
from hypersweep.core.spec import Model
from hypersweep.core.status import Context, build, refused
from hypersweep.core.trial import Outcome
from tests.core.builders import NOW, ended, look, make_spec, view

CRDS = Path(__file__).parents[2] / "crds"
ROOT = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def walk(schema: dict[str, Any], path: str = "", *, listed: bool = False) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every schema below one: its path, itself, and whether it is inside a list."""
    yield path, schema, listed
    for name, below in schema.get("properties", {}).items():
        yield from walk(below, f"{path}.{name}".lstrip("."), listed=listed)
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]", listed=True)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from walk(schema["additionalProperties"], f"{path}.*", listed=listed)


EVERY = list(walk(ROOT))
SPEC = [(path, schema, listed) for path, schema, listed in EVERY if path.startswith("spec")]


def test_the_repository_holds_what_the_models_say() -> None:
    """`make crds` was run after the last change of a model."""
    (path,) = CRDS.glob("*.yaml")
    assert path.read_text() == crd.text(), "run `make crds`"


def test_every_field_says_what_it_is() -> None:
    """`kubectl explain` has a text for each."""
    silent = [
        p
        for p, s, _ in EVERY
        if p not in ("", "metadata") and not p.endswith(("[]", ".*")) and not s.get("description")
    ]
    assert not silent


def test_the_schema_is_structural() -> None:
    """Typed everywhere or open on purpose, references inlined, and no alternatives but those of values."""
    for path, schema, _ in EVERY:
        assert not schema.keys() & {"$ref", "anyOf", "oneOf", "allOf", "not", "title", "const", "nullable"}, path
        assert "type" in schema or schema.get("x-kubernetes-preserve-unknown-fields"), path


def test_lists_and_texts_of_the_spec_are_bounded() -> None:
    """The API server estimates the cost of rules from bounds; a sweep in etcd stays small."""
    for path, schema, _ in SPEC:
        if schema.get("type") == "array":
            assert "maxItems" in schema, path
        if schema.get("type") == "string":
            assert "maxLength" in schema or "enum" in schema, path


def test_there_are_no_defaults_inside_lists() -> None:
    """Argo CD compares lists as a whole and would show a difference for ever."""
    assert not [path for path, schema, listed in EVERY if listed and "default" in schema]


def test_lists_of_objects_are_merged_by_a_key_or_declared_to_have_an_order() -> None:
    """Server-side apply by two managers merges by key; without one the list belongs to one of them."""
    keyless = [
        p
        for p, s, _ in SPEC
        if s.get("type") == "array" and s["items"]["type"] == "object" and "x-kubernetes-list-type" not in s
    ]
    assert sorted(keyless) == ["spec.initialTrials", "spec.parameterConstraints", "spec.warmStart"]


@pytest.mark.parametrize("field", ["objectives", "parameters", "strategy", "initialTrials", "warmStart", "tracking"])
def test_the_search_is_frozen(field: str) -> None:
    """Required or defaulted, so that the transition rule always has both sides to compare."""
    spec = ROOT["properties"]["spec"]
    assert {"self == oldSelf"} <= {rule["rule"] for rule in spec["properties"][field]["x-kubernetes-validations"]}
    assert field in spec["required"] or "default" in spec["properties"][field]


def test_every_rule_of_the_models_is_in_the_schema() -> None:
    """No rule is lost on the way from Python to CEL, and each has a message."""
    found = [rule for _, schema, _ in EVERY for rule in schema.get("x-kubernetes-validations", [])]
    assert all(("message" in rule) != ("messageExpression" in rule) for rule in found)
    told = {rule["rule"] for rule in found}
    assert {rule.cel for rules in RULES.values() for rule in rules} <= told


def test_fields_of_later_versions_are_declared_and_refused() -> None:
    """Declared, so that they are not dropped in silence; refused by a rule beside them."""

    class Later(Model):
        """A model with a field of a later version. (None of the spec's has one at present.)"""

        reserved: ClassVar = {"thinking": "object"}

    schema = crd._object(Later, defaults=False)
    assert schema["properties"]["thinking"]["x-kubernetes-preserve-unknown-fields"]
    assert [rule["rule"] for rule in schema["x-kubernetes-validations"]] == ["!has(self.thinking)"]


def undeclared(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """What of a value the API server would drop, or refuse for its type."""
    kinds = {"string": str, "integer": int, "number": (int, float), "object": dict, "array": list, "boolean": bool}
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if not isinstance(value, kinds[schema["type"]]):
        yield f"{path} is no {schema['type']}"
    elif schema["type"] == "array":
        for item in value:
            yield from undeclared(item, schema["items"], f"{path}[]")
    elif schema["type"] == "object":
        for key, below in value.items():
            of_key = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            yield from undeclared(below, of_key, f"{path}.{key}") if of_key else [f"{path}.{key} is not declared"]


def test_the_status_that_is_written_is_the_one_that_is_declared() -> None:
    """The API server drops what the schema does not know, without a word."""
    history = (
        *(ended(i, 0.5 - i / 10) for i in range(3)),
        ended(3, outcome=Outcome.FAILED, reason="Crashed", message="Traceback\nValueError: x", where="pod-3"),
    )
    context = Context(
        generation=2, previous={}, experiment="4", parent_run="r", ui="http://mlflow", effective="TPE", reason="few"
    )
    spec = make_spec(trials={"max": 9})
    going = look(view(4), spec=spec, history=history)
    over = look(spec=make_spec(trials={"max": 3}), history=history)
    for snapshot in (going, over):
        status = build(context, snapshot, decide(snapshot, NOW), NOW)
        assert {"best", "top", "failures", "tracking"} <= status.keys()
        assert list(undeclared(status, ROOT["properties"]["status"], "status")) == []
    several = make_spec(objectives=[{"metric": "a", "goal": "Minimize"}, {"metric": "b", "goal": "Maximize"}])
    both = look(spec=several, history=(ended(0, 1.0, values=(1.0, 2.0)), ended(1, 0.5, values=(0.5, 1.0))))
    status = build(context, both, decide(both, NOW), NOW)
    assert {"best", "paretoFront"} <= status.keys()
    assert list(undeclared(status, ROOT["properties"]["status"], "status")) == []
    repeated = look(spec=make_spec(repeats={"count": 2}), history=(ended(0, 1.0), ended(1, 2.0)))
    status = build(context, repeated, decide(repeated, NOW), NOW)
    assert {"repeats", "interval"} <= status["best"].keys()
    assert list(undeclared(status, ROOT["properties"]["status"], "status")) == []
    assert "eta" in build(context, going, decide(going, NOW), NOW)
    assert "completionTime" in build(context, over, decide(over, NOW), NOW)
    fault = Fault(reason="InvalidSpec", message="no")
    told = refused(generation=3, previous={}, fault=fault, now=NOW)
    assert list(undeclared(told, ROOT["properties"]["status"], "status")) == []
