"""Whether a trial's checkpoints outlive its attempts: what `mode: Promote` rests on.

Owns what the Job template must say for it. Pure, and only about the text: whether the volume is there, Kubernetes says.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypersweep.core.errors import Problem
from hypersweep.core.spec import SweepSpec
from hypersweep.core.stoppers import promotes
from hypersweep.core.wording import shown

VARIABLE = "HYPERSWEEP_CHECKPOINT_DIR"
EXAMPLE = f'{{name: {VARIABLE}, value: "/checkpoints/$(MLFLOW_RUN_ID)"}}'
_PASSING = {
    "emptyDir",
    "ephemeral",
    "configMap",
    "secret",
    "downwardAPI",
    "projected",
    "image",
}  # gone with the pod, or read-only
_ITS_OWN = ("$(HYPERSWEEP_TRIAL)", "$(MLFLOW_RUN_ID)")  # either makes a directory the trial's own


def problems(spec: SweepSpec) -> Iterator[Problem]:
    """What keeps a paused trial from being resumed. The template's shape has been looked at before."""
    if not promotes(spec):
        return
    wanted = "`mode: Promote` resumes trials from their checkpoints"
    pod, container, path = _training(spec)
    entry = next((e for e in container.get("env") or [] if e.get("name") == VARIABLE), None)
    if entry is None or not entry.get("value"):
        found = f"found no {VARIABLE} with a value in the training container's env"
        yield Problem(f"{path}.env", f"{wanted}: {found}; mount a volume that outlives the pod, and give {EXAMPLE}")
        return
    place = str(entry["value"])
    mount = _mount(container, place)
    told = place + str((mount or {}).get("subPathExpr", ""))
    if not any(own in told for own in _ITS_OWN):
        yield Problem(
            f"{path}.env", f"{wanted}: found {VARIABLE} {shown(place)} for all trials; each needs its own: {EXAMPLE}"
        )
    volume = next((v for v in pod.get("volumes") or [] if mount and v.get("name") == mount.get("name")), None)
    if mount is None or volume is None:
        yield Problem(
            f"{path}.volumeMounts", f"{wanted}: found no volume at {shown(place)}; mount one that outlives the pod"
        )
    elif mount.get("readOnly") or _PASSING & volume.keys():
        kind = "read-only" if mount.get("readOnly") else next(iter(_PASSING & volume.keys()))
        yield Problem(
            f"{path}.volumeMounts",
            f"{wanted}: found volume {shown(volume['name'])} ({kind}) at {shown(mount['mountPath'])}; "
            "allowed: a writable one that outlives the pod, such as a persistentVolumeClaim",
        )


def _training(spec: SweepSpec) -> tuple[Mapping[str, Any], Mapping[str, Any], str]:
    """The pod's spec, the container that trains, and where that stands."""
    template = spec.job.template if spec.job is not None else {}
    pod = ((template.get("spec") or {}).get("template") or {}).get("spec") or {}
    containers: Sequence[Mapping[str, Any]] = pod.get("containers") or [{}]
    wanted = spec.job.container if spec.job is not None else None
    index = next((i for i, c in enumerate(containers) if wanted is not None and c.get("name") == wanted), 0)
    return pod, containers[index], f"spec.job.template.spec.template.spec.containers[{index}]"


def _mount(container: Mapping[str, Any], place: str) -> Mapping[str, Any] | None:
    """The volume mount that the path lies in: the longest of those."""
    path = posixpath.normpath(place) + "/"
    mounts = [m for m in container.get("volumeMounts") or [] if isinstance(m, Mapping) and m.get("mountPath")]
    within = [m for m in mounts if path.startswith(posixpath.normpath(str(m["mountPath"])).rstrip("/") + "/")]
    return max(within, key=lambda m: len(str(m["mountPath"])), default=None)
