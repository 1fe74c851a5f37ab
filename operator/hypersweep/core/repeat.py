"""What it takes to repeat a trial from what MLflow holds of it, and whether it came out the same. Pure.

The seed is the recorded one, set where a template may set it, so that no newer version's rule for seeds changes it. Values
that the sweep's run withholds are asked of whoever repeats it, by name.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hypersweep.core.errors import HyperSweepError
from hypersweep.core.secrets import WITHHELD, given, literals
from hypersweep.core.spec import SweepSpec

SEED = "HYPERSWEEP_SEED"


def complete(spec: SweepSpec, values: Mapping[str, str]) -> SweepSpec:
    """The spec with nothing withheld. HyperSweepError: names what is withheld and not among the values, and where it belongs."""
    document = _written(spec)
    lacking = {s.name: s.path for s in literals(document) if s.value == WITHHELD and s.name not in values}
    if lacking:
        told = ", ".join(f"{name} (of spec.{path})" for name, path in sorted(lacking.items()))
        how = "set them in your shell, or give --set-env NAME=VALUE"
        raise HyperSweepError(f"the sweep's run in MLflow withholds the values of {told}: {how}")
    return SweepSpec.model_validate(given(document, values))


def seeded(spec: SweepSpec, *, seed: str, forced: bool) -> SweepSpec:
    """The spec whose trial has that seed (the template's own, if it names one, unless `forced`)."""
    document = _written(spec)
    container = _training_container(document)
    own = [entry for entry in container.get("env") or [] if entry.get("name") == SEED]
    if forced or not own:
        others = [entry for entry in container.get("env") or [] if entry not in own]
        container["env"] = [*others, {"name": SEED, "value": seed}]
    return SweepSpec.model_validate(document)


def same(before: Sequence[float], after: Sequence[float], *, tolerance: float = 0.0) -> bool:
    """Whether all values are equal, up to the tolerance; NaN is like NaN."""
    return len(before) == len(after) and all(
        a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= tolerance
        for a, b in zip(before, after, strict=True)
    )


def _written(spec: SweepSpec) -> dict[str, Any]:
    document: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return document


def _training_container(document: dict[str, Any]) -> dict[str, Any]:
    """The container that trains, made where the built-in trainer needs none."""
    job = document.setdefault("job", {})
    pod = job.setdefault("template", {})
    for key in ("spec", "template", "spec"):
        pod = pod.setdefault(key, {})
    containers: list[dict[str, Any]] = pod.setdefault("containers", [])
    if not containers:
        containers.append({"name": job.get("container") or "train"})
    name = job.get("container")
    return next((c for c in containers if name in (None, c.get("name"))), containers[0])
