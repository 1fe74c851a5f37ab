"""The networks, one family a file; each is made from the settings and the shapes of the data.

`make_model` chooses. Norms, activations and their names, which all families share, are in `parts.py`. A user's class,
`package.module:Model`, is called with `inputs` (the shape of one sample) and `outputs` (numbers per sample or pixel).
"""

from __future__ import annotations

import math

from torch import nn

from hypersweep_trainer.code import resolve
from hypersweep_trainer.data import Data
from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.models.cnn import make_cnn, make_resnet
from hypersweep_trainer.models.detector import Detector
from hypersweep_trainer.models.mlp import make_linear, make_mlp
from hypersweep_trainer.models.transformer import TableTransformer
from hypersweep_trainer.models.unet import UNet
from hypersweep_trainer.settings import Settings

SMALL = 256  # numbers in an image that an mlp still takes well
# Task → the one model that can do it, where it is only one.
ONLY = {"segmentation": "unet", "detection": "detector"}


def make_model(settings: Settings, data: Data) -> nn.Module:
    """The network, from inputs of `data.shape` to `data.outputs`. Raises BadInputError if they don't fit each other."""
    name, inputs, outputs = chosen(settings, data), data.shape, data.outputs
    if ":" in name:
        model = resolve("model", name)(inputs=inputs, outputs=outputs)
        if not isinstance(model, nn.Module):
            raise BadInputError(f"model: found {type(model).__name__} from {name}, allowed: a torch.nn.Module")
        return model
    if ONLY.get(data.task, name) != name:
        raise BadInputError(f"model: found {name}, allowed for {data.task}: auto | {ONLY[data.task]}")
    images = name in ("cnn", "resnet", "unet", "detector")
    if images and len(inputs) != 3:
        raise BadInputError(f"model: found {name}, which takes images, but a sample is {inputs}, allowed: mlp | linear")
    match name:
        case "linear":
            return make_linear(math.prod(inputs), outputs)
        case "mlp":
            return make_mlp(settings, math.prod(inputs), outputs)
        case "cnn":
            return make_cnn(settings, inputs, outputs)
        case "resnet":
            return make_resnet(settings, inputs[0], outputs)
        case "unet":
            return UNet(settings, inputs[0], outputs)
        case "transformer":
            return TableTransformer(settings, math.prod(inputs), outputs)
        case _:
            return Detector(settings, inputs[0], outputs)


def chosen(settings: Settings, data: Data) -> str:
    """The model's name, with `auto` resolved by the task and the shape of the data."""
    if settings.model != "auto":
        return settings.model
    large = len(data.shape) == 3 and math.prod(data.shape) > SMALL
    return ONLY.get(data.task, "cnn" if large else "mlp")
