"""From a document to a sweep: `parse`, and the reading of manifests that hold one.

Owns what is wrong with a document by itself (unknown fields, types, bounds, the rules of `rules.py`), said in words
with a path. What needs more than that is in `admission.py`. A document is judged as `kubectl apply` would have it
arrive: a `null` where a field may be absent is dropped. The only input is the text of a file; nothing is looked up.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError

from hypersweep.core import rules
from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.goyaml import Document, documents
from hypersweep.core.spec import GROUP, KIND, LONGEST_NAME, SWEEP_NAME, VERSION, Model, SweepSpec
from hypersweep.core.wording import nearest, sentence, shown

API_VERSION = f"{GROUP}/{VERSION}"
STDIN = "-"
_METADATA = (  # what a user writes, then what an object from a cluster also has
    "name", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "generateName", "uid", "resourceVersion",
    "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink",
)  # fmt: skip


def read(path: str | Path) -> list[Document]:
    """The documents of a file, or of standard input for `-`. SpecError: unreadable, or not YAML."""
    try:
        if str(path) == STDIN:
            return list(documents(sys.stdin.buffer.read().decode(), source="stdin"))
        return list(documents(Path(path).read_bytes().decode(), source=str(path)))
    except OSError as error:
        raise SpecError([Problem(str(path), f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise SpecError(
            [Problem(str(path), f"is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}")]
        ) from None


def read_one(path: str | Path) -> dict[str, Any]:
    """The one sweep that a file holds; other kinds beside it are left aside. SpecError: none, or several."""
    found: list[dict[str, Any]] = [d.content for d in read(path) if is_sweep(d.content)]
    if len(found) != 1:
        names = ", ".join(shown(_name_of(document)) for document in found) or "none"
        raise SpecError([Problem(str(path), f"one {KIND} is expected; found {names}")])
    return found[0]


def is_sweep(document: Any) -> bool:
    """Whether a document is a sweep, in whatever version."""
    return isinstance(document, dict) and document.get("kind") == KIND


def parse(document: Mapping[str, Any]) -> tuple[dict[str, Any], SweepSpec]:
    """A document's metadata and spec. SpecError: everything that is wrong with it, each with its path."""
    found = list(_envelope(document))
    spec = document.get("spec")
    if isinstance(spec, dict):
        dropped = _without_nulls(spec, SweepSpec)
        found += _unknown(dropped, SweepSpec, "spec")
        try:
            model = SweepSpec.model_validate_json(json.dumps(dropped), strict=True)
        except ValidationError as error:
            found += _told(error)
        else:
            found += rules.problems(model)
            if not found:
                return dict(document["metadata"]), model
    raise SpecError(found)


def _name_of(document: Mapping[str, Any]) -> Any:
    """What stands where the name belongs; None: nothing, or not even metadata."""
    metadata = document.get("metadata")
    return metadata.get("name") if isinstance(metadata, dict) else None


def _envelope(document: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong around the spec."""
    for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if document.get(key) != expected:
            yield Problem(key, f"found {shown(document.get(key))}; {shown(expected)} is expected")
    for key in document.keys() - {"apiVersion", "kind", "metadata", "spec", "status"}:
        yield Problem(key, "no such field; allowed: apiVersion, kind, metadata, spec")
    yield from _metadata(document.get("metadata"))
    if not isinstance(document.get("spec"), dict):
        yield Problem("spec", f"is required, as a mapping; found {shown(document.get('spec'))}")


def _metadata(metadata: Any) -> Iterator[Problem]:
    """What is wrong with the object's metadata."""
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str):
        yield Problem("metadata.name", f"a sweep needs a name; found {shown(name)}")
        return
    if len(name) > LONGEST_NAME:
        yield Problem("metadata.name", f"has {len(name)} characters; allowed: at most {LONGEST_NAME}")
    if not SWEEP_NAME.fullmatch(name):
        allowed = "small letters, digits, `-` and `.`, first and last a letter or digit"
        yield Problem("metadata.name", f"found {shown(name)}; allowed: {allowed}")
    for key, value in metadata.items():
        if key not in _METADATA:
            yield Problem(f"metadata.{key}", f"unknown field; {nearest(key, _METADATA[:4])}")
        elif key in ("labels", "annotations"):
            yield from _texts(value, f"metadata.{key}")


def _texts(value: Any, path: str) -> Iterator[Problem]:
    if value is not None and not isinstance(value, dict):
        yield Problem(path, f"found {shown(value)}; a mapping is expected")
        return
    for key, text in (value or {}).items():
        if text is not None and not isinstance(text, str):
            yield Problem(f"{path}.{key}", f"found {shown(text)}; text is expected: write it in quotes")


# ---- fields ------------------------------------------------------------------------------------------------------------


def _fields(model: type[Model]) -> dict[str, Any]:
    """The names of a model's fields in a manifest, and their types."""
    return {str(info.alias): info.annotation for info in model.model_fields.values()}


def _model(annotation: Any) -> type[Model] | None:
    """The model that a field holds (in a list or not), if it holds one."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, Model) else None
    if get_origin(annotation) in (list, Union, UnionType):
        return next(filter(None, map(_model, get_args(annotation))), None)
    return _model(get_args(annotation)[0]) if hasattr(annotation, "__metadata__") else None


def _without_nulls(value: Any, model: type[Model] | None) -> Any:
    """The same without fields that are null, as far down as the models go: there an absent field has its default."""
    if model is None:
        return value
    if isinstance(value, list):
        return [_without_nulls(item, model) for item in value]
    if not isinstance(value, dict):
        return value
    fields = _fields(model)
    return {k: _without_nulls(v, _model(fields.get(k))) for k, v in value.items() if v is not None or k not in fields}


def _unknown(value: Any, model: type[Model] | None, path: str) -> Iterator[Problem]:
    """Fields that are not there, or not yet."""
    if model is None:
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(item, model, f"{path}[{index}]")
    elif isinstance(value, dict):
        fields = _fields(model)
        for key, below in value.items():
            if key in fields:
                yield from _unknown(below, _model(fields[key]), f"{path}.{key}")
            elif key in model.reserved:
                yield Problem(
                    f"{path}.{key}", f"`{key}` is not built yet: this version refuses it rather than ignore it"
                )
            else:
                yield Problem(f"{path}.{key}", f"unknown field; {nearest(key, fields)}")


def _told(error: ValidationError) -> Iterator[Problem]:
    """Pydantic's findings in our words, each once."""
    for found in error.errors(include_url=False):
        if found["type"] != "extra_forbidden":
            yield Problem(_path(found["loc"]), sentence(found))


def _path(place: tuple[int | str, ...]) -> str:
    return "spec" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
