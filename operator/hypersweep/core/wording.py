"""How a finding of pydantic's is said to a user: what was found, and what is allowed. Decides nothing."""

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from hypersweep.core.spec import EXPECTED

LONGEST = 60  # characters of a found value

_KINDS = (
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (str, "text"),
    (list, "a list"),
    (dict, "a mapping"),
    (type(None), "nothing"),
)
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def shown(value: Any) -> str:
    """A found value as a message quotes it: as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False) if value is not None else "nothing"
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def nearest(name: str, names: Iterable[str]) -> str:
    """What may have been meant, or all that there is."""
    names = list(names)
    near = get_close_matches(name, names, n=1)
    return f"did you mean `{near[0]}`?" if near else f"allowed: {', '.join(names)}"


def sentence(error: ErrorDetails) -> str:
    """One finding in words."""
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        return "is required; found nothing"
    if kind in _WANTED:
        return f"found {shown(found)}, {_kind(found)}; {_WANTED[kind]} is expected{_hint(kind, found)}"
    if kind == "literal_error":
        return f"found {shown(found)}; allowed: {context['expected'].replace(' or ', ', ').replace(chr(39), '')}"
    if kind in ("less_than_equal", "greater_than_equal"):
        edge = f"at most {context['le']}" if kind == "less_than_equal" else f"at least {context['ge']}"
        return f"found {shown(found)}; allowed: {edge}"
    if kind in ("string_too_short", "string_too_long", "too_short", "too_long"):
        return _too(kind, found, context)
    if kind == "string_pattern_mismatch":
        return f"found {shown(found)}; {EXPECTED[context['pattern']]}"
    return f"found {shown(found)}; {error['msg'][0].lower()}{error['msg'][1:]}"


def _kind(value: Any) -> str:
    return next(name for kind, name in _KINDS if isinstance(value, kind))


def _hint(kind: str, found: Any) -> str:
    if kind != "string_type":
        return ""
    if isinstance(found, bool):
        return ": write it in quotes (YAML reads y, n, yes, no, on and off as true and false)"
    return f': write "{json.dumps(found)}" in quotes' if isinstance(found, int | float) else ""


def _too(kind: str, found: Any, context: Any) -> str:
    what = "character" if kind.startswith("string") else "item"
    limit = context.get("min_length", context.get("max_length"))
    edge = "at least" if kind.endswith("short") else "at most"
    return f"found {len(found)} {what}{'' if len(found) == 1 else 's'}; allowed: {edge} {limit}"
