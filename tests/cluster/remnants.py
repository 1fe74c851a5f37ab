"""What a node leaves on the machine outside its processes, found and taken away: mounts, network, cgroups, sysctls.

A kubelet or containerd that is killed takes none of this with it, and the next one stumbles over it. Everything here
works on what it finds and may be repeated; it touches nothing but the node's own.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.cluster import firewall
from tests.cluster.node_config import BRIDGE, NETWORK
from tests.cluster.waiting import eventually

# Set by the kubelet or kube-proxy for the whole machine. IP forwarding is not among them: it stays on, since an image
# build that runs beside the node relies on it by the time the node goes.
_SYSCTLS = (
    "vm/overcommit_memory",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/conf/all/route_localnet",
)
_CGROUPS = Path("/sys/fs/cgroup")
_CNI_RESULTS = Path("/var/lib/cni/results")
# Written here by kubelet and containerd whatever they are told: links to logs, a socket, and directories.
_CONTAINER_LINKS = Path("/var/log/containers")
_PLUGIN_SOCKET = Path("/var/lib/kubelet/device-plugins/kubelet.sock")
_DIRECTORIES = (
    _CONTAINER_LINKS,
    *_PLUGIN_SOCKET.parents[:2],
    *(Path("/run/containerd", name) for name in ("s", "runc/k8s.io", "runc", "")),
)


def save_sysctls(file: Path) -> None:
    """Write down the machine's settings; what was written down before, and not restored since, stays."""
    if file.exists():
        return
    settings = (Path("/proc/sys", name) for name in _SYSCTLS)
    file.write_text("".join(f"{path} {path.read_text()}" for path in settings if path.exists()))


def restore_sysctls(file: Path) -> None:
    """Set the machine's settings back to what `save_sysctls` wrote down."""
    if not file.exists():
        return
    for line in file.read_text().splitlines():
        path, _, value = line.partition(" ")
        if Path(path).read_text().strip() != value.strip():
            Path(path).write_text(value)
    file.unlink()


def remove(state: Path) -> None:
    """Take away everything of a node whose state lies in `state` and whose daemons have ended."""
    for pid in _processes(state):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not list(_processes(state)), what="containers to end")
    # A mount may lie on another, and a process that just died may hold one for a moment.
    eventually(lambda: not _unmount_all(state), what=f"mounts under {state} to go")
    subprocess.run(["ip", "link", "delete", BRIDGE], check=False, capture_output=True)  # gone already, on a second call
    firewall.remove_rules(NETWORK)
    eventually(lambda: not _remove_cgroups(), what="the pods' cgroups to go")
    for file in (*_container_links(state), *_CNI_RESULTS.glob(f"{NETWORK}-*"), _PLUGIN_SOCKET):
        file.unlink(missing_ok=True)
    for directory in _DIRECTORIES:
        with suppress(OSError):  # never made, or in use by another container runtime
            directory.rmdir()


def list_all(state: Path) -> list[str]:
    """What there is of the node, one line each; empty after `remove`."""
    return [
        *(f"process {pid}" for pid in _processes(state)),
        *(f"mount {path}" for path in _mounts(state)),
        *(f"link {path.name}" for path in Path("/sys/class/net").glob(BRIDGE)),
        *(f"rule {rule}" for rule in firewall.remaining(NETWORK)),
        *(f"cgroup {path}" for path in _pod_cgroups()),
        *(f"link to a log {path}" for path in _container_links(state)),
    ]


def _processes(state: Path) -> Iterator[int]:
    """Containers and their shims: what is in the pods' cgroups, and shims that were started with our socket."""
    for cgroup in _pod_cgroups():
        for procs in cgroup.rglob("cgroup.procs"):
            with suppress(FileNotFoundError, OSError):  # the group, or on cgroup v2 a threaded group's list
                yield from (int(pid) for pid in procs.read_text().split())
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            command = (directory / "cmdline").read_bytes().decode(errors="replace")
            if "containerd-shim" in command and str(state) in command:
                yield int(directory.name)


def _mounts(state: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [path for path in (line.split()[1] for line in lines) if path.startswith(f"{state}/")]


def _unmount_all(state: Path) -> list[str]:
    for path in sorted(_mounts(state), reverse=True):
        subprocess.run(["umount", path], check=False, capture_output=True)
    return _mounts(state)


def _pod_cgroups() -> list[Path]:
    return [path for pattern in ("kubepods", "*/kubepods") for path in _CGROUPS.glob(pattern)]


def _remove_cgroups() -> list[Path]:
    for top in _pod_cgroups():
        for directory, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):  # busy: looked at again
                Path(directory).rmdir()
    return _pod_cgroups()


def _container_links(state: Path) -> list[Path]:
    return [link for link in _CONTAINER_LINKS.glob("*.log") if str(link.readlink()).startswith(str(state))]
