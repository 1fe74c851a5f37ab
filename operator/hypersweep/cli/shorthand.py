"""A sweep from the command line, without YAML: `--param lr=1e-5..1e-1:log -- python train.py` becomes a manifest.

Owns the shorthand's grammar; the manifest it makes is checked like any other, so nothing about spaces is decided here.
"""

import re
from collections.abc import Sequence
from typing import Any

from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.spec import GROUP, KIND, VERSION

GRAMMAR = """\
  lr=1e-5..1e-1:log      a Float (or Integer, if both ends are whole numbers) between two values; :log, :reverselog, :logit,
                         :step=0.1, :points=5
  batch=16,32,64         one of these numbers
  opt=sgd,adam           one of these words
  nesterov=true,false    a Boolean"""

_RANGE = re.compile(r"(?P<min>[^:,]+?)\.\.(?P<max>[^:,]+)(?P<options>(:[^:]+)*)")
_SCALES = {"log": "Log", "reverselog": "ReverseLog", "logit": "Logit"}
_WHOLE = re.compile(r"[+-]?[0-9]+")


def parameter(text: str) -> dict[str, Any]:
    """One `--param` as a parameter of the spec. SpecError says what was not understood."""
    name, equals, values = text.partition("=")
    if not equals or not name or not values:
        raise SpecError([Problem("--param", f"found {text!r}; write NAME=VALUES, for instance:\n{GRAMMAR}")])
    match = _RANGE.fullmatch(values)
    if ".." in values and not {",", "/"} & set(values) and ("..." in values or match is None):
        raise SpecError([Problem("--param", f"found {text!r}; a range is MIN..MAX, for instance:\n{GRAMMAR}")])
    if match is not None:
        return {"name": name, **_range(text, match)}
    words = [w.strip() for w in values.split(",")]
    if sorted(words) == ["false", "true"]:
        return {"name": name, "type": "Boolean"}
    try:
        return {"name": name, "type": "Discrete", "numbers": [_number(w) for w in words]}
    except ValueError:
        return {"name": name, "type": "Categorical", "values": words}


def manifest(
    *,
    name: str,
    parameters: Sequence[str],
    metric: str,
    goal: str,
    strategy: str,
    seed: int,
    trials: int,
    parallel: int,
    arguments: str,
    image: str,
    command: Sequence[str],
) -> dict[str, Any]:
    """The whole HyperparameterSweep that the command line describes."""
    container = {"name": "train", "image": image, "command": list(command)}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {
            "objectives": [{"metric": metric, "goal": goal}],
            "parameters": [parameter(p) for p in parameters],
            "strategy": {"name": strategy, "seed": seed},
            "trials": {"max": trials, "parallel": parallel},
            "job": {"arguments": arguments, "template": {"spec": {"template": {"spec": {"containers": [container]}}}}},
        },
    }


def _range(text: str, match: re.Match[str]) -> dict[str, Any]:
    try:
        low, high = _number(match["min"]), _number(match["max"])
        options = [o for o in match["options"].split(":") if o]
        whole = isinstance(low, int) and isinstance(high, int) and not any("." in o for o in options)
        found: dict[str, Any] = {"type": "Integer" if whole else "Float", "min": low, "max": high}
        for option in options:
            found |= _option(option)
    except ValueError as error:
        raise SpecError([Problem("--param", f"found {text!r}: {error}; for instance:\n{GRAMMAR}")]) from None
    return found


def _option(text: str) -> dict[str, Any]:
    key, _, value = text.partition("=")
    if key in _SCALES and not value:
        return {"scale": _SCALES[key]}
    if key == "step" and value:
        return {"step": _number(value)}
    if key == "points" and value:
        return {"points": int(value)}
    raise ValueError(f"{text!r} is none of :log, :reverselog, :logit, :step=NUMBER, :points=NUMBER")


def _number(text: str) -> float | int:
    return int(text) if _WHOLE.fullmatch(text.strip()) else float(text)
