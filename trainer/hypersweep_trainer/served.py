"""A finished model on disk and back: what `mlflow.pyfunc` loads, with the task's answers in place of logits.

Owns one file of tensors and plain values, which is read without unpickling anything else. A model that is loaded
answers for inputs as the network takes them: scaled like the training's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hypersweep_trainer.boxes import found_boxes
from hypersweep_trainer.data import Data
from hypersweep_trainer.models import make_model
from hypersweep_trainer.settings import Settings

FILE = "model.pt"
BOXES = 50  # rows of a detector's answer


def write(folder: Path, *, settings: Settings, data: Data, weights: dict[str, Tensor]) -> None:
    """Everything that `read` needs."""
    state = {name: getattr(data, name) for name in ("task", "classes", "shape", "mean", "std")}
    torch.save({"settings": settings.model_dump(), "weights": weights, **state}, folder / FILE)


def read(folder: Path) -> Answering:
    """The model that `write` left in `folder`."""
    state = torch.load(folder / FILE, map_location="cpu", weights_only=True)
    nothing = torch.zeros(0, dtype=torch.long)
    about = {name: state[name] for name in ("task", "classes", "shape", "mean", "std")}
    data = Data(x=nothing, y=nothing, train=nothing, val=nothing, test=nothing, **about)
    model = make_model(Settings(**state["settings"]), data)
    model.load_state_dict(state["weights"])
    return Answering(model, data)


def _load_pyfunc(path: str) -> Answering:
    """What mlflow calls."""
    place = Path(path)
    return read(place if place.is_dir() else place.parent)


class Answering:
    """A model with `predict`."""

    def __init__(self, model: nn.Module, data: Data) -> None:
        """`data` tells the task, and what undoes a target's scaling."""
        self.model, self.data = model.eval(), data

    @torch.no_grad()
    def predict(self, x: Any, params: dict[str, Any] | None = None) -> np.ndarray[Any, Any]:  # noqa: ARG002  # mlflow's
        """Shares of the classes (n, classes); values (n,); classes of pixels (n, h, w); or boxes, see `answers`."""
        array = np.asarray(x, dtype=np.float32)
        return answers(self.model(torch.from_numpy(array)), self.data).numpy()


def answers(output: Tensor, data: Data) -> Tensor:
    """What a network's output says, in the terms of its task.

    Boxes are (n, 50, 6): kind, score, left, top, right, bottom; rows without a box have kind -1.
    """
    match data.task:
        case "classification":
            return output.softmax(1)
        case "regression":
            return output.flatten() * data.std + data.mean
        case "segmentation":
            return output.argmax(1)
        case _:
            rows = torch.full((len(output), BOXES, 6), -1.0)
            for row, found in zip(rows, found_boxes(output, most=BOXES), strict=True):
                row[: len(found)] = found
            return rows
