"""The trainer's settings: one typed model, without torch.

Everything else about them is derived from it: the command line and the environment (`options.py`), the table in the
docs (`reference.py`), and the check of a sweep's `trainer.settings` before any Job is made (`check_settings`).
Refuses to import more than pydantic: a process that only checks settings must not pay for training.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from hypersweep_trainer.rules import LOSSES, MODELS, RULES

Where = Literal["settings", "parameters"]

# Settings that may differ between the attempts of one trial without changing what it computes.
MAY_CHANGE = {
    "epochs",
    "device",
    "threads",
    "checkpoint_every",
    "tracking_patience",
    "log_every",
    "log_model",
    "mistakes",
    "tensorboard",
    "profile_steps",
    "baselines",
    "stall_seconds",
}


def _whole(value: object) -> object:
    """A JSON number such as 32.0 is the integer 32: not every JSON writer keeps the two apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


def _one_of(default: str, *names: str, code: str, description: str) -> Any:
    """A field that takes one of `names`, or a class or function of the user's by its place: `package.module:Name`."""
    pattern = f"^({'|'.join(names)}|{CODE})$"
    return Field(
        default,
        max_length=200,
        pattern=pattern,
        description=description,
        json_schema_extra={"allowed": " | ".join([*names, code])},
    )


CODE = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"


class Settings(BaseModel):
    """What a training is: data, model, loss, optimizer, length. The defaults alone learn digits to 0.98."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    defaults: Literal["own", "published"] = Field(
        "own",
        description="what settings that nobody gives are: the trainer's own defaults, or first what is published for the model "
        "and the optimizer",
    )

    # ---- data
    data: str = Field(
        "digits",
        min_length=1,
        max_length=4096,
        description="digits, wine, breast_cancer, diabetes (of scikit-learn), shapes (masks), boxes (made here); a .csv, "
        ".parquet or .npz file; a folder with one folder of images per class; or package.module:function",
    )
    target: str = Field("", max_length=200, description="the column to predict, of a .csv or .parquet file")
    drop: str = Field("", max_length=4096, description="columns to leave out, with commas between them")
    task: Literal["auto", "classification", "regression", "segmentation", "detection", "digits"] = Field(
        "auto", description="what is learnt; auto goes by the target; digits is short for data: digits"
    )
    val_fraction: float = Field(0.2, ge=0.05, le=0.5, description="part of the data held out, stratified, to validate")
    test_fraction: float = Field(
        0.0, ge=0, le=0.5, description="part held out for one look after the last epoch (test_*); 0: none"
    )
    folds: Whole = Field(0, ge=0, le=100, description="cross-validation: so many parts, one of which validates; 0: off")
    fold: Whole = Field(0, ge=0, lt=100, description="the part that validates, with folds; counted from 0")
    split_seed: Whole = Field(
        0, ge=0, lt=2**63, description="seed of the split; not `seed`, so that trials share one split and compare"
    )

    # ---- model
    model: str = _one_of(
        "auto",
        "auto",
        *MODELS,
        code="package.module:Model",
        description="auto: mlp for rows and small images, cnn for images, unet for masks, detector for boxes",
    )
    layers: Whole = Field(
        2, ge=1, le=16, description="hidden layers, convolutions, residual blocks, levels (unet) or attention blocks"
    )
    width: Whole = Field(64, ge=1, le=65536, description="units per hidden layer, channels per (first) convolution")
    activation: Literal["relu", "gelu", "silu", "tanh", "leaky_relu"] = Field(
        "relu", description="what follows each hidden layer"
    )
    normalization: Literal["auto", "none", "batch", "layer", "group"] = Field(
        "auto", description="auto: batch in resnet, unet and detector, layer in transformer, else none"
    )
    heads: Whole = Field(4, ge=1, le=64, description="attention heads (transformer); width must be a multiple")
    dropout: float = Field(0.0, ge=0, lt=1, description="probability of dropping a unit while training")

    # ---- loss
    loss: str = _one_of(
        "auto",
        "auto",
        *(name for names in LOSSES.values() for name in names),
        code="package.module:Loss",
        description="auto: cross_entropy, mse, dice_cross_entropy or detection, as the task is",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="part of the truth given to all classes (cross_entropy)"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: rare classes count as much as frequent ones (cross_entropy, focal)"
    )
    focal_gamma: float = Field(2.0, ge=0, le=10, description="how much easy samples are discounted (focal, detection)")
    huber_delta: float = Field(1.0, gt=0, le=1e6, description="where huber turns from square to linear, in target stds")
    quantile: float = Field(0.5, gt=0, lt=1, description="the quantile to predict (loss quantile)")

    # ---- optimizer
    optimizer: Literal["sgd", "adam", "adamw", "nadam", "radam", "rmsprop", "rprop", "lbfgs", "adafactor", "muon"] = (
        Field("adam", description="rprop and lbfgs use the full batch, whatever batch_size")
    )
    lr: float = Field(0.001, gt=0, le=100, description="the highest learning rate (rprop: the first step size)")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum (sgd, rmsprop, muon)")
    nesterov: bool = Field(False, description="Nesterov's momentum (sgd, muon; needs momentum above 0)")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the mean gradient (adam, adamw, nadam, radam)")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the mean square (adam, adamw, nadam, radam, rmsprop)")
    weight_decay: float = Field(
        0.0,
        ge=0,
        le=10,
        description="decay of weights, never of norms and biases; decoupled with adamw, adafactor, muon",
    )
    clip_norm: float = Field(0.0, ge=0, le=1e6, description="the gradient's norm is cut to this; 0: never")
    accumulate: Whole = Field(
        1,
        ge=1,
        le=1024,
        description="parts that a batch is computed in, to save memory; the step stays that of the batch",
    )
    ema: float = Field(
        0.0, ge=0, lt=1, description="decay of averaged weights, with which is validated (0.99 to 0.9999); 0: off"
    )

    # ---- schedule
    schedule: Literal[
        "cosine", "linear", "polynomial", "constant", "one_cycle", "triangular", "cosine_restarts", "plateau"
    ] = Field(
        "cosine",
        description="the learning rate from batch to batch (not with rprop and lbfgs); triangular without lr: between the bounds "
        "that the range test finds",
    )
    warmup: float = Field(
        0.05,
        ge=0,
        le=0.9,
        description="part of all steps in which the rate first rises to lr (cosine, linear, polynomial, plateau)",
    )
    final_lr: float = Field(0.0, ge=0, le=1, description="where the rate ends (or its low bound), as a part of lr")
    power: float = Field(2.0, gt=0, le=10, description="exponent of the polynomial")
    cycle_epochs: Whole = Field(
        10, ge=1, le=1_000_000, description="length of a triangle, or of the first cosine before its restart"
    )
    cycle_growth: Whole = Field(1, ge=1, le=10, description="each cosine is so many times as long as the one before it")
    plateau_patience: Whole = Field(
        5, ge=0, le=10_000, description="epochs without a better val_loss before plateau acts"
    )
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="what plateau multiplies the rate with")

    # ---- length
    epochs: Whole = Field(20, ge=1, le=1_000_000, description="passes over the data; HYPERSWEEP_BUDGET overrides it")
    batch_size: Whole = Field(64, ge=1, le=1_000_000, description="samples per step; the last batch may be smaller")
    seed: Whole = Field(
        0, ge=0, lt=2**63, description="seed of weights, dropout and data order; HYPERSWEEP_SEED is its default"
    )

    # ---- machine
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto takes cuda or mps where present")
    threads: Whole = Field(1, ge=0, le=1024, description="CPU threads of torch; 0 leaves it to torch")
    precision: Literal["float32", "bf16", "fp16"] = Field(
        "float32", description="bf16 and fp16 compute most of the network in 16 bits (autocast)"
    )
    channels_last: bool = Field(False, description="images in the memory order that CPUs and tensor cores like")
    compile: bool = Field(False, description="torch.compile: pays off in long trainings; needs a C++ compiler on CPU")
    checkpoint_every: Whole = Field(
        1, ge=0, le=1_000_000, description="epochs between checkpoints (0: only when interrupted, and at the end)"
    )
    stall_seconds: float = Field(
        1800,
        ge=0,
        le=604_800,
        description="seconds without a step, a validated batch or a checkpoint, after which the process ends (71); 0: never",
    )

    # ---- results
    baselines: bool = Field(
        True, description="log beside the result what a constant and a linear model reach (baseline_*)"
    )
    log_every: Whole = Field(
        10, ge=0, le=1_000_000, description="steps between values of step_loss and step_lr; 0: none"
    )
    log_model: bool = Field(
        True, description="keep the final model with the results in MLflow, to be loaded with mlflow.pyfunc"
    )
    mistakes: bool = Field(
        True,
        description="keep what the model gets most wrong with the results in MLflow: samples, classes, suspicious labels",
    )
    tensorboard: bool = Field(
        True, description="write event files for TensorBoard, kept with the results in MLflow and beside checkpoints"
    )
    profile_steps: Whole = Field(
        0, ge=0, le=1000, description="steps, near the start, of which a profiler's trace is kept; 0: none"
    )
    tracking_patience: float = Field(
        120, ge=0, le=86_400, description="seconds to go on trying, after the last epoch, to deliver results"
    )

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        for rule in RULES:
            if rule.broken(self):
                raise ValueError(f"{rule.name}: {rule.message}")
        return self


class Problem(NamedTuple):
    """One reason why settings cannot work. `where` and `name` locate it, `message` says what was found and allowed."""

    where: Where
    name: str
    message: str


@cache
def properties() -> Mapping[str, Mapping[str, Any]]:
    """Name → JSON schema of each setting, in the order of the model."""
    found: Mapping[str, Mapping[str, Any]] = Settings.model_json_schema()["properties"]
    return found


def allowed(name: str) -> str:
    """What setting `name` may be, in words: "a number, 0 < lr ≤ 100"."""
    schema = properties()[name]
    if text := schema.get("allowed"):
        return str(text)
    if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return " | ".join(choices)
    if schema["type"] == "boolean":
        return "true | false"
    if schema["type"] == "string":
        return f"a text of up to {schema['maxLength']} characters" + (", not empty" if "minLength" in schema else "")
    kind = {"integer": "an integer", "number": "a number"}[schema["type"]]
    low = next((f"{schema[key]} {sign} " for key, sign in _LOW if key in schema), "")
    high = next((f" {sign} {_short(schema[key])}" for key, sign in _HIGH if key in schema), "")
    return f"{kind}, {low}{name}{high}"


def spelled(value: object) -> str:
    """A setting's value as text: strings as they are, the rest as JSON has it (`true`, `0.001`)."""
    return value if isinstance(value, str) else json.dumps(value)


_LOW = (("minimum", "≤"), ("exclusiveMinimum", "<"))
_HIGH = (("maximum", "≤"), ("exclusiveMaximum", "<"))


def _short(bound: float) -> str:
    return "2^63" if bound == 2**63 else f"{bound}"


@cache
def adapter(name: str) -> TypeAdapter[Any]:
    """The validator of the one setting `name`: lax for strings (`validate_strings`), strict for JSON values."""
    return TypeAdapter(Settings.model_fields[name].rebuild_annotation())


def value_problem(name: str, value: object) -> str | None:
    """Why the setting `name` cannot be `value`, a value as JSON has it; None if it can."""
    if name not in Settings.model_fields:
        return f"no such setting; {_nearest(name)}"
    try:
        adapter(name).validate_python(value, strict=True)
    except ValidationError:
        return f"found {json.dumps(value, default=repr)}, allowed: {allowed(name)}"
    return None


def _nearest(name: str) -> str:
    if near := difflib.get_close_matches(name, Settings.model_fields, n=1):
        return f"did you mean {near[0]!r}?"
    return f"there are: {', '.join(Settings.model_fields)}"


def check_settings(
    settings: Mapping[str, object], parameters: Mapping[str, Sequence[object]] | None = None
) -> list[Problem]:
    """Every reason why a sweep with these fixed `settings` and searched `parameters` could not train.

    `parameters` maps each searched parameter's name to values that it may take: all choices of a list, the two limits
    of a range (with a point between where it is continuous), or none to check the name alone. A parameter overrides
    the setting of its name. An empty list means: nothing known against it.
    """
    parameters = parameters or {}
    unknown = [name for name in parameters if name not in Settings.model_fields]
    problems = [
        *(Problem("settings", name, text) for name, value in settings.items() if (text := value_problem(name, value))),
        *(Problem("parameters", name, f"no such setting; {_nearest(name)}") for name in unknown),
        *(
            Problem("parameters", name, text)
            for name, values in parameters.items()
            for value in values
            if name not in unknown and (text := value_problem(name, value))
        ),
    ]
    return problems or _broken_rules({k: v for k, v in settings.items() if k not in parameters}, searched=parameters)


def _broken_rules(fixed: Mapping[str, object], *, searched: Collection[str]) -> list[Problem]:
    """The rules that the fixed settings and the defaults break, whatever the searched parameters turn out to be."""
    values = Settings.model_construct(**{name: adapter(name).validate_python(value) for name, value in fixed.items()})
    return [
        Problem("settings", rule.name, rule.message)
        for rule in RULES
        if rule.parts.isdisjoint(searched) and rule.broken(values)
    ]
