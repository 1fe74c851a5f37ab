"""What every part of the spec is made of: names, patterns and bounds of values, durations, and the base of all models."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP, VERSION, PLURAL, KIND = "hypersweep.dev", "v1alpha1", "hyperparametersweeps", "HyperparameterSweep"
LARGEST_INTEGER = 2**53  # what JSON readers keep exactly
LARGEST_NUMBER = 1e18  # below 2^63: the API server compares whole numbers with a bound as 64-bit integers

LONGEST_NAME = 63  # of a sweep: a label's value, so that `-l hypersweep.dev/sweep=NAME` works
SWEEP_NAME = re.compile(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)  # what Kubernetes takes as a name

# Units from large to small, each at most once; at most six digits keep every instant within what a date can say.
DURATION = "^" + "".join(rf"([0-9]{{1,6}}(\.[0-9]{{1,3}})?{unit})?" for unit in ("d", "h", "m", "s", "ms")) + "$"
NAME = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
RESOURCE = r"^([a-z0-9.-]+/)?[A-Za-z0-9_.-]+$"
CHOICE = r"^[^\x00-\x1f\x7f]+$"
MODEL = r"^[A-Za-z0-9_]([A-Za-z0-9 _.-]*[A-Za-z0-9_])?$"
ALIAS = r"^[A-Za-z0-9_-]+$"
BUILT_IN = (
    "Auto",
    "Grid",
    "Random",
    "Sobol",
    "TPE",
    "GP",
    "CMAES",
)  # strategies; others are installed beside the operator
STRATEGY = rf"^({'|'.join(BUILT_IN)}|[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z][A-Za-z0-9_]*)$"
EXPECTED = {  # a pattern in words
    STRATEGY: f"expected is {', '.join(BUILT_IN)}, or package/Name of a strategy that is installed beside the operator",
    DURATION: "a duration is expected, such as 90s, 10m or 1h30m (units from large to small: d, h, m, s, ms)",
    NAME: "a name is expected: letters, digits, `_`, `.` and `-`, first a letter or `_`",
    RESOURCE: "a resource of Kubernetes is expected, such as cpu, memory or nvidia.com/gpu",
    CHOICE: "text without control characters is expected",
    MODEL: "the name of a registered model is expected: letters, digits, blanks, `_`, `.` and `-`, such as team-a.digits",
    ALIAS: "an alias is expected: letters, digits, `_` and `-`, such as champion",
}
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

# Notes for crd.py, in the schema's own words: a list merged by key, and a field that may hold anything.
# The latter says no `type`: with `type: object`, CEL's `==` would not look inside.
MAP_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
MAP_BY_METRIC: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["metric"]}
MAP_BY_RESOURCE: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["resource"]}
MAP_BY_PARAMETER: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["parameter"]}
ANYTHING: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}

Duration = Annotated[str, Field(pattern=DURATION, min_length=1, max_length=32)]
Name = Annotated[str, Field(pattern=NAME, min_length=1, max_length=63)]
Text = Annotated[str, Field(min_length=1, max_length=250)]
Choice = Annotated[str, Field(pattern=CHOICE, min_length=1, max_length=128)]
Number = Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER, allow_inf_nan=False)]


def seconds(duration: str) -> float:
    """Seconds of a duration such as `1h30m`. Units: d, h, m, s, ms."""
    return sum(float(n) * _UNIT_SECONDS[u] for n, _, u in re.findall(r"([0-9]+(\.[0-9]+)?)(ms|s|m|h|d)", duration))


class Model(BaseModel):
    """Base of every part of the spec: unknown fields are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)
    reserved: ClassVar[Mapping[str, Literal["array", "object"]]] = {}  # fields of a later version, refused by this one
