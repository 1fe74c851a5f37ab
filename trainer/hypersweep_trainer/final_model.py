"""The final model as MLflow keeps models: weights, signature, input example, packages.

Owns what goes into that folder. It is written on this machine and sent like any artifact, so that a server that is away
loses nothing; `mlflow.pyfunc.load_model("runs:/RUN/model")` finds it, where this package is installed. Nothing in it is
pickled: see `served.py`. Refuses to cost a training its end: the results are there, and whatever fails here, memory and
the user's own code included, would fail again in the next attempt. It is one warning.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from hypersweep_trainer import served
from hypersweep_trainer.exits import Interrupted, reason

if TYPE_CHECKING:
    from hypersweep_trainer.tracking import Tracker
    from hypersweep_trainer.train import Training

log = logging.getLogger(__name__)

FOLDER = "model"  # among a run's artifacts
EXAMPLE = 3  # samples
PACKAGES = ("torch", "numpy", "pydantic", "pyyaml")


def keep_model(training: Training, tracker: Tracker) -> None:
    """The model as it is now becomes an artifact of the run, if there is one and the settings say so."""
    if (
        tracker.directory
        and training.settings.log_model
        and (written := save_model(training, tracker.directory / FOLDER))
    ):
        tracker.log_file(written, folder=FOLDER)


def save_model(training: Training, folder: Path) -> Path | None:
    """Write the model as it is now, with averaged weights where there are some; None, with a warning, if something refuses.

    Raises Interrupted.
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)  # an earlier attempt's, with fewer epochs
        folder.parent.mkdir(parents=True, exist_ok=True)
        _write(training, folder)
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001  # a full disk, an odd model: no reason to lose a training
        log.warning("the final model is not written: %s", reason(error))
        shutil.rmtree(folder, ignore_errors=True)  # half a model, which an earlier attempt's entry would still send
        return None
    return folder


def _write(training: Training, folder: Path) -> None:
    from mlflow import pyfunc
    from mlflow.models import infer_signature

    data = training.data
    example = data.batch(data.val[:EXAMPLE])[0].cpu().numpy()
    weights = training.model.state_dict() | (training.averages.weights if training.averages else {})
    with tempfile.TemporaryDirectory() as place:
        written = Path(place) / "trained"
        written.mkdir()
        weights = {name: weight.cpu() for name, weight in weights.items()}
        served.write(written, settings=training.settings, data=data, weights=weights)
        pyfunc.save_model(
            folder,
            loader_module=served.__name__,
            data_path=str(written),
            signature=infer_signature(example, served.read(written).predict(example)),
            input_example=example,
            pip_requirements=[f"{name}=={version(name)}" for name in PACKAGES],
        )
