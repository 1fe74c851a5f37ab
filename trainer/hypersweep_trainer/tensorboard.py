"""TensorBoard: everything about a training in one event file, to be laid beside those of other trials.

Owns what is written, under which tag and how often: curves as they come, histograms once an epoch at most and fifty
times in all, pictures three times (first epoch, half of them, end). Refuses to cost a training more than that: an error
here switches it off with one warning, and no random number of torch's is drawn. The files become artifacts of the run,
in the folder `tensorboard`.
"""

from __future__ import annotations

import functools
import logging
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import torch
from torch import Tensor

from hypersweep_trainer import pictures
from hypersweep_trainer.events import Event
from hypersweep_trainer.hparams import Messages, messages
from hypersweep_trainer.judged import drawn
from hypersweep_trainer.profiling import Profiler
from hypersweep_trainer.tracking import Listener, Metrics, Tracker

if TYPE_CHECKING:
    from hypersweep_trainer.train import Training

log = logging.getLogger(__name__)

FOLDER = "tensorboard"  # beside the checkpoints, and among a run's artifacts
GROUPS = ("train", "val", "test", "step", "seconds", "baseline")  # val_loss is shown as val/loss: one section each
HISTOGRAMS = 50  # times, at most
WRITER = "tensorboard.summary.writer.event_file_writer"  # the module of the thread that writes
VALUES = 2**16  # of a weight, at most, that a histogram counts

P = ParamSpec("P")


def harmless(method: Callable[Concatenate[Any, P], None]) -> Callable[Concatenate[Any, P], None]:
    """A method that does nothing once one of them has failed."""

    @functools.wraps(method)
    def call(self: Any, /, *arguments: P.args, **options: P.kwargs) -> None:
        if self.failed:
            return
        try:
            method(self, *arguments, **options)
        except Exception as error:  # noqa: BLE001  # a full disk, an odd model: no reason to lose a training
            self.failed = True
            log.warning("TensorBoard: %s: %s (no more is written for it)", type(error).__name__, error)

    return call


class Board(Listener):
    """Writes one training's event file; listens to the tracker for what is measured."""

    def __init__(self, folder: Path, training: Training, *, searched: Collection[str] = ()) -> None:
        """`folder` is kept between attempts: each adds a file. `searched` are settings that the trials differ in."""
        self.folder, self.failed = folder, False
        self._training, self._searched = training, searched
        self._epoch = 0  # the last one of this attempt
        self._profiler: Profiler | None = None
        self._open()

    @harmless
    def _open(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        training = self._training
        self._writer = SummaryWriter(str(self.folder), max_queue=1000)
        self._add(self._hparams().start)
        self._add_graph()
        if steps := training.settings.profile_steps:
            self._profiler = Profiler(training, self.folder, steps=steps, done=self._profiled)

    @harmless
    def log(self, metrics: Metrics, *, step: int) -> None:
        """One epoch's metrics, weights, gradients, and now and then pictures."""
        self._scalars(metrics, step=step)
        if not self._epoch:
            self._add(self._hparams(metrics).columns)
        self._epoch = step
        if step % max(1, self._training.horizon // HISTOGRAMS) == 0:
            self._histograms(step)
        if step in (1, (self._training.horizon + 1) // 2):
            self._pictures(step)

    @harmless
    def log_step(self, metrics: Metrics, *, step: int) -> None:
        """Values of one step of the optimizer."""
        self._scalars(metrics, step=step)

    @harmless
    def log_event(self, event: Event) -> None:
        """What goes wrong, as text."""
        self._writer.add_text(f"events/{event.name}", event.text, event.epoch)

    @harmless
    def close(self, *, ended: bool) -> None:
        """Finish the file; `ended`: the training came to its end."""
        if self._profiler:
            self._profiler.close()
        if ended and self._epoch:
            self._pictures(self._epoch)
            self._add(self._hparams().success)
        self._writer.flush()  # raises what its thread failed of, which closing it would not
        self._writer.close()

    def _hparams(self, metrics: Iterable[str] = ()) -> Messages:
        results = [tag(name) for name in metrics if name.startswith(("val_", "train_"))]
        results.sort(key=lambda name: name.startswith("train"))  # what is validated comes first
        return messages(self._training.settings.model_dump(), searched=self._searched, results=results)

    def _add(self, message: Any) -> None:
        self._writer._get_file_writer().add_summary(message)  # type: ignore[no-untyped-call]  # noqa: SLF001  # no other way

    def _scalars(self, metrics: Mapping[str, float], *, step: int) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(tag(name), value, step)

    def _histograms(self, step: int) -> None:
        for name, weight in self._training.model.named_parameters():
            self._histogram(f"weights/{name}", weight, step)
            if weight.grad is not None:
                self._histogram(f"gradients/{name}", weight.grad, step)

    def _histogram(self, name: str, values: Tensor, step: int) -> None:
        if len(found := some(values)):
            self._writer.add_histogram(name, found, step)

    def _pictures(self, step: int) -> None:
        for name, image in drawn(self._training).items():
            self._writer.add_image(f"predictions/{name}", pictures.pixels(image), step, dataformats="HWC")
        counts = getattr(self._training.scorers["val"], "confusion", None)
        if counts:
            image = pictures.table(counts(), self._training.data.classes)
            self._writer.add_image("predictions/confusion", pictures.pixels(image), step, dataformats="HWC")

    def _add_graph(self) -> None:
        training = self._training
        x, _ = training.data.batch(training.data.val[:1])
        training.model.eval()
        with warnings.catch_warnings(), torch.random.fork_rng(), torch.no_grad():
            warnings.simplefilter("ignore")  # of tracing: what it does not see is not shown
            # Traced here, since SummaryWriter would check the trace, for which torch imports its compiler: 4 s.
            traced = torch.jit.trace(training.model, x, check_trace=False)  # type: ignore[no-untyped-call]
            self._writer.add_graph(traced, x)

    def _profiled(self, report: str) -> None:
        self._writer.add_text("profile", f"```\n{report}\n```")


def tag(name: str) -> str:
    """Where a metric is shown: val_loss in the section `val`, as val/loss; lr is a setting's name too."""
    group, _, rest = ("train", "", name) if name == "lr" else name.partition("_")
    return f"{group}/{rest}" if rest and group in GROUPS else name


def some(values: Tensor) -> Tensor:
    """At most VALUES of them, evenly spaced; only what is finite can be counted (fp16 has batches that overflow)."""
    flat = values.detach().float().flatten()
    flat = flat[:: max(1, -(-len(flat) // VALUES))]
    return flat[flat.isfinite()].cpu()


@contextmanager
def board(
    training: Training, tracker: Tracker, folder: Path | None, *, searched: Collection[str] = ()
) -> Iterator[None]:
    """Write event files in `folder` while the block runs, and then keep them with the results; None: nowhere."""
    if folder is None or not training.settings.tensorboard or not training.processes.first:
        yield
        return
    with _quiet_writer():
        made = Board(folder / FOLDER, training, searched=searched)
        tracker.listeners.append(made)
        ended = False
        try:
            yield
            ended = True
        finally:
            tracker.listeners.remove(made)
            made.close(ended=ended)
            if made.folder.exists():
                tracker.log_file(made.folder, FOLDER)


@contextmanager
def _quiet_writer() -> Iterator[None]:
    """TensorBoard's thread prints no traceback when a disk is full: its next caller gets the error, and warns in one line."""
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if type(failed.thread).__module__ != WRITER:
            before(failed)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
