"""The CustomResourceDefinition, made from the models: `python -m hypersweep.core.crd`, or `hypersweep crd`.

Owns the translation of pydantic's JSON schema into a structural schema, the CEL of frozen fields and edits, and how
the resource presents itself (printer columns, short name). Rules come from `rules.py`; nothing about a sweep is decided
here.

Defaults are written where an object is (a sweep in the cluster shows all of them) but never inside list items: Argo CD
compares lists as a whole and would show a difference for ever. `null` is no value: an optional field is absent instead.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from hypersweep.core.goyaml import dump
from hypersweep.core.rule import Rule
from hypersweep.core.rules import RULES
from hypersweep.core.spec import EXPECTED, GROUP, KIND, LONGEST_NAME, PLURAL, VERSION, Model, SweepSpec
from hypersweep.core.status_schema import SweepStatus

Schema = dict[str, Any]

_FROZEN = (
    "objectives",
    "constraints",
    "parameters",
    "parameterConstraints",
    "strategy",
    "repeats",
    "initialTrials",
    "warmStart",
    "tracking",
)
_FROZEN_IF_THERE = ("readAt", "reuse")  # no default: the rule of a field is not asked when it comes or goes
_EDITABLE_WHILE_SUSPENDED = ("job", "trainer")
_COPIED = (
    "type",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "format",
    "description",
)

_COLUMNS = (
    ("Strategy", "string", ".spec.strategy.name", "What proposes the assignments."),
    ("Phase", "string", ".status.phase", "The state in one word."),
    ("Progress", "string", ".status.progress", "Ended trials of all."),
    ("Running", "integer", ".status.trials.running", "Trials that run now."),
    ("Failed", "integer", ".status.trials.failed", "Trials that failed."),
    ("Best", "string", ".status.best.value", "The objectives of the best trial so far."),
    ("Age", "date", ".metadata.creationTimestamp", "Time since the sweep was created."),
)


def definition() -> dict[str, Any]:
    """The whole CustomResourceDefinition, as data."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["hps"],
                "categories": ["all", "hypersweep"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _root()},
                    "subresources": {"status": {}},
                    "selectableFields": [{"jsonPath": ".spec.strategy.name"}, {"jsonPath": ".status.phase"}],
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path, "description": description}
                        for name, kind, path, description in _COLUMNS
                    ],
                }
            ],
        },
    }


def text() -> str:
    """The same as YAML, with a note that it is generated."""
    return (
        f"# Generated from the models in operator/hypersweep/core/ by `make crds`; do not edit.\n{dump(definition())}"
    )


# ---- the resource ------------------------------------------------------------------------------------------------------


def _root() -> Schema:
    status = _object(SweepStatus, defaults=False)
    told = f"metadata.name has %d characters; allowed: at most {LONGEST_NAME}"
    name = {
        "rule": f"size(self.metadata.name) <= {LONGEST_NAME}",
        "messageExpression": f"{_quoted(told)}.format([size(self.metadata.name)])",
    }
    return {
        "type": "object",
        "description": "A hyperparameter sweep: trials run as Jobs, results are kept in MLflow.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": KIND},
            "metadata": {"type": "object"},
            "spec": _spec(),
            # kstatus skips a missing observedGeneration: without this default a brand-new sweep would count as ready.
            "status": {**status, "default": {"observedGeneration": -1}},
        },
        "x-kubernetes-validations": [name],
    }


def _spec() -> Schema:
    spec = _object(SweepSpec, defaults=True)
    for field in _FROZEN:
        spec["properties"][field].setdefault("x-kubernetes-validations", []).append(
            {
                "rule": "self == oldSelf",
                "message": _frozen(field),
            }
        )
    spec["x-kubernetes-validations"] += [_fixed(field) for field in _FROZEN_IF_THERE]
    spec["x-kubernetes-validations"] += [_lasting(field) for field in ("metric", "axis")]
    spec["x-kubernetes-validations"].append(_as_created("learningRateRangeTest"))
    spec["x-kubernetes-validations"] += [_suspended(field) for field in _EDITABLE_WHILE_SUSPENDED]
    return spec


def _frozen(field: str) -> str:
    return (
        f"spec.{field} is frozen once created, and this would change it; "
        "for another search create a sweep of another name"
    )


def _fixed(field: str) -> Schema:
    """A frozen field that may be absent, and stays so."""
    new, old = f"self.{field}", f"oldSelf.{field}"
    return {
        "rule": f"has({new}) == has({old}) && (!has({new}) || {new} == {old})",
        "message": _frozen(field),
        "fieldPath": f".{field}",
    }


def _lasting(field: str) -> Schema:
    """What the curves of ended trials were read by: another would make their marks mean something else."""
    new, old = "self.earlyStopping", "oldSelf.earlyStopping"
    return {
        "rule": f"!has({new}) || !has({old}) || (has({new}.{field}) == has({old}.{field}) && "
        f"(!has({new}.{field}) || {new}.{field} == {old}.{field}))",
        "message": f"spec.earlyStopping.{field} is frozen: what was read of earlier trials would not compare",
        "fieldPath": ".earlyStopping",
    }


def _as_created(field: str) -> Schema:
    """A frozen field without a default: there or not, as it was at first."""
    new, old = f"self.{field}", f"oldSelf.{field}"
    return {
        "rule": f"has({new}) == has({old}) && (!has({new}) || {new} == {old})",
        "message": f"spec.{field} is frozen once created, and this would change it; "
        "for another search create a sweep of another name",
        "fieldPath": f".{field}",
    }


def _suspended(field: str) -> Schema:
    """The object that carries the edit must be suspended: whoever reads it starts nothing from a template half-way."""
    new, old = f"self.{field}", f"oldSelf.{field}"
    return {
        "rule": f"self.suspend || (has({new}) == has({old}) && (!has({new}) || {new} == {old}))",
        "message": f"spec.{field} may be changed only while spec.suspend is true, and suspend is false; "
        "set it to true (in the same edit, if you like) and back to false afterwards",
        "fieldPath": f".{field}",
    }


# ---- models to structural schemas --------------------------------------------------------------------------------------


def _object(model: type[BaseModel], *, defaults: bool) -> Schema:
    """The structural schema of a model, references inlined."""
    whole = model.model_json_schema(by_alias=True)
    return _Translation(whole.get("$defs", {}), _models(model)).of(whole, defaults=defaults)


def _models(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The models that a model is made of, by name."""
    found = {model.__name__: model}
    for info in model.model_fields.values():
        for part in _parts(info.annotation):
            found |= _models(part)
    return found


def _parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _parts(argument)


class _Translation:
    """Pydantic's JSON schema of one model, read as a structural schema."""

    def __init__(self, definitions: Mapping[str, Schema], models: Mapping[str, type[BaseModel]]) -> None:
        self.definitions, self.models = definitions, models

    def of(self, source: Schema, *, defaults: bool) -> Schema:
        """`defaults`: whether this place is outside every list."""
        source = self._resolved(source)
        if source.get("x-kubernetes-preserve-unknown-fields"):
            target = {k: source[k] for k in ("description", "x-kubernetes-preserve-unknown-fields")}
        else:
            target = {k: source[k] for k in _COPIED if k in source}
            target |= {k: v for k, v in source.items() if k.startswith("x-kubernetes-list")}
        if target.get("pattern") in EXPECTED:
            target["x-kubernetes-validations"] = [_pattern(target.pop("pattern"))]
        if "properties" in source:
            target |= self._properties(source, defaults=defaults)
        elif source.get("type") == "array":
            target["items"] = self.of(source["items"], defaults=False)
        elif source.get("type") == "object" and isinstance(source.get("additionalProperties"), dict):
            target.setdefault("additionalProperties", self.of(source["additionalProperties"], defaults=False))
        if defaults and source.get("default") is not None:
            # An object's default is empty: the defaults of its fields fill it.
            target["default"] = {} if "properties" in source else source["default"]
        return target

    def _properties(self, source: Schema, *, defaults: bool) -> Schema:
        model = self.models[source["title"]]
        rules = [_validation(rule) for rule in RULES.get(model, ()) if not rule.on]
        properties = {name: self.of(field, defaults=defaults) for name, field in source["properties"].items()}
        for rule in RULES.get(model, ()):
            if rule.on:
                properties[rule.on].setdefault("x-kubernetes-validations", []).append(_validation(rule))
        required = list(source.get("required", ()))
        if issubclass(model, Model):
            properties |= {name: _kept(kind) for name, kind in model.reserved.items()}
            rules += [_not_built(name) for name in model.reserved]
        target: Schema = {"properties": properties}
        if required:
            target["required"] = required
        if rules:
            target["x-kubernetes-validations"] = rules
        return target

    def _resolved(self, source: Schema) -> Schema:
        """References followed, and `X | None` read as X: an optional field is absent, never null."""
        if "$ref" in source:
            source = {
                **self.definitions[source["$ref"].rsplit("/", 1)[-1]],
                **{k: v for k, v in source.items() if k != "$ref"},
            }
        if "anyOf" in source:
            (kept,) = [option for option in source["anyOf"] if option.get("type") != "null"]
            source = {**self._resolved(kept), **{k: v for k, v in source.items() if k not in ("anyOf", "title")}}
        return source


def _kept(kind: str) -> Schema:
    """A field of a later version: declared, so that it is refused and not silently dropped."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    shape = anything if kind == "object" else {"type": "array", "maxItems": 100, "items": anything}
    return {"description": "Not built yet: refused by this version.", **shape}


def _not_built(name: str) -> Schema:
    message = f"`{name}` is not built yet: this version refuses it rather than ignore it"
    return {"rule": f"!has(self.{name})", "message": message, "fieldPath": f".{name}", "reason": "FieldValueForbidden"}


def _pattern(pattern: str) -> Schema:
    """A pattern with words for its message: the API server's own would quote the expression."""
    return {
        "rule": f"self.matches({_quoted(pattern)})",
        "messageExpression": f"{_quoted('found %s; ' + EXPECTED[pattern])}.format([self])",
    }


# ---- rules to CEL ------------------------------------------------------------------------------------------------------


def _validation(rule: Rule) -> Schema:
    target: Schema = {"rule": rule.cel}
    message, found = _template(rule)
    if found:
        # `format` is counted by the length of its template; `+` of texts without a known bound would exceed the budget.
        target["messageExpression"] = f"{_quoted(message)}.format([{', '.join(found)}])"
    else:
        target["message"] = message
    if rule.field:
        target["fieldPath"] = f".{rule.field}"
    if rule.reason:
        target["reason"] = rule.reason
    return target


def _template(rule: Rule) -> tuple[str, list[str]]:
    """The message with %s for what was found, and the CEL of each."""
    if rule.found:
        return f"{rule.message} %s", [rule.found]
    return re.sub(r"\{\w+\}", "%s", rule.message), [f"self.{field}" for field in re.findall(r"\{(\w+)\}", rule.message)]


def _quoted(words: str) -> str:
    return "'" + words.replace("\\", "\\\\").replace("'", "\\'") + "'"


if __name__ == "__main__":
    print(text(), end="")
