"""Container images without a registry: the base image from Debian packages, others from a Dockerfile, by `buildah`.

They lie in buildah's store; `RealNode.load` gives them to the node. A name without a registry's host, `trainer:test`,
means `localhost/trainer:test`, and so a pod must write it, with `imagePullPolicy: Never` or `IfNotPresent`.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import debian, paths

BASE = "localhost/python:3.11-slim-bookworm"  # found by `FROM python:3.11-slim-bookworm`
PAUSE = "localhost/pause:local"

_BUILD_SECONDS = 3600.0
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_APT_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


def build(
    tag: str, context: Path, *, target: str | None = None, file: Path | None = None, arguments: Mapping[str, str] = {}
) -> None:
    """Build the Dockerfile in `context` (or `file`) as `tag`, with layers cached; the base image is made if missing.

    The machine's certificates, and a setting that lets `uv` use them, are mounted for the build alone: behind a proxy
    that has its own authority pip and uv need them, and neither Dockerfile nor image should know.

    Args:
        target: the stage to build; by default the last.
        arguments: build arguments.

    Raises:
        subprocess.CalledProcessError: the build failed; what buildah said is on stderr.
    """
    debian.ensure(debian.IMAGES)
    ensure_base()
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as uv:
        uv.write("system-certs = true\n")
        uv.flush()
        Path(uv.name).chmod(0o644)
        mounts = [f"--volume={_CERTIFICATES}:{_CERTIFICATES}:ro", f"--volume={uv.name}:/etc/uv/uv.toml:ro"]
        options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        options += [f"--target={target}"] if target else []
        options += [f"--file={file}"] if file else []
        runtime = debian.program_path("runc")
        command = (
            "build",
            "--pull-never",
            f"--runtime={runtime}",
            "--layers",
            f"--tag={full_name(tag)}",
            *mounts,
            *options,
        )
        _buildah(*command, str(context), capture=False)


def image_id(name: str) -> str | None:
    """The id of an image in buildah's store (`sha256:` and hexadecimal digits); none if there is no such image."""
    for image in json.loads(_buildah("images", "--json", "--no-trunc")):
        if full_name(name) in (image["names"] or ()):
            return "sha256:" + str(image["id"]).removeprefix("sha256:")
    return None


def export(name: str, file: Path) -> None:
    """Write an image of buildah's store to `file`, as an archive that `docker load` and containerd read."""
    _buildah("push", "--quiet", full_name(name), f"docker-archive:{file}:{full_name(name)}")


def remove(name: str) -> None:
    """Remove an image from buildah's store, with the layers that no other image has."""
    _buildah("rmi", full_name(name))


def full_name(name: str) -> str:
    """`name` with its registry's host; `localhost/` where it has none."""
    host, slash, _ = name.partition("/")
    return name if slash and (host == "localhost" or "." in host or ":" in host) else f"localhost/{name}"


def ensure_base() -> None:
    """Have `BASE`: the official Python image of that name, as near as Debian's own packages come.

    Debian bookworm with Python 3.11, and a virtual environment laid over /usr/local, so that python, pip and
    site-packages lie where the official image has them. 200 MB; takes under a minute.
    """
    if image_id(BASE):
        return
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch, "base.tar")
        _mmdebstrap(archive)
        container = _buildah("from", "scratch").strip()
        _buildah("add", "--quiet", container, str(archive), "/")
        _buildah("config", f"--env=PATH={_PATH}", "--env=LANG=C.UTF-8", '--cmd=["python3"]', container)
        _buildah("commit", "--quiet", "--rm", container, BASE)


def ensure_pause() -> None:
    """Have `PAUSE`, the container that holds a pod's namespaces open: a static binary and nothing else."""
    if image_id(PAUSE):
        return
    with tempfile.TemporaryDirectory() as scratch:
        command = ["go", "build", "-trimpath", "-ldflags=-s -w", f"-o={scratch}/pause", "./pause"]
        environment = {**os.environ, "CGO_ENABLED": "0"}
        subprocess.run(command, cwd=paths.HERE, env=environment, check=True, timeout=_BUILD_SECONDS)
        container = _buildah("from", "scratch").strip()
        _buildah("add", "--quiet", container, f"{scratch}/pause", "/pause")
        _buildah("config", "--user=65535:65535", '--entrypoint=["/pause"]', container)
        _buildah("commit", "--quiet", "--rm", container, PAUSE)


def _mmdebstrap(archive: Path) -> None:
    useless = ("doc", "man", "locale")
    command = [
        *("mmdebstrap", "--variant=minbase", "--mode=root", "--format=tar"),
        "--include=python3,python3-venv,ca-certificates",
        '--aptopt=Apt::Install-Recommends "false"',
        *[f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in useless],
        '--customize-hook=chroot "$1" python3 -m venv --symlinks /usr/local',
        '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*.log',
        *("bookworm", str(archive), "-"),
    ]
    sources = _APT_SOURCES.read_bytes()  # the mirror is the machine's own
    subprocess.run(command, input=sources, check=True, timeout=_BUILD_SECONDS)


def _buildah(*arguments: str, capture: bool = True) -> str:
    output = subprocess.PIPE if capture else None
    done = subprocess.run(["buildah", *arguments], stdout=output, text=True, check=True, timeout=_BUILD_SECONDS)
    return done.stdout or ""
