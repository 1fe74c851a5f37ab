"""MLflow's REST 2.0 JSON, to and from our shapes. Pure.

A number that JSON cannot say travels as the string "NaN", "Infinity" or "-Infinity"; MLflow's database keeps ±inf as
the largest double, so that is what comes back. Times are milliseconds there, seconds here.
"""

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from hypersweep.tracking.base import Metric, Run, Version

LARGEST = sys.float_info.max


def number(value: float | str) -> float:
    """A metric's value as MLflow sends it."""
    parsed = float(value)
    return math.copysign(math.inf, parsed) if abs(parsed) >= LARGEST else parsed


def number_to_wire(value: float) -> float | str:
    """A metric's value as protobuf's JSON takes it."""
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def pairs(texts: Mapping[str, str] | None) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in (texts or {}).items()]


def metric(data: Mapping[str, Any]) -> Metric:
    return Metric(
        value=number(data.get("value", 0.0)),
        step=int(data.get("step", 0)),
        timestamp=int(data.get("timestamp", 0)) / 1000,
    )


def run(data: Mapping[str, Any]) -> Run:
    """A `Run` message; KeyError, TypeError or ValueError when it is none."""
    info, body = data["info"], data.get("data", {})
    ended = int(info.get("end_time") or 0)
    return Run(
        id=info["run_id"],
        experiment=str(info["experiment_id"]),
        status=info["status"],
        started=int(info.get("start_time") or 0) / 1000,
        ended=ended / 1000 if ended else None,
        tags={tag["key"]: tag.get("value", "") for tag in body.get("tags", ())},
        params={param["key"]: param.get("value", "") for param in body.get("params", ())},
        metrics={point["key"]: metric(point) for point in body.get("metrics", ())},
        artifacts=info.get("artifact_uri", ""),
        deleted=info.get("lifecycle_stage") == "deleted",
        models=_models(data.get("outputs", {}).get("model_outputs", ())),
    )


def version(data: Mapping[str, Any]) -> Version:
    """A `ModelVersion` message; KeyError or TypeError when it is none."""
    return Version(name=data["name"], version=str(data["version"]), source=data.get("source", ""))


def _models(outputs: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(output["model_id"] for output in sorted(outputs, key=lambda output: int(output.get("step") or 0)))
