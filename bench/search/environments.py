"""An environment of its own for each peer, made with uv under a cache folder; nothing of it is in the repository."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hypersweep" / "search"
COMMON = ("coco-experiment==2.8.2", "scikit-learn")  # what the problems are made of


def python(peer: str, needs: Sequence[str]) -> Path | None:
    """The interpreter of a peer's environment; None, and said why, where it does not install."""
    folder = CACHE / "environments" / peer
    found, ready = folder / "bin" / "python", folder / ".ready"
    wanted = "\n".join([*COMMON, *needs])
    if ready.exists() and ready.read_text() == wanted:
        return found
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(found), *COMMON, *needs],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{peer}: does not install: {done.stderr.strip()[-500:]}", file=sys.stderr)
            return None
    ready.write_text(wanted)
    return found


def started(interpreter: Path) -> "subprocess.Popen[str]":
    """A worker in that environment: one thread, jobs in, answers out."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}:{ROOT / 'trainer'}",
        "PYTHONWARNINGS": "ignore",
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }
    return subprocess.Popen(
        [str(interpreter), "-m", "bench.search.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
