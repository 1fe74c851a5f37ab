"""Published values as a first trial: what the built-in trainer's presets say of the parameters that are searched.

Owns which published values a space can take, and which it cannot, with their sources. The values themselves, one per model
and optimizer, are the trainer's (`hypersweep_trainer.presets`). Which model and optimizer is meant: the initial trial's own
parameter, else the fixed setting, else the trainer's default where it is searched, else the first value that is.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from hypersweep.core.domain import Choices
from hypersweep.core.errors import Problem
from hypersweep.core.space import Dimension, Space
from hypersweep.core.spec import SweepSpec
from hypersweep_trainer.presets import Preset, for_settings, published
from hypersweep_trainer.settings import properties

_SELECTORS = ("model", "optimizer")


def values(spec: SweepSpec, space: Space, given: Mapping[str, Any]) -> dict[str, Any]:
    """The published values that parameters of the space can have, beside what the initial trial gives itself."""
    preset, chosen = _preset(spec, space, given)
    fitting = {
        d.name: v for d in space.dimensions if (v := _value(preset, d)) is not None and d.domain.problem(v) is None
    }
    return {**chosen, **fitting}


def left_out(spec: SweepSpec) -> Iterator[Problem]:
    """Published values that lie outside what is searched, so that another is tried in their place."""
    space = Space.of(spec)
    for i, initial in enumerate(spec.initial_trials):
        if initial.defaults is None:
            continue
        preset, _ = _preset(spec, space, initial.parameters)
        for d in space.dimensions:
            value = _value(preset, d)
            if value is not None and d.name not in initial.parameters and (wrong := d.domain.problem(value)):
                said = f"{value} is published for {d.name} ({preset[d.name].source}), but cannot be tried: {wrong}"
                yield Problem(f"spec.initialTrials[{i}].defaults", said)


def _preset(spec: SweepSpec, space: Space, given: Mapping[str, Any]) -> tuple[Preset, dict[str, Any]]:
    """What is published for the model and the optimizer of this trial; and those two, where they are searched."""
    fixed = spec.trainer.settings if spec.trainer is not None else {}
    searched = {d.name: d for d in space.dimensions if d.name in _SELECTORS and d.name not in given}
    chosen = {name: _choice(d) for name, d in searched.items()}
    model, optimizer = for_settings({**fixed, **chosen, **given})
    return published(model, optimizer), chosen


def _choice(dimension: Dimension) -> Any:
    own = dimension.default or properties()[dimension.name]["default"]
    choices = dimension.domain
    return own if choices.problem(own) is None or not isinstance(choices, Choices) else choices.at(0)


def _value(preset: Preset, dimension: Dimension) -> Any:
    return preset[dimension.name].value if dimension.name in preset else None
