"""Train a model: data, model, loss, optimizer, loop. Read it from top to bottom.

Owns the training itself. What there is to choose from stands beside it, one idea a file: `data/`, `models/`,
`losses.py`, `optimizers.py`, `schedules.py`, `metrics.py`. Where results go (`tracking.py`), how files survive a crash
(`checkpoint.py`), what goes wrong on the way (`watch.py`) and what the settings may be (`settings.py`) is decided
elsewhere; nothing here knows of sweeps.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from hypersweep_trainer import mistakes
from hypersweep_trainer.averages import Averages
from hypersweep_trainer.baselines import baselines
from hypersweep_trainer.checkpoint import Checkpoints
from hypersweep_trainer.cycle import find_bounds
from hypersweep_trainer.data import load
from hypersweep_trainer.data.prefetch import batches_of
from hypersweep_trainer.device import autocast, choose_device, make_reproducible, peak_memory
from hypersweep_trainer.events import non_finite
from hypersweep_trainer.exits import InfeasibleError, Interrupted
from hypersweep_trainer.final_model import keep_model
from hypersweep_trainer.fingerprint import details
from hypersweep_trainer.losses import make_loss
from hypersweep_trainer.metrics import Scorer, make_scorer
from hypersweep_trainer.models import make_model
from hypersweep_trainer.optimizers import make_optimizer
from hypersweep_trainer.options import Job
from hypersweep_trainer.processes import LEAST, Processes, join
from hypersweep_trainer.rules import FULL_BATCH
from hypersweep_trainer.schedules import Plan, Plateau, learning_rate
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.stall import Watchdog
from hypersweep_trainer.startup import Interruption
from hypersweep_trainer.state import restore, state_of
from hypersweep_trainer.tensorboard import board
from hypersweep_trainer.tracking import Metrics, Tracker
from hypersweep_trainer.watch import Watch

log = logging.getLogger(__name__)

AT_ONCE = 2**20  # numbers, at most, that are validated together: not batch_size, which must not change a result
PHASES = ("data", "forward", "backward", "optimizer")


class Training:
    """Model, optimizer, random numbers and how far they have come (`state.py` has what a checkpoint holds of it)."""

    def __init__(self, settings: Settings, *, horizon: int, processes: Processes | None = None) -> None:
        """Set everything up as it is before the first epoch. `horizon` is the length of the plan, in epochs."""
        make_reproducible(settings)
        self.settings, self.horizon, self.processes = settings, horizon, processes or Processes()
        self.device = choose_device(settings.device)
        self.data = load(settings, self.device)
        layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.model = make_model(settings, self.data).to(self.device).to(memory_format=layout)
        network = self.processes.wrapped(self.model)
        self.forward = torch.compile(network) if settings.compile else network
        self.loss = make_loss(settings, self.data)
        self.optimizer = make_optimizer(settings, self.model)
        self.plateau = Plateau(settings)
        self.averages = Averages(self.model, decay=settings.ema) if settings.ema else None
        # fp16 has no room for small gradients: the loss is scaled up, and what becomes infinite is left out.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        if not self.processes.first:  # weights are the same everywhere, what is dropped out is not
            torch.manual_seed(settings.seed + self.processes.rank)
        self.shuffle = torch.Generator().manual_seed(settings.seed)  # of its own: dropout doesn't change the data order
        self.scorers: dict[str, Scorer] = {}  # of the last look at each part
        self.bounds: tuple[float, float] | None = None  # of a triangular schedule, if the range test found them
        self.norm: Tensor | None = None  # of the last gradient, before it was clipped
        self.watch = Watch(self)
        self.beat: Callable[[], None] = lambda: None  # called when something is completed: see `stall.py`
        self.epoch = 0  # completed
        self._start_epoch()
        self.plan = Plan(steps=horizon * len(self.batches()), per_epoch=len(self.batches()))

    def _start_epoch(self) -> None:
        self.batch = 0  # completed in this epoch
        self.order = torch.randperm(len(self.data.train), generator=self.shuffle)
        self.loss_sum = 0.0
        self.seconds = dict.fromkeys(PHASES, 0.0)

    @property
    def step(self) -> int:
        """Steps of the optimizer so far."""
        return self.epoch * self.plan.per_epoch + self.batch

    def batches(self) -> list[Tensor]:
        """The epoch's samples, batch by batch."""
        samples = self.data.train[self.order.to(self.data.train.device)]
        size = len(samples) if self.settings.optimizer in FULL_BATCH else self.settings.batch_size
        parts = list(torch.split(samples, size))
        if len(parts) > 1 and len(parts[-1]) < LEAST * self.processes.size:
            last = parts.pop()
            parts[-1] = torch.cat([parts[-1], last])
        return parts

    def train_epoch(self, interruption: Interruption, tracker: Tracker | None = None) -> Metrics:
        """Train from `batch` to the end of the epoch, and validate. Raises Interrupted between batches."""
        lr = self.train_batches(interruption, tracker)
        own = {"train_loss": self.loss_sum / len(self.order), **self.evaluate(self.data.val, "val"), "lr": lr}
        metrics: Metrics = self.processes.told_by_first(own)
        self.plateau.see(metrics["val_loss"])
        self.watch.epoch(metrics, tracker)
        self.epoch += 1
        if self.epoch == self.horizon and len(self.data.test):  # the one look at the test part
            metrics |= self.evaluate(self.data.test, "test")
        metrics |= self.usage()
        self._start_epoch()
        return metrics

    def train_batches(self, interruption: Interruption, tracker: Tracker | None = None) -> float:
        """Train from `batch` to the end of the epoch; the last learning rate. Raises Interrupted, InfeasibleError."""
        self.model.train()
        every = self.settings.log_every
        began = time.perf_counter()
        batches = self.batches()[self.batch :]
        parts = [self.processes.part(batch) for batch in batches]
        for batch, (x, y) in zip(batches, batches_of(self.data, parts), strict=True):
            if self.processes.any(wish=interruption.requested):
                raise Interrupted(f"asked to stop in epoch {self.epoch + 1}, after batch {self.batch}")
            self.seconds["data"] += time.perf_counter() - began
            lr = self.set_rate()
            value = self.train_batch(x, y, samples=len(batch))
            self.watch.batch(value, tracker)
            if tracker and every and self.step % every == 0:
                tracker.log_step({"step_loss": value, "step_lr": lr}, step=self.step)
            began = time.perf_counter()
        return lr

    def set_rate(self) -> float:
        """Give the optimizer the learning rate of the step to come."""
        lr = learning_rate(self.settings, self.plan, self.step, bounds=self.bounds) * self.plateau.factor
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        return lr

    def train_batch(self, x: Tensor, y: Tensor, *, samples: int | None = None) -> float:
        """One step of the optimizer; the loss before it. Raises InfeasibleError if that is not finite.

        `samples` are in the whole batch, where other processes compute parts of it.
        """
        samples = samples or len(x)
        if self.settings.optimizer == "lbfgs":  # looks at the loss several times
            began = time.perf_counter()
            value = float(self.optimizer.step(lambda: self.gradient(x, y, samples=samples)))
            self._finite(value)
        else:
            value = float(self.gradient(x, y, samples=samples))
            self._finite(value)
            began = time.perf_counter()
            if self.settings.clip_norm:
                self.scaler.unscale_(self.optimizer)  # type: ignore[arg-type]
                self.norm = clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
            self.scaler.step(self.optimizer)  # type: ignore[arg-type]
            self.scaler.update()
        if self.averages:
            self.averages.follow(self.model)
        self.loss_sum += value * samples
        self.batch += 1
        self.seconds["optimizer"] += time.perf_counter() - began
        return value

    def gradient(self, x: Tensor, y: Tensor, *, samples: int) -> Tensor:
        """The loss of the batch, its gradient left in the weights; computed in as many parts as the settings say."""
        self.optimizer.zero_grad()
        size = math.ceil(len(x) / self.settings.accumulate)
        parts = zip(torch.split(x, size), torch.split(y, size), strict=True) if size < len(x) else [(x, y)]
        share = self.processes.share
        losses = [self._backward(some, truth, share=share(len(some), of=samples)) for some, truth in parts]
        return self.processes.mean(losses[0] if len(losses) == 1 else torch.stack(losses).sum())

    def _backward(self, x: Tensor, y: Tensor, *, share: float) -> Tensor:
        began = time.perf_counter()
        with autocast(self.settings, self.device):
            loss = self.loss(self.forward(x), y)
        if share != 1:
            loss = loss * share
        forwarded = time.perf_counter()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.seconds["forward"] += forwarded - began
        self.seconds["backward"] += time.perf_counter() - forwarded
        self.beat()
        return loss.detach()

    def _finite(self, value: float) -> None:
        if not math.isfinite(value):
            raise InfeasibleError(f"the loss is {value} in epoch {self.epoch + 1}, batch {self.batch + 1}")

    def usage(self) -> Metrics:
        """What the epoch took of time, by phase of a step, and of memory; and how large the model is."""
        busy = sum(self.seconds.values())
        shares = {f"seconds_{phase}": seconds for phase, seconds in self.seconds.items()}
        weights = float(sum(part.numel() for part in self.model.parameters()))
        size = {"memory_mb": peak_memory(self.device), "weights": weights}
        return {**shares, "samples_per_second": len(self.order) / busy, **size}

    @torch.no_grad()
    def evaluate(self, part: Tensor, name: str) -> Metrics:
        """Loss and metrics on a part of the data; with averaged weights where there are some."""
        self.model.eval()
        self.scorers[name] = scorer = make_scorer(self.data)
        loss_sum = 0.0
        for x, y in batches_of(self.data, torch.split(part, max(1, AT_ONCE // math.prod(self.data.shape)))):
            with autocast(self.settings, self.device):
                output = self.averages.answer(self.model, x) if self.averages else self.forward(x)
                loss_sum += self.loss(output, y).item() * len(x)
            scorer.add(output, y)
            self.beat()
        loss = loss_sum / len(part)
        scores = scorer.scores() if math.isfinite(loss) else {}
        return {f"{name}_loss": loss, **{f"{name}_{metric}": value for metric, value in scores.items()}}

    def answer(self, x: Tensor) -> Tensor:
        """The model's output, of this process alone; with averaged weights where there are some."""
        with autocast(self.settings, self.device):
            return self.averages.answer(self.model, x) if self.averages else self.model(x)


def train(job: Job, *, tracker: Tracker, interruption: Interruption, watchdog: Watchdog | None = None) -> None:
    """Train up to `job.budget` epochs, going on from the newest checkpoint; every result goes to `tracker`.

    Raises Interrupted (after a checkpoint), InfeasibleError, BadInputError, UndeliveredError.
    """
    settings = job.settings
    # A budget is where to stop, not what to plan for: the rates of a trial that is promoted to a larger one agree.
    horizon = max(settings.epochs, job.budget)
    processes = join(job.rank, job.processes, settings=settings, device=choose_device(settings.device))
    watchdog = watchdog or Watchdog()
    training = Training(settings, horizon=horizon, processes=processes)
    training.beat = watchdog.beat
    watchdog.beat()  # data were read
    checkpoints = Checkpoints(job.checkpoint_dir) if job.checkpoint_dir and processes.first else None
    found = processes.told_by_first(checkpoints.latest() if checkpoints else None)
    if found:
        restore(training, found["training"])
        tracker.restore(found["tracking"])
        log.info("going on from epoch %d, batch %d", training.epoch, training.batch)
    tracker.begin(job.checkpoint_dir)
    training.bounds = training.bounds if found else find_bounds(training, tracker)
    if tracker.directory:
        tracker.describe(details(settings, training.data, training.model, checkpoints=job.checkpoint_dir))

    def save() -> None:
        if job.checkpoint_dir is not None:  # all processes say where they are, the first one writes
            state = {"training": state_of(training), "tracking": tracker.state()}
            if checkpoints is not None:
                checkpoints.save(state, epoch=training.epoch, batch=training.batch)
        watchdog.beat()

    try:
        with board(training, tracker, tracker.directory or job.checkpoint_dir, searched=job.searched):
            if settings.baselines and not found and processes.first:
                tracker.log_baselines(baselines(training.data))
                watchdog.beat()
            interruption.graceful = True
            _train_epochs(training, job, tracker, interruption, save)
    except Interrupted:
        save()
        if job.checkpoint_dir is None:
            log.warning("no checkpoint directory: what was learnt is lost")
        raise
    except InfeasibleError as error:
        if processes.first:
            validated = math.isfinite(tracker.metrics.get("val_loss", 0.0))  # else that was it
            tracker.log_event(non_finite(str(error), epoch=training.epoch + validated))
        raise
    finally:
        training.forward = training.model  # lets go of the group, which ends only then
        processes.leave()
    mistakes.keep(training, tracker)
    keep_model(training, tracker)
    watchdog.close()  # delivery has a bound of its own
    tracker.deliver(patience=settings.tracking_patience, interrupted=lambda: interruption.requested)


def _train_epochs(
    training: Training, job: Job, tracker: Tracker, interruption: Interruption, save: Callable[[], None]
) -> None:
    while training.epoch < job.budget:
        metrics = training.train_epoch(interruption, tracker)
        tracker.log(metrics, step=training.epoch)
        if not math.isfinite(metrics["val_loss"]):
            raise InfeasibleError(f"val_loss is {metrics['val_loss']} after epoch {training.epoch}")
        every = training.settings.checkpoint_every or job.budget
        if training.epoch % every == 0 or training.epoch == job.budget:
            save()
