"""What early stopping saves: python -m bench.stopping [--seeds 20] [--workers 8] [--trials 60] [--networks held-out].

Sweeps are replayed over real curves (bench/data/curves.npz, made by bench/curves.py): random trials, some workers, Jobs that take
time to start, an operator that acts a little later. The verdicts are the operator's own (core/stoppers). Told of each rule:
epochs trained and time taken, as parts of training everything; how often its best is within 1 % of the loss that training
everything finds, or that very trial; and the regret, as part of the way from the best trial to the median one.
"""

import argparse
import heapq
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hypersweep.core import stoppers
from hypersweep.core.spec import EarlyStopping
from hypersweep.core.stoppers import Mark, Marks, Table

CURVES = Path(__file__).parent / "data" / "curves.npz"
LOSS = 0  # of a point: loss, accuracy
RULES: dict[str, dict[str, Any] | None] = {
    "none": None,
    "ASHA, defaults": {"type": "ASHA", "asha": {"maxBudget": 27}},
    **{
        f"ASHA, {first}, factor {factor}": {
            "type": "ASHA",
            "asha": {"minBudget": first, "reductionFactor": factor, "maxBudget": 27},
        }
        for first, factor in ((1, 2), (1, 3), (2, 3), (2, 4), (3, 3))
    },
    "Median": {"type": "Median"},
}
HALVES = {"development": slice(200), "held-out": slice(200, None), "all": slice(None)}  # of each task's networks


@dataclass(frozen=True)
class Setting:
    """Times in epochs: what a Job takes to start, and how long after a point the operator acts on it."""

    workers: int
    start: float
    delay: float


@dataclass(frozen=True)
class Result:
    """What a sweep came to."""

    epochs: int
    time: float
    best: float  # least last loss of the trials that were trained to the end


class Sweep:
    """One sweep on a timeline of epochs. Each trial logs a point an epoch; a verdict takes effect a little later."""

    def __init__(self, losses: np.ndarray, rule: EarlyStopping | None, setting: Setting) -> None:
        self.losses, self.rule, self.setting = losses, rule, setting
        self.waiting = iter(range(len(losses)))
        self.queue: list[tuple[float, int, int]] = []  # when, trial, how many epochs it has trained by then
        self.table, self.marks = Table(), dict[int, Marks]()
        self.since: float | None = None
        self.gone: dict[int, float] = {}  # when the Job of a stopped trial goes
        self.epochs, self.best = 0, math.inf

    def run(self) -> Result:
        """From the first Job to the last."""
        now = 0.0
        for _ in range(self.setting.workers):
            self._launch(0.0)
        while self.queue:
            now, trial, epoch = heapq.heappop(self.queue)
            if now <= self.gone.get(trial, now):
                self._train(trial, epoch, now)
        return Result(epochs=self.epochs, time=max([now, *self.gone.values()]), best=self.best)

    def _launch(self, now: float) -> None:
        trial = next(self.waiting, None)
        if trial is not None:
            heapq.heappush(self.queue, (now + self.setting.start + 1, trial, 1))

    def _train(self, trial: int, epoch: int, now: float) -> None:
        self.epochs += 1
        if epoch == 2 and self.since is None:
            self.since = now
        if self.rule is not None and trial not in self.gone:
            self._judge(self.rule, trial, epoch, now)
        if epoch < self.losses.shape[1]:
            heapq.heappush(self.queue, (now + 1, trial, epoch + 1))
        elif trial not in self.gone:
            self.best = min(self.best, float(np.nan_to_num(self.losses[trial, -1], nan=math.inf)))
            self.table.put(self.marks.pop(trial, {}), sign=1.0)
            self._launch(now)

    def _judge(self, rule: EarlyStopping, trial: int, epoch: int, now: float) -> None:
        """As the operator does at each look: marks first, then everyone."""
        known, value = self.marks.get(trial, {}), float(self.losses[trial, epoch - 1])
        if stoppers.due(rule, known, reached=epoch, value=value):
            self.marks[trial] = {**known, epoch: Mark(value, now)}
        elif self.since != now:
            return
        found = stoppers.verdicts(rule, self.marks, self.table, sign=1.0, since=self.since)
        for index, verdict in found.items():
            self.table.put(stoppers.counted(self.marks.pop(index), verdict), sign=1.0)
            self.gone[index] = now + self.setting.delay
            self._launch(self.gone[index])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40, help="sweeps per row, each of other networks in another order")
    parser.add_argument(
        "--starts", type=float, nargs="+", default=[0.0, 2.0, 5.0], help="epochs that a Job takes to start"
    )
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--trials", type=int, nargs="+", default=[60, 200])
    parser.add_argument(
        "--delay", type=float, default=0.2, help="epochs from a point to the end of a Job that it condemns"
    )
    parser.add_argument("--networks", choices=list(HALVES), default="all", help="defaults were chosen on one half")
    asked = parser.parse_args()
    with np.load(CURVES) as table:
        tasks = {task: table[task][HALVES[asked.networks], :, LOSS] for task in table.files}
    print(
        f"{sum(map(len, tasks.values()))} networks of {', '.join(tasks)}; {asked.workers} workers, delay {asked.delay} epochs"
    )
    print(
        f"{'trials':>6} {'start':>5}  {'rule':<20} {'epochs':>7} {'time':>7} {'within 1 %':>10} {'same best':>9} {'regret':>7}"
    )
    for trials in asked.trials:
        for start in asked.starts:
            for name in RULES:
                rows = list(compared(tasks, name, trials, asked.seeds, Setting(asked.workers, start, asked.delay)))
                print(f"{trials:>6} {start:>5g}  {name:<20} {summary(rows)}", flush=True)


@dataclass(frozen=True)
class Row:
    """One sweep against the same without stopping."""

    epochs: float  # parts of those of training everything
    time: float
    regret: float  # how much worse its best is, as part of the way from the best to the median trial
    excess: float  # how much worse its best is, as part of the best


def compared(tasks: dict[str, np.ndarray], name: str, trials: int, seeds: int, setting: Setting) -> Iterator[Row]:
    rule = EarlyStopping.model_validate(RULES[name]) if RULES[name] else None
    for number, losses in enumerate(tasks.values()):
        for seed in range(seeds):
            chosen = losses[np.random.default_rng([number, seed]).permutation(len(losses))[:trials]]
            full, found = Sweep(chosen, None, setting).run(), Sweep(chosen, rule, setting).run()
            worse = found.best - full.best
            spread = float(np.nanmedian(chosen[:, -1])) - full.best
            yield Row(found.epochs / full.epochs, found.time / full.time, worse / spread, worse / full.best)


def summary(rows: Sequence[Row]) -> str:
    """Means; how many sweeps found a best within 1 % of the loss that training everything finds, or that very trial."""
    epochs, time = statistics.mean(r.epochs for r in rows), statistics.mean(r.time for r in rows)
    near, same = (statistics.mean(r.excess <= bound for r in rows) for bound in (0.01, 0.0))
    return f"{epochs:>7.1%} {time:>7.1%} {near:>10.0%} {same:>9.0%} {statistics.mean(r.regret for r in rows):>7.2%}"


if __name__ == "__main__":
    main()
