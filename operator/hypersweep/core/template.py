"""What a sweep's Job template may say, as far as the text alone tells.

Owns the list of what the operator sets itself: set otherwise is refused, not overridden in silence. Everything that
only Kubernetes knows (field names, types, quantities) is left to a strict dry run of the first Job on the API server.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hypersweep.core.environment import YIELDING, is_reserved
from hypersweep.core.errors import Problem
from hypersweep.core.names import parameter_variable
from hypersweep.core.spec import GROUP, SweepSpec
from hypersweep.core.wording import shown

PATH = "spec.job.template"
_POD = f"{PATH}.spec.template"

# Fields of the template, the values that the operator would set anyway (none: leave it out), and why it does.
_OWNED: tuple[tuple[str, tuple[Any, ...], str], ...] = (
    ("apiVersion", ("batch/v1",), "a trial is a batch/v1 Job"),
    ("kind", ("Job",), "a trial is a batch/v1 Job"),
    ("metadata.name", (), "the operator names Jobs after sweep, trial and attempt"),
    ("metadata.generateName", (), "the operator names Jobs after sweep, trial and attempt"),
    ("metadata.namespace", (), "Jobs run in the sweep's own namespace"),
    ("metadata.ownerReferences", (), "Jobs belong to the sweep"),
    ("spec.backoffLimit", (0,), "the operator counts attempts: see spec.trials.attempts"),
    ("spec.completions", (1,), "an attempt is one pod"),
    ("spec.parallelism", (1,), "an attempt is one pod; for trials at a time see spec.trials.parallel"),
    ("spec.ttlSecondsAfterFinished", (), "a Job may go only when its result is in the ledger: see spec.cleanup"),
    ("spec.suspend", (False,), "the operator and queues suspend Jobs: see spec.suspend"),
    ("spec.selector", (), "Kubernetes makes it"),
    ("spec.manualSelector", (False,), "Kubernetes makes the selector"),
    ("spec.podReplacementPolicy", ("Failed",), "no two pods may write one checkpoint"),
    ("spec.template.spec.restartPolicy", ("Never",), "a restart is a new attempt: see spec.trials.attempts"),
)
_VARIABLE = re.compile(r"\$\$|\$\((HP_[A-Za-z0-9_]*)\)")


def problems(spec: SweepSpec) -> list[Problem]:
    """Everything wrong with the template. Where its shape is wrong, only that."""
    template = spec.job.template if spec.job is not None else {}
    found = list(_misshapen(template))
    return found or [*_unknown(template), *_owned(template), *_labels(template), *_containers(template, spec)]


def _at(template: Any, path: str) -> Any:
    """What stands at a dotted path; None: nothing."""
    for step in path.split("."):
        template = template.get(step) if isinstance(template, Mapping) else None
    return template


def _misshapen(template: Mapping[str, Any]) -> Iterator[Problem]:
    for path in ("metadata", "spec", "spec.template", "spec.template.metadata", "spec.template.spec"):
        if not isinstance(_at(template, path), Mapping | None):
            yield Problem(f"{PATH}.{path}", f"found {shown(_at(template, path))}; a mapping is expected")
    for path in (
        "metadata.labels",
        "metadata.annotations",
        "spec.template.metadata.labels",
        "spec.template.metadata.annotations",
    ):
        if not isinstance(_at(template, path), Mapping | None):
            yield Problem(f"{PATH}.{path}", f"found {shown(_at(template, path))}; a mapping is expected")
    for kind in ("containers", "initContainers"):
        containers = _at(template, f"spec.template.spec.{kind}")
        if containers is not None and not _is_list_of_mappings(containers):
            yield Problem(f"{_POD}.spec.{kind}", f"found {shown(containers)}; a list of containers is expected")
            continue
        for index, container in enumerate(containers or []):
            yield from _misshapen_container(container, f"{_POD}.spec.{kind}[{index}]")


def _misshapen_container(container: Mapping[str, Any], path: str) -> Iterator[Problem]:
    if container.get("env") is not None and not _is_list_of_mappings(container["env"]):
        yield Problem(f"{path}.env", f"found {shown(container['env'])}; a list of {{name, value}} is expected")
    for field in ("command", "args"):
        words = container.get(field)
        if words is not None and not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
            yield Problem(
                f"{path}.{field}", f"found {shown(words)}; a list of text is expected (write numbers in quotes)"
            )


def _is_list_of_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _unknown(template: Mapping[str, Any]) -> Iterator[Problem]:
    for key in template.keys() - {"apiVersion", "kind", "metadata", "spec"}:
        yield Problem(f"{PATH}.{key}", "no field of a Job; allowed: metadata, spec")


def _owned(template: Mapping[str, Any]) -> Iterator[Problem]:
    for path, allowed, why in _OWNED:
        value = _at(template, path)
        if value is not None and not any(value == one and type(value) is type(one) for one in allowed):
            rest = f"allowed: {shown(allowed[0])}, or leave it out" if allowed else "leave it out"
            yield Problem(f"{PATH}.{path}", f"found {shown(value)}, which the operator sets: {why}; {rest}")


def _labels(template: Mapping[str, Any]) -> Iterator[Problem]:
    for where in ("metadata", "spec.template.metadata"):
        for field in ("labels", "annotations"):
            for key in _at(template, f"{where}.{field}") or {}:
                if str(key).startswith(f"{GROUP}/"):
                    yield Problem(
                        f"{PATH}.{where}.{field}.{key}", f"{GROUP}/ is the operator's own; choose another prefix"
                    )


def _containers(template: Mapping[str, Any], spec: SweepSpec) -> Iterator[Problem]:
    containers = _at(template, "spec.template.spec.containers") or []
    if not containers:
        if spec.trainer is None:
            yield Problem(
                f"{_POD}.spec.containers",
                "found none; give the container that trains, or `trainer` for the built-in one",
            )
        return
    wanted = spec.job.container if spec.job is not None else None
    names = [container.get("name") for container in containers]
    if wanted is not None and wanted not in names:
        there = ", ".join(str(name) for name in names if name) or "none with a name"
        yield Problem(
            "spec.job.container", f"found {shown(wanted)}, which is no container of the template; there are: {there}"
        )
        return
    training = names.index(wanted) if wanted is not None else 0
    for index, container in enumerate(containers):
        path = f"{_POD}.spec.containers[{index}]"
        if not container.get("image") and not (index == training and spec.trainer is not None):
            yield Problem(f"{path}.image", "is required; found nothing (only `trainer` brings an image of its own)")
        if index == training:
            yield from _variables(container, path, spec)


def _variables(container: Mapping[str, Any], path: str, spec: SweepSpec) -> Iterator[Problem]:
    """Variables of ours that the template sets, or counts on where they may be missing."""
    for index, entry in enumerate(container.get("env") or []):
        if is_reserved(str(entry.get("name"))):
            allowed = f"of its variables a template may set {', '.join(sorted(YIELDING))}"
            yield Problem(f"{path}.env[{index}].name", f"found {entry['name']}, which the operator sets; {allowed}")
    texts = [
        (f"{field}[{i}]", word) for field in ("command", "args") for i, word in enumerate(container.get(field) or [])
    ]
    texts += [(f"env[{i}].value", str(e["value"])) for i, e in enumerate(container.get("env") or []) if "value" in e]
    always = {parameter_variable(p.name): not p.when for p in spec.parameters}
    for where, text in texts:
        for variable in filter(None, _VARIABLE.findall(text)):
            if variable not in always:
                yield Problem(
                    f"{path}.{where}",
                    f"found $({variable}), which no parameter has; there are: {', '.join(sorted(always))}",
                )
            elif not always[variable]:
                message = f"found $({variable}) of a conditional parameter, which stays as it is where that is absent"
                yield Problem(
                    f"{path}.{where}",
                    f"{message}; allowed: `arguments: Flags` or Hydra, or reading the variable in the program",
                )
