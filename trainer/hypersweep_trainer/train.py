"""Train a small model on digits: data, model, optimizer, loop. Read it from top to bottom.

Owns the training itself. Where results go (`tracking.py`), how files survive a crash (`checkpoint.py`) and what the
settings may be (`settings.py`) is decided elsewhere; nothing here knows of sweeps.
"""

from __future__ import annotations

import logging
import math
import time
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hypersweep_trainer.checkpoint import Checkpoints
from hypersweep_trainer.exits import BadInputError, InfeasibleError, Interrupted
from hypersweep_trainer.options import Job
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.startup import Interruption, defer_compiler
from hypersweep_trainer.tracking import Metrics, Tracker

log = logging.getLogger(__name__)

CLASSES = 10
SIDE = 8  # pixels

# ---------------------------------------------------------------------------------------------------------------- data


class Data(NamedTuple):
    """Images as floats (samples, 1, 8, 8), labels as integers (samples,), both on the device that trains."""

    train_x: Tensor
    train_y: Tensor
    val_x: Tensor
    val_y: Tensor


def load_digits(settings: Settings, device: torch.device) -> Data:
    """scikit-learn's digits, split by class with a fixed seed, standardised by what the training part shows."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise BadInputError("task: found digits, but scikit-learn, which ships them, is not installed")
    # The file itself, because importing scikit-learn costs every trial 4 s: 64 pixels (0 to 16) and the label per line.
    table = np.loadtxt(Path(package.origin).parent / "datasets/data/digits.csv.gz", delimiter=",", dtype=np.float32)
    x, y = torch.from_numpy(table[:, :-1]), torch.from_numpy(table[:, -1]).long()

    val = stratified_sample(y, fraction=settings.val_fraction, seed=settings.split_seed)
    mean, std = x[~val].mean(0), x[~val].std(0)
    std[std == 0] = 1  # pixels at the border that are blank in every training image
    x = ((x - mean) / std).view(-1, 1, SIDE, SIDE).to(device)
    y, val = y.to(device), val.to(device)
    return Data(x[~val], y[~val], x[val], y[val])


def stratified_sample(labels: Tensor, *, fraction: float, seed: int) -> Tensor:
    """A boolean mask (samples,) that holds about `fraction` of each class, and the same one for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():  # type: ignore[no-untyped-call]
        members = (labels == label).nonzero().flatten()
        chosen = torch.randperm(len(members), generator=generator)[: round(fraction * len(members))]
        mask[members[chosen]] = True
    return mask


# -------------------------------------------------------------------------------------------------- model and optimizer


def make_model(settings: Settings) -> nn.Sequential:
    """The network: images in, one logit per class out."""
    return make_mlp(settings) if settings.model == "mlp" else make_cnn(settings)


def make_mlp(settings: Settings) -> nn.Sequential:
    """`layers` hidden layers of `width` units, then the logits."""
    sizes = [SIDE * SIDE] + [settings.width] * settings.layers
    hidden: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        hidden += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(settings.dropout)]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], CLASSES))


def make_cnn(settings: Settings) -> nn.Sequential:
    """`layers` 3x3 convolutions of `width` channels, the first two followed by pooling (8 → 4 → 2), then the logits."""
    channels = [1] + [settings.width] * settings.layers
    hidden: list[nn.Module] = []
    for depth, (inputs, outputs) in enumerate(pairwise(channels)):
        hidden += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        hidden += [nn.MaxPool2d(2)] if depth < 2 else []
        hidden += [nn.Dropout(settings.dropout)]
    side = SIDE // 2 ** min(settings.layers, 2)
    return nn.Sequential(*hidden, nn.Flatten(), nn.Linear(channels[-1] * side * side, CLASSES))


def make_optimizer(settings: Settings, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer, given only those settings that it has."""
    defer_compiler()
    parameters, lr, decay = model.parameters(), settings.lr, settings.weight_decay
    match settings.optimizer:
        case "sgd":
            nesterov = settings.nesterov
            return torch.optim.SGD(parameters, lr=lr, momentum=settings.momentum, nesterov=nesterov, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(parameters, lr=lr, weight_decay=decay)
        case "rprop":
            return torch.optim.Rprop(parameters, lr=lr)


def learning_rate(settings: Settings, *, epoch: int, horizon: int) -> float:
    """The rate of the epoch, counted from 0. Rprop keeps its own step sizes: there is nothing to schedule."""
    if settings.schedule == "constant" or settings.optimizer == "rprop":
        return settings.lr
    return settings.lr * 0.5 * (1 + math.cos(math.pi * epoch / horizon))


def choose_device(name: str) -> torch.device:
    """The device that the setting asks for, which must be there."""
    present = ["cpu"] + ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    if name == "auto":
        return torch.device(present[-1])
    if name not in present:
        raise BadInputError(f"device: found {name}, allowed on this machine: {' | '.join(['auto', *present])}")
    return torch.device(name)


# ------------------------------------------------------------------------------------------------------------ training


# Settings that may differ between the attempts of one trial without changing what it computes.
MAY_CHANGE = {"epochs", "device", "threads", "checkpoint_every", "tracking_patience"}


class Training:
    """Model, optimizer, random numbers and how far they have come: what a checkpoint holds, what an epoch does."""

    def __init__(self, settings: Settings, *, horizon: int) -> None:
        """Set everything up as it is before the first epoch. `horizon` is the length of the schedule, in epochs."""
        torch.set_num_threads(settings.threads or torch.get_num_threads())
        torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms() would import the compiler
        torch.manual_seed(settings.seed)
        self.settings, self.horizon = settings, horizon
        self.device = choose_device(settings.device)
        self.data = load_digits(settings, self.device)
        self.model = make_model(settings).to(self.device)
        self.optimizer = make_optimizer(settings, self.model)
        self.shuffle = torch.Generator().manual_seed(settings.seed)  # of its own: dropout doesn't change the data order
        self.epoch = 0  # completed
        self._start_epoch()

    def _start_epoch(self) -> None:
        self.batch = 0  # completed in this epoch
        self.order = torch.randperm(len(self.data.train_y), generator=self.shuffle)
        self.loss_sum = 0.0
        self.seconds = 0.0

    def train_epoch(self, interruption: Interruption) -> Metrics:
        """Train from `batch` to the end of the epoch, and validate. Raises Interrupted between batches."""
        lr = learning_rate(self.settings, epoch=self.epoch, horizon=self.horizon)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        full = self.settings.optimizer == "rprop"  # its step sizes follow the sign of the whole gradient
        batches = torch.split(self.order, len(self.order) if full else self.settings.batch_size)
        for samples in batches[self.batch :]:
            if interruption.requested:
                raise Interrupted(f"asked to stop in epoch {self.epoch + 1}, after batch {self.batch}")
            self.train_batch(samples.to(self.device))
        metrics = {
            "train_loss": self.loss_sum / len(self.order),
            **self.validate(),
            "lr": lr,
            "samples_per_second": len(self.order) / self.seconds,
        }
        self.epoch += 1
        self._start_epoch()
        return metrics

    def train_batch(self, samples: Tensor) -> None:
        """One step of the optimizer on the samples of these indices."""
        started = time.perf_counter()
        self.model.train()
        loss = cross_entropy(self.model(self.data.train_x[samples]), self.data.train_y[samples])
        if not math.isfinite(value := loss.item()):
            raise InfeasibleError(f"the loss is {value} in epoch {self.epoch + 1}, batch {self.batch + 1}")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.loss_sum += value * len(samples)
        self.batch += 1
        self.seconds += time.perf_counter() - started

    @torch.no_grad()
    def validate(self) -> Metrics:
        """Loss and accuracy on the validation part."""
        self.model.eval()
        logits = self.model(self.data.val_x)
        loss = cross_entropy(logits, self.data.val_y).item()
        accuracy = (logits.argmax(1) == self.data.val_y).float().mean().item()
        return {"val_loss": loss, "val_accuracy": accuracy}

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs to go on bit by bit as if nothing had happened: tensors and plain values."""
        state = {name: getattr(self, name) for name in ("epoch", "batch", "order", "loss_sum", "seconds")}
        state |= {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {"shuffle": self.shuffle.get_state(), "rng": torch.get_rng_state()}
        if self.device.type != "cpu":
            state["device_rng"] = getattr(torch, self.device.type).get_rng_state()
        return state | {"settings": self.settings.model_dump()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`. Raises BadInputError if it is of a training with other settings."""
        then, now = state["settings"], self.settings.model_dump(exclude=MAY_CHANGE)
        if differing := [f"{name} {then.get(name)}, now {now[name]}" for name in now if then.get(name) != now[name]]:
            raise BadInputError(f"checkpoint directory: found a training with other settings ({'; '.join(differing)})")
        for name in ("epoch", "batch", "order", "loss_sum", "seconds"):
            setattr(self, name, state[name])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.shuffle.set_state(state["shuffle"])
        torch.set_rng_state(state["rng"])
        if "device_rng" in state and self.device.type != "cpu":
            getattr(torch, self.device.type).set_rng_state(state["device_rng"])


def train(job: Job, *, tracker: Tracker, interruption: Interruption) -> None:
    """Train up to `job.budget` epochs, going on from the newest checkpoint; every result goes to `tracker`.

    Raises Interrupted (after a checkpoint), InfeasibleError, BadInputError, UndeliveredError.
    """
    settings = job.settings
    # A budget is where to stop, not what to plan for: the rates of a trial that is promoted to a larger one agree.
    training = Training(settings, horizon=max(settings.epochs, job.budget))
    checkpoints = Checkpoints(job.checkpoint_dir) if job.checkpoint_dir else None
    if checkpoints and (found := checkpoints.latest()):
        training.restore(found["training"])
        tracker.restore(found["tracking"])
        log.info("going on from epoch %d, batch %d", training.epoch, training.batch)

    def save() -> None:
        if checkpoints is not None:
            state = {"training": training.state(), "tracking": tracker.state()}
            checkpoints.save(state, epoch=training.epoch, batch=training.batch)

    interruption.graceful = True
    try:
        while training.epoch < job.budget:
            metrics = training.train_epoch(interruption)
            tracker.log(metrics, step=training.epoch)
            if not math.isfinite(metrics["val_loss"]):
                raise InfeasibleError(f"val_loss is {metrics['val_loss']} after epoch {training.epoch}")
            every = settings.checkpoint_every or job.budget
            if training.epoch % every == 0 or training.epoch == job.budget:
                save()
    except Interrupted:
        save()
        if checkpoints is None:
            log.warning("no checkpoint directory: what was learnt is lost")
        raise
    tracker.deliver(patience=settings.tracking_patience, interrupted=lambda: interruption.requested)
