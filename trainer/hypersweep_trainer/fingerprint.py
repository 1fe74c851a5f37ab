"""What results rest on: fingerprints of data and model, packages, commit, image, seed.

Two runs whose fingerprints agree were trained on the same samples, split alike, from the same network. The digests say
nothing about the content itself. Computed once a training, and only where somebody keeps it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hypersweep_trainer.data import Data
from hypersweep_trainer.settings import Settings

COMMIT = "mlflow.source.git.commit"  # MLflow's own tag, which its pages show


def details(settings: Settings, data: Data, model: nn.Module, *, checkpoints: Path | None) -> dict[str, Any]:
    """`report`, for a file that people and programs read, and `tags`, the few by which runs are searched."""
    report: dict[str, Any] = {
        "data": {"name": settings.data, **data_fingerprint(data)},
        "model": model_fingerprint(model),
        "environment": environment(settings),
        "settings": settings.model_dump(),
        "checkpoints": str(checkpoints.resolve()) if checkpoints else None,
    }
    tags = {
        "data_digest": report["data"]["digest"],
        "model_digest": report["model"]["digest"],
        "checkpoints": report["checkpoints"],
        "image": report["environment"]["image"],
        COMMIT: report["environment"]["commit"],
    }
    return {"report": report, "tags": {name: value for name, value in tags.items() if value}}


def data_fingerprint(data: Data) -> dict[str, Any]:
    """Digest of all samples as the model sees them and of the split; how many train, validate and test, by class."""
    parts = {"train": data.train, "val": data.val, "test": data.test}
    found: dict[str, Any] = {
        "digest": digest(_samples(data), data.y, *parts.values()),
        "task": data.task,
        "shape": list(data.shape),
        "samples": {name: len(part) for name, part in parts.items()},
    }
    if data.task == "classification":
        found["classes"] = {name: _balance(data, part) for name, part in parts.items() if len(part)}
    elif data.task == "regression":
        found["target"] = {"mean": data.mean, "std": data.std}
    return found


def _samples(data: Data) -> object:
    """All inputs; of images in a folder their names and sizes, since reading them all would take too long."""
    if isinstance(data.x, Tensor):
        return data.x
    return [(path.parent.name, path.name, path.stat().st_size) for path in getattr(data.x, "paths", ())]


def _balance(data: Data, part: Tensor) -> dict[str, int]:
    counts = data.y[part].bincount(minlength=len(data.classes)).tolist()
    return dict(zip(data.classes, counts, strict=True))


def model_fingerprint(model: nn.Module) -> dict[str, Any]:
    """Digest of the architecture and of the weights that training starts with; how many numbers there are to learn."""
    weights = model.state_dict()
    return {
        "digest": digest(str(model), *weights.values()),
        "name": type(model).__name__,
        "parameters": sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        "layers": str(model).splitlines(),
    }


def digest(*parts: object) -> str:
    """The first 16 digits of the SHA-256 of tensors (with their shapes) and, of all else, its text."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            sha.update(f"{part.dtype}{tuple(part.shape)}".encode())
            sha.update(part.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        else:
            sha.update(str(part).encode())
    return sha.hexdigest()[:16]


def environment(settings: Settings) -> dict[str, Any]:
    """Where it was trained."""
    packages = {f"{found.metadata['Name']}=={found.version}" for found in distributions()}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine(),
        "threads": torch.get_num_threads(),
        "seed": settings.seed,
        "image": os.environ.get("HYPERSWEEP_IMAGE"),
        "commit": commit(),
        "packages": sorted(packages, key=str.lower),
    }


def commit() -> str | None:
    """The commit of the working directory, with `-dirty` if files differ from it; None where there is no git."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
