"""The best model of a sweep that is complete: whose it is, and what the status says of its registration. Pure.

`Said` is the status's `registeredModel`; the condition ModelRegistered and its Event follow from it.
"""

from collections.abc import Mapping
from typing import Any

from hypersweep.core.aim import Aim
from hypersweep.core.leaders import Leaders
from hypersweep.core.spec import OnComplete, SweepSpec
from hypersweep.core.trial import Trial

Said = Mapping[str, Any]

FIELD, CONDITION = "registeredModel", "ModelRegistered"  # of the status
PENDING, REGISTERED, NOT_REGISTERED = "Pending", "Registered", "NotRegistered"


def chosen(spec: SweepSpec, leaders: Leaders) -> Trial | None:
    """The trial whose model it is: the best, or the one of the Pareto front that is best in the objective asked for."""
    choice = spec.on_complete.choose if spec.on_complete is not None else None
    if choice is None:
        return leaders.best
    place = [o.metric for o in spec.objectives].index(choice.metric)
    sign = Aim.of(spec).signs[place]
    return min(leaders.front, key=lambda trial: (sign * trial.values[place], trial.index), default=None)


def asked(wanted: OnComplete) -> dict[str, Any]:
    """What the status says of every registration: name and alias."""
    return {"name": wanted.register_model} | ({"alias": wanted.alias} if wanted.alias else {})


def told(wanted: OnComplete) -> str:
    """What is asked for, for people."""
    choice = "the best trial's model" if wanted.choose is None else f"the model that is best in {wanted.choose.metric}"
    return f"{choice} becomes a version of {wanted.register_model}" + (f"@{wanted.alias}" if wanted.alias else "")


def condition(said: Said) -> tuple[bool, str, str]:
    """Whether the model is registered, why (not) in a word, and for people. `said` is empty until the sweep has ended."""
    if not said:
        return False, "SweepNotEnded", "the model is registered when the sweep is complete"
    return said["state"] == REGISTERED, said.get("reason") or said["state"], said.get("message", "")
