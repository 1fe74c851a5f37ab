"""What the pod of every trial gets where its template leaves it open: least rights, a place to write, last words.

Owns the defaults that make a template fit the `restricted` Pod Security Standard. Nothing that the template says is
changed: an image that must run as root says so (`runAsNonRoot: false`, or `runAsUser: 0`, of the pod or the container),
a trainer that talks to the API server asks for its token (`automountServiceAccountToken: true`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

Object = dict[str, Any]

SCRATCH = "hypersweep-tmp"  # torch and others need a /tmp that can be written, also on a read-only root


def fill_in(pod: Object, containers: Iterable[Object]) -> None:
    """Complete a pod's spec, in place; `containers` are all of its containers, those that initialize it as well."""
    containers = list(containers)
    pod["restartPolicy"] = "Never"
    _default(pod, "automountServiceAccountToken", False)
    if _section(pod, "os").get("name") != "windows":  # which knows none of these
        _restrict(pod, containers)
        _add_scratch(pod, containers)
    for container in containers:
        _default(container, "terminationMessagePolicy", "FallbackToLogsOnError")


def _restrict(pod: Object, containers: Iterable[Object]) -> None:
    _default(pod, "securityContext", {})
    context = _section(pod, "securityContext")
    _default(context, "runAsNonRoot", not _is_root(context))
    _default(context, "seccompProfile", {"type": "RuntimeDefault"})
    for container in containers:
        _default(container, "securityContext", {})
        _restrict_container(_section(container, "securityContext"))


def _restrict_container(context: Object) -> None:
    if _is_root(context):
        _default(context, "runAsNonRoot", False)
    if context.get("privileged"):  # it contradicts the rest, and the API server would say so
        return
    _default(context, "capabilities", {})
    capabilities = _section(context, "capabilities")
    _default(capabilities, "drop", ["ALL"])
    if not {"SYS_ADMIN", "CAP_SYS_ADMIN"} & {*map(str, _list(capabilities, "add"))}:
        _default(context, "allowPrivilegeEscalation", False)


def _add_scratch(pod: Object, containers: Iterable[Object]) -> None:
    without = [container for container in containers if not _mounts_tmp(container)]
    if not without or not isinstance(pod.get("volumes"), list | None):
        return
    pod["volumes"] = [*_list(pod, "volumes"), {"name": SCRATCH, "emptyDir": {}}]
    for container in without:
        container["volumeMounts"] = [*_list(container, "volumeMounts"), {"name": SCRATCH, "mountPath": "/tmp"}]  # noqa: S108


def _mounts_tmp(container: Mapping[str, Any]) -> bool:
    if not isinstance(container.get("volumeMounts"), list | None):
        return True
    mounts = (mount for mount in _list(container, "volumeMounts") if isinstance(mount, dict))
    return any(str(mount.get("mountPath")).rstrip("/") == "/tmp" for mount in mounts)  # noqa: S108


def _is_root(context: Mapping[str, Any]) -> bool:
    return context.get("runAsUser") == 0


def _default(part: Object, key: str, value: Any) -> None:
    """Where the part says nothing, or null, it says `value` from now on."""
    if part.get(key) is None:
        part[key] = value


# What has not the shape that it should have is left as it is: the API server says so best.


def _section(part: Mapping[str, Any], key: str) -> Object:
    found = part.get(key)
    return found if isinstance(found, dict) else {}


def _list(part: Mapping[str, Any], key: str) -> list[Any]:
    found = part.get(key)
    return found if isinstance(found, list) else []
