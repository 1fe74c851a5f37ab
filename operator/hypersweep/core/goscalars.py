"""What a YAML scalar without quotes means to kubectl, and how its numbers come out as JSON.

After go-yaml v2's resolve.go: YAML 1.1's words for booleans, its underscores and octals, YAML 1.2's `0o17`, floats without
a point, and no numbers to the base of 60. Owns scalars only; documents are in `goyaml.py`.
"""

import math
import re
from typing import Any

_TRUE = ("y", "yes", "true", "on")
_FALSE = ("n", "no", "false", "off")
_WORDS: dict[str, Any] = {"": None, "~": None}
for _words, _value in ((_TRUE, True), (_FALSE, False), (("null",), None)):
    _WORDS |= {spelled: _value for word in _words for spelled in (word, word.capitalize(), word.upper())}

_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_POINT_FIRST = re.compile(r"\.[0-9](_?[0-9])*([eE][-+]?[0-9](_?[0-9])*)?")  # goes straight to Go's ParseFloat
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(0[xX](?P<x>[0-9a-fA-F]+)|0[bB](?P<b>[01]+)|0[oO]?(?P<o>[0-7]+)|(?P<d>0|[1-9][0-9]*))"
)
_BASES = {"x": 16, "b": 2, "o": 8, "d": 10}
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WHOLE_BELOW = 1e21  # from here on Go's JSON writes an exponent


def plain(text: str) -> Any:
    """What an unquoted scalar without a tag means. ValueError: infinity and NaN, which JSON cannot say."""
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"found {text}; JSON, and so Kubernetes, has only finite numbers")
    if text[0] not in "+-.0123456789" or (text[0] == "." and not _POINT_FIRST.fullmatch(text)):
        return text
    digits = text.replace("_", "")
    if match := _INTEGER.fullmatch(digits):
        base = next(base for base in _BASES if match[base])
        whole = int(match["sign"] + match[base], _BASES[base])
        if base == "d" or -(2**63) <= whole < 2**64:
            return whole
    if _FLOAT.fullmatch(digits) and math.isfinite(value := float(digits)):
        return value
    return text


def number(value: float) -> float | int:
    """A number as it comes out of Go's JSON: whole ones without a point, integers beyond 64 bits as floats."""
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else number(float(value))
    return int(value) if value.is_integer() and abs(value) < _WHOLE_BELOW else value
