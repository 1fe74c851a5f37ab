"""`python -m hypersweep_trainer export MODEL`: a finished model as torch.export, ONNX and eight-bit ONNX, with a comparison.

Owns where the model comes from (a run, the registry, a folder, a directory of checkpoints), where the files go, and the
report. What is done with the model is `export.py`'s business.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hypersweep_trainer.exits import BadInputError, TrainerError

if TYPE_CHECKING:
    from hypersweep_trainer.export import Finished

COMMAND = "export"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
REPORT = "export.json"
DESCRIPTION = """\
Write a finished model in forms that need no trainer (torch.export, ONNX, eight-bit ONNX), and compare each with the
original on the validation part of its data: deviation, scores, latency, size. The data must be where they were.

Examples:  python -m hypersweep_trainer export runs:/0123abcd/model
           python -m hypersweep_trainer export models:/digits@champion --out served/
           python -m hypersweep_trainer export /checkpoints/digits-0007
"""


def asked_for(argv: Sequence[str]) -> bool:
    """Whether an export is wanted instead of a training."""
    return list(argv[:1]) == [COMMAND]


def run(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    """Export, print the comparison, and log it where the model is a run's. Raises BadInputError, TrainerError."""
    options = _parser().parse_args(argv[1:])
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise BadInputError(f"export: {', '.join(missing)} not installed; pip install 'hypersweep[export]' does")
    from hypersweep_trainer.export import Form, export, far, table  # torch and onnxruntime take seconds

    finished = _finished(options.model, environ)
    options.out.mkdir(parents=True, exist_ok=True)
    forms: list[Form] = []
    for form in export(finished, options.out):
        print(f"{form.name} ..." if form.file else "the original ...", flush=True)
        forms.append(form)
    report = {"model": options.model, "samples": len(finished.data.val), "forms": [form.as_json for form in forms]}
    (options.out / REPORT).write_text(json.dumps(report, indent=2) + "\n")
    print(table(forms), f"written: {options.out}", sep="\n", flush=True)
    for form in forms:
        if far(form, forms[0]):
            raise TrainerError(f"export: {form.file} deviates by {form.deviation:.2g} from the original; do not use it")
    if found := re.match(r"runs:/(\w+)/", options.model):
        _log(options.out, run_id=found[1])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m hypersweep_trainer {COMMAND}",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "model",
        help="runs:/RUN/model or models:/NAME@ALIAS (of MLFLOW_TRACKING_URI), its folder, or a checkpoint directory",
    )
    parser.add_argument("--out", type=Path, default=Path("exported"), help="folder to write to [exported]")
    return parser


def _finished(model: str, environ: Mapping[str, str]) -> Finished:
    if ":/" not in model:
        return _from_folder(Path(model))
    if not environ.get("MLFLOW_TRACKING_URI"):
        raise BadInputError(f"export: {model} needs MLFLOW_TRACKING_URI, the server that has it")
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as place:
        try:
            folder = Path(download_artifacts(model, dst_path=place))
        except (MlflowException, OSError) as error:
            raise BadInputError(f"export: {model} is not to be had: {error}") from None
        return _from_folder(folder)


def _from_folder(folder: Path) -> Finished:
    """What was trained, from a model's folder or the newest checkpoint in it."""
    import torch

    from hypersweep_trainer import served
    from hypersweep_trainer.checkpoint import newest
    from hypersweep_trainer.data import load
    from hypersweep_trainer.export import Finished
    from hypersweep_trainer.models import make_model
    from hypersweep_trainer.settings import Settings

    if not folder.is_dir():
        raise BadInputError(f"export: found no folder {folder}, allowed: a model's, or a checkpoint directory")
    if files := list(folder.rglob(served.FILE)):
        state = torch.load(files[0], map_location="cpu", weights_only=True)
        settings, weights = state["settings"], state["weights"]
    elif found := newest(folder):
        training = found["training"]
        settings, weights = training["settings"], training["model"] | training.get("averages", {}).get("weights", {})
    else:
        raise BadInputError(f"export: found neither {served.FILE} nor a checkpoint in {folder}")
    chosen = Settings(**settings)
    data = load(chosen, torch.device("cpu"))
    model = make_model(chosen, data)
    model.load_state_dict(weights)
    threads = chosen.threads or os.cpu_count() or 1
    torch.set_num_threads(threads)
    return Finished(model, data, threads)


def _log(folder: Path, *, run_id: str) -> None:
    from mlflow import MlflowClient

    MlflowClient().log_artifacts(run_id, str(folder), artifact_path=COMMAND)
    print(f"logged: runs:/{run_id}/{COMMAND}", flush=True)
