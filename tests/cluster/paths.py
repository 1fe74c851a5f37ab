"""Where the harness keeps what it builds and runs: one cache directory, outside the repository.

`HYPERSWEEP_CACHE` names it; otherwise it is `hypersweep` in `XDG_CACHE_HOME` or `~/.cache`.
Nothing here creates or deletes anything.
"""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]


def cache() -> Path:
    """The cache directory (which may not exist yet)."""
    named = os.environ.get("HYPERSWEEP_CACHE")
    if named:
        return Path(named).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "hypersweep"


def binaries() -> Path:
    """The directory of the built binaries."""
    return cache() / "bin"


def binary(name: str) -> str:
    """Where the built binary `name` lies; whether it is there is the business of `tests.cluster.build`."""
    return str(binaries() / name)


def clusters() -> Path:
    """The directory under which named clusters keep their state."""
    return cache() / "clusters"


def node() -> Path:
    """The state of this machine's one real node. Its image store outlives the node, so that images load once."""
    return cache() / "node"
