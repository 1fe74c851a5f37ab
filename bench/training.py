"""The built-in trainer against a hand-written loop and Lightning: samples per second, same model, data and machine.

Run it: python -m bench training [--epochs 4] [--rounds 21]

All three train the built-in model on the digits with Adam and batches of 64, one thread, and are timed over whole epochs
without validation. Rounds take turns, so that a busy machine slows all alike. Two ratios are printed, since either alone
can be luck: the median of the rounds' ratios with its middle half, and that of each loop's fastest round.
"""

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import torch
from torch.nn.functional import cross_entropy

from hypersweep_trainer.settings import Settings
from hypersweep_trainer.startup import Interruption
from hypersweep_trainer.train import Training

CASES = {
    "mlp, width 64": Settings(),
    "cnn, width 16": Settings(model="cnn", width=16),
}


def ours(settings: Settings, *, epochs: int) -> float:
    """Seconds of the trainer's own loop, with all that it does beside a step: rates, clocks, checks."""
    training = Training(settings, horizon=epochs)
    nobody = cast("Interruption", SimpleNamespace(requested=False))
    began = time.perf_counter()
    for _ in range(epochs):
        training.train_batches(nobody)
        training._start_epoch()  # noqa: SLF001
    return time.perf_counter() - began


def by_hand(settings: Settings, *, epochs: int) -> float:
    """Seconds of the loop that everybody writes first."""
    training = Training(settings, horizon=epochs)
    data, model = training.data, training.model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr)
    x, y = data.batch(data.train)
    began = time.perf_counter()
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(settings.batch_size):
            optimizer.zero_grad()
            loss = cross_entropy(model(x[chosen]), y[chosen])
            loss.backward()
            optimizer.step()
            loss.item()
    return time.perf_counter() - began


def lightning(settings: Settings, *, epochs: int) -> float:
    """Seconds of Lightning's loop, without its logger, checkpoints and progress bar; its start is not counted."""
    import lightning as peer  # noqa: PLC0415
    from torch.utils.data import DataLoader, TensorDataset  # noqa: PLC0415

    training = Training(settings, horizon=epochs)
    data = training.data

    class Module(peer.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = training.model
            self.began = self.seconds = 0.0

        def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
            return cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=settings.lr)

        def on_train_start(self) -> None:
            self.began = time.perf_counter()

        def on_train_end(self) -> None:
            self.seconds = time.perf_counter() - self.began

    loader = DataLoader(TensorDataset(*data.batch(data.train)), settings.batch_size, shuffle=True)
    module = Module()
    trainer = peer.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    return module.seconds


def measure(settings: Settings, *, epochs: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each loop in each round."""
    loops: dict[str, Callable[..., float]] = {"ours": ours, "by hand": by_hand, "lightning": lightning}
    found: dict[str, list[float]] = {name: [] for name in loops}
    for loop in loops.values():
        loop(settings, epochs=1)  # first calls pay for what is loaded
    for turn in range(rounds):
        for name in list(loops)[turn % 3 :] + list(loops)[: turn % 3]:
            found[name].append(loops[name](settings, epochs=epochs))
    return found


def main() -> None:
    """Print samples per second of all three, and the ratios; aimed at: 0.97 by hand, 1 with Lightning."""
    parser = argparse.ArgumentParser(
        prog="python -m bench training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=21)
    given = parser.parse_args()
    import lightning  # noqa: F401, PLC0415  # before the trainer puts torch's compiler off, which Lightning wants whole

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    for name, settings in CASES.items():
        found = measure(settings, epochs=given.epochs, rounds=given.rounds)
        samples = given.epochs * len(Training(settings, horizon=1).data.train)
        rates = "   ".join(f"{loop} {samples / min(times):8.0f}/s" for loop, times in found.items())
        print(f"{name}, fastest rounds:   {rates}")
        for loop in ("by hand", "lightning"):
            ratios = [theirs / own for own, theirs in zip(found["ours"], found[loop], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            fastest = min(found[loop]) / min(found["ours"])
            print(f"  ours against {loop:10} median {middle:5.2f} ({low:.2f} to {high:.2f})   fastest {fastest:5.2f}")


if __name__ == "__main__":
    main()
