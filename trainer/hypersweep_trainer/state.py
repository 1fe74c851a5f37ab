"""What a checkpoint holds of a training, and how a training goes on from it: bit by bit as if nothing had happened.

Owns which parts there are. Tensors and plain values only, so that reading them runs no code; how they lie on the disk is
`checkpoint.py`'s. Refuses to go on from a training with other settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.settings import MAY_CHANGE, Settings

if TYPE_CHECKING:
    from hypersweep_trainer.train import Training

PROGRESS = ("epoch", "batch", "order", "loss_sum", "seconds", "bounds")


def state_of(training: Training) -> dict[str, Any]:
    """Everything that `restore` needs."""
    processes, device = training.processes, training.device.type
    state = {name: getattr(training, name) for name in PROGRESS}
    state |= {"model": training.model.state_dict(), "optimizer": training.optimizer.state_dict()}
    state |= {
        "plateau": training.plateau.state(),
        "scaler": training.scaler.state_dict(),
        "watch": training.watch.state(),
    }
    state |= {"averages": training.averages.state()} if training.averages else {}
    state |= {"shuffle": training.shuffle.get_state(), "rng": processes.of_each(torch.get_rng_state())}
    if device != "cpu":
        state["device_rng"] = processes.of_each(getattr(torch, device).get_rng_state())
    return state | {"settings": training.settings.model_dump()}


def restore(training: Training, state: dict[str, Any]) -> None:
    """Go on from `state`. Raises BadInputError if it is of a training with other settings.

    An older version's lacks parts that came later: what was seen is seen anew, and its new settings were at their defaults.
    """
    then, now = Settings().model_dump() | state["settings"], training.settings.model_dump(exclude=MAY_CHANGE)
    if differing := [f"{name} {then[name]}, now {now[name]}" for name in now if then[name] != now[name]]:
        raise BadInputError(f"checkpoint directory: found a training with other settings ({'; '.join(differing)})")
    for name in PROGRESS:
        setattr(training, name, state.get(name, getattr(training, name)))
    try:
        training.model.load_state_dict(state["model"])
    except RuntimeError as error:  # the same settings, but code of the user's that has changed
        reason = " ".join(str(error).split())
        raise BadInputError(f"checkpoint directory: found weights of another model: {reason[:500]}") from None
    training.optimizer.load_state_dict(state["optimizer"])
    training.plateau.restore(state["plateau"])
    training.scaler.load_state_dict(state["scaler"])
    if "watch" in state:
        training.watch.restore(state["watch"])
    if training.averages:
        training.averages.restore(state["averages"])
    training.shuffle.set_state(state["shuffle"])
    rank, device = training.processes.rank, training.device.type
    if rank < len(state["rng"]):  # else there are more processes than there were
        torch.set_rng_state(state["rng"][rank])
        if "device_rng" in state and device != "cpu":
            getattr(torch, device).set_rng_state(state["device_rng"][rank])
