"""What it takes to repeat a trial from what MLflow holds of it, and whether it came out the same. Pure.

The seed is the recorded one, set where a template may set it, so that no newer version's rule for seeds changes it. Values
that the sweep's run withholds are asked of whoever repeats it: by name, from their shell.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypersweep.core.errors import HyperSweepError
from hypersweep.core.lineage import WITHHELD
from hypersweep.core.spec import SweepSpec

SEED = "HYPERSWEEP_SEED"


def repeatable(spec: SweepSpec, *, seed: str, forced: bool, shell: Mapping[str, str]) -> SweepSpec:
    """The spec whose trial has that seed (the template's own, if it names one, unless `forced`), nothing withheld.

    HyperSweepError: names what is withheld and not in the shell.
    """
    document: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if absent := sorted({name for name in withheld(document) if name not in shell}):
        raise HyperSweepError(f"the sweep's run withholds the values of {', '.join(absent)}: set them in your shell")
    document = _filled(document, shell)
    container = _training_container(document)
    own = [entry for entry in container.get("env") or [] if entry.get("name") == SEED]
    if forced or not own:
        others = [entry for entry in container.get("env") or [] if entry not in own]
        container["env"] = [*others, {"name": SEED, "value": seed}]
    return SweepSpec.model_validate(document)


def withheld(document: Any) -> Iterator[str]:
    """The names whose values are not recorded."""
    if isinstance(document, list):
        for item in document:
            yield from withheld(item)
    if isinstance(document, dict):
        if document.get("value") == WITHHELD and isinstance(document.get("name"), str):
            yield document["name"]
        for item in document.values():
            yield from withheld(item)


def same(before: Sequence[float], after: Sequence[float], *, tolerance: float = 0.0) -> bool:
    """Whether all values are equal, up to the tolerance; NaN is like NaN."""
    return len(before) == len(after) and all(
        a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= tolerance
        for a, b in zip(before, after, strict=True)
    )


def _filled(document: Any, shell: Mapping[str, str]) -> Any:
    if isinstance(document, list):
        return [_filled(item, shell) for item in document]
    if not isinstance(document, dict):
        return document
    if document.get("value") == WITHHELD and document.get("name") in shell:
        return {**document, "value": shell[document["name"]]}
    return {key: _filled(value, shell) for key, value in document.items()}


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
