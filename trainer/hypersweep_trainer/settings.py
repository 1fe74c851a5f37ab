"""The trainer's settings: one typed model, without torch.

Everything else about them is derived from it: the command line and the environment (`options.py`), the table in the
docs (`reference.py`), and the check of a sweep's `trainer.settings` before any Job is made (`check_settings`).
Refuses to import more than pydantic: a process that only checks settings must not pay for training.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

Where = Literal["settings", "parameters"]


def _whole(value: object) -> object:
    """A JSON number such as 32.0 is the integer 32: not every JSON writer keeps the two apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


class Settings(BaseModel):
    """What a training is: data, model, optimizer, length. The defaults alone learn digits to 0.98."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    task: Literal["digits"] = Field(
        "digits", description="what is learnt: the 1,797 digits of 8x8 pixels in scikit-learn"
    )
    val_fraction: float = Field(0.2, ge=0.05, le=0.5, description="part of the data held out, stratified, to validate")
    split_seed: Whole = Field(
        0, ge=0, lt=2**63, description="seed of the split; not `seed`, so that trials share one split and compare"
    )

    model: Literal["mlp", "cnn"] = Field("mlp", description="fully connected, or 3x3 convolutions")
    layers: Whole = Field(2, ge=1, le=16, description="hidden layers (mlp) or convolutions (cnn)")
    width: Whole = Field(64, ge=1, le=65536, description="units per hidden layer, or channels per convolution")
    dropout: float = Field(0.0, ge=0, lt=1, description="probability of dropping a unit while training")

    optimizer: Literal["sgd", "adam", "rprop"] = Field(
        "adam", description="rprop uses the full batch, whatever batch_size"
    )
    lr: float = Field(0.001, gt=0, le=100, description="learning rate (rprop: the first step size)")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum (sgd only)")
    nesterov: bool = Field(False, description="Nesterov's momentum (sgd only; needs momentum above 0)")
    weight_decay: float = Field(0.0, ge=0, le=10, description="L2 penalty added to the gradient (sgd and adam)")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="learning rate over the epochs; cosine falls towards 0 (sgd and adam)"
    )

    epochs: Whole = Field(20, ge=1, le=1_000_000, description="passes over the data; HYPERSWEEP_BUDGET overrides it")
    batch_size: Whole = Field(64, ge=1, le=1_000_000, description="samples per step; the last batch may be smaller")
    seed: Whole = Field(
        0, ge=0, lt=2**63, description="seed of weights, dropout and data order; HYPERSWEEP_SEED is its default"
    )

    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto takes cuda or mps where present")
    threads: Whole = Field(1, ge=0, le=1024, description="CPU threads of torch; 0 leaves it to torch")
    checkpoint_every: Whole = Field(
        1, ge=0, le=1_000_000, description="epochs between checkpoints (0: only when interrupted, and at the end)"
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


class Rule(NamedTuple):
    """A combination of settings that cannot work: the one to blame, and all that take part in it."""

    name: str
    parts: frozenset[str]
    broken: Callable[[Settings], bool]
    message: str


RULES = (
    Rule(
        "nesterov",
        frozenset({"optimizer", "nesterov", "momentum"}),
        lambda s: s.optimizer == "sgd" and s.nesterov and s.momentum == 0,
        "found true with sgd and momentum 0, allowed: only with momentum above 0",
    ),
)


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
    if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return " | ".join(choices)
    if schema["type"] == "boolean":
        return "true | false"
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
