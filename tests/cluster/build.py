"""Builds Kubernetes, etcd, Helm and kwok from their Go modules into the cache, and only what is missing there.

Kubernetes and etcd come at the versions that `go.mod` beside this file holds (`go.sum` checks them); Helm and kwok
are pinned here. A binary is current if the key it was built with is still the one asked for: change a pin and the next
run builds it anew. Cold: about 10 minutes on two cores and 5 GB of Go's own caches.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import paths

HELM = "helm.sh/helm/v4/cmd/helm@v4.3.1"
KWOK = "sigs.k8s.io/kwok/cmd/kwok@v0.8.0"

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
NODE = ("kubelet", "kube-proxy")
ALL = (*CONTROL_PLANE, *NODE, "kwok", "helm")

_BUILD_SECONDS = 3600.0
_PINNED = {"helm": HELM, "kwok": KWOK}


def ensure(names: Iterable[str] = ALL) -> None:
    """Have these binaries in the cache, current. Safe to call from several processes: one builds, the others wait.

    Raises:
        FileNotFoundError: there is no Go toolchain.
        subprocess.CalledProcessError: a build failed; what `go` said is on stderr.
    """
    wanted = list(names)
    if all(map(_is_current, wanted)):
        return
    with _lock():
        missing = [name for name in wanted if not _is_current(name)]
        if not missing:  # another process built them meanwhile
            return
        if shutil.which("go") is None:
            raise FileNotFoundError(f"{', '.join(missing)} must be built, and there is no `go` in PATH")
        paths.binaries().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=paths.cache()) as scratch:
            for command in _commands(missing, Path(scratch)):
                print("building:", *command[-1:], file=sys.stderr, flush=True)
                environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": scratch}
                subprocess.run(command, cwd=paths.HERE, env=environment, check=True, timeout=_BUILD_SECONDS)
            for name in missing:
                # A rename, so that a binary that runs right now is left alone.
                Path(scratch, name).replace(paths.binaries() / name)
                _stamp(name).parent.mkdir(exist_ok=True)
                _stamp(name).write_text(_key(name))


def kubernetes_version() -> str:
    """The Kubernetes version that `go.mod` holds, such as `v1.34.4`."""
    match = re.search(r"k8s\.io/kubernetes (v[0-9.]+)", (paths.HERE / "go.mod").read_text())
    assert match is not None, "go.mod requires k8s.io/kubernetes"
    return match[1]


def _commands(names: list[str], out: Path) -> Iterator[list[str]]:
    kubernetes = [f"k8s.io/kubernetes/cmd/{name}" for name in names if name.startswith("kube")]
    if kubernetes:
        # Unset, the version would be v0.0.0-master, and clients would warn of skew. `providerless` leaves clouds out.
        version = kubernetes_version()
        major, minor = version.removeprefix("v").split(".")[:2]
        values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
        packages = ("k8s.io/client-go/pkg/version", "k8s.io/component-base/version")
        flags = " ".join(f"-X {package}.{key}={value}" for package in packages for key, value in values.items())
        yield [*_go("build", flags), "-tags", "providerless", "-o", f"{out}/", *kubernetes]
    if "etcd" in names:
        yield [*_go("build"), "-o", f"{out}/etcd", "go.etcd.io/etcd/server/v3"]
    for name in names:
        if name in _PINNED:
            yield [*_go("install"), _PINNED[name]]


def _go(verb: str, linker: str = "") -> list[str]:
    return ["go", verb, "-trimpath", "-ldflags", f"-s -w {linker}".strip()]


def _key(name: str) -> str:
    if name in _PINNED:
        return _PINNED[name]
    return hashlib.sha256((paths.HERE / "go.mod").read_bytes() + (paths.HERE / "go.sum").read_bytes()).hexdigest()


def _stamp(name: str) -> Path:
    return paths.binaries() / ".built" / name


def _is_current(name: str) -> bool:
    stamp = _stamp(name)
    return Path(paths.binary(name)).exists() and stamp.exists() and stamp.read_text() == _key(name)


@contextmanager
def _lock() -> Iterator[None]:
    paths.cache().mkdir(parents=True, exist_ok=True)
    with (paths.cache() / "build.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
