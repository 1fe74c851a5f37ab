"""What one proposal costs, by strategy and length of the history: CPU milliseconds, the least of a few asks.

Run it: python bench/ask.py [--trials 100 1000 10000] [--strategies Auto Grid …] [--asks 3]

The space has ten parameters of all types, two of them conditional; a tenth of the history failed, eight trials are open.
Before that, of the first strategy: how late an event loop is while a thread asks, as in the operator, and the process' memory.
"""

import argparse
import asyncio
import math
import resource
import time
from collections.abc import Sequence

from hypersweep.core import strategies
from hypersweep.core.space import Space
from hypersweep.core.spec import BUILT_IN, SweepSpec
from hypersweep.core.strategies import random
from hypersweep.core.trial import Assignment, Outcome, Trial

PENDING = 8
PARAMETERS = [
    {"name": "lr", "type": "Float", "min": 1e-5, "max": 0.1, "scale": "Log", "points": 20},
    {"name": "decay", "type": "Float", "min": 1e-6, "max": 1e-2, "scale": "Log", "points": 20},
    {"name": "dropout", "type": "Float", "min": 0, "max": 0.5, "step": 0.05},
    {"name": "label_smoothing", "type": "Float", "min": 0, "max": 0.2, "points": 5},
    {"name": "layers", "type": "Integer", "min": 1, "max": 6},
    {"name": "width", "type": "Integer", "min": 8, "max": 1024, "scale": "Log"},
    {"name": "batch_size", "type": "Discrete", "numbers": [16, 32, 64, 128]},
    {"name": "optimizer", "type": "Categorical", "values": ["sgd", "adam", "rprop"]},
    {"name": "nesterov", "type": "Boolean", "when": [{"parameter": "optimizer", "values": ["sgd"]}]},
    {
        "name": "momentum",
        "type": "Float",
        "min": 0,
        "max": 0.99,
        "points": 10,
        "when": [{"parameter": "optimizer", "values": ["sgd"]}],
    },
]


def main() -> None:
    arguments = _arguments()
    print(f"{'trials':>8}{'loop late by, ms: median':>28}{'most':>8}{'memory, MiB':>14}   {arguments.strategies[0]}")
    for trials in arguments.trials:
        late = sorted(asyncio.run(lateness(_spec(arguments.strategies[0]), trials=trials, asks=arguments.asks)))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{trials:>8,}{1000 * late[len(late) // 2]:>28.1f}{1000 * late[-1]:>8.1f}{memory:>14.0f}")
    print(
        f"\n{'strategy':<10}" + "".join(f"{n:>12,}" for n in arguments.trials) + "   trials in the history; ms an ask"
    )
    for name in arguments.strategies:
        costs = [cost(_spec(name), trials=n, asks=arguments.asks) for n in arguments.trials]
        print(f"{name:<10}" + "".join(f"{1000 * c:>12.1f}" for c in costs))


async def lateness(spec: SweepSpec, *, trials: int, asks: int) -> list[float]:
    """Seconds that naps of a millisecond overslept, while as many asks as `asks` ran in a thread, one by one."""
    history = made(Space.from_parameters(spec.parameters), trials)
    late = []
    for ask in range(asks):
        asking = asyncio.create_task(
            asyncio.to_thread(strategies.suggest, spec, history=history, pending=(), trial=trials + ask)
        )
        while not asking.done():
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append(time.perf_counter() - began - 0.001)
    return late


def cost(spec: SweepSpec, *, trials: int, asks: int) -> float:
    """CPU seconds of the cheapest of `asks` proposals after so many trials. (The first of all pays for imports.)"""
    history = made(Space.from_parameters(spec.parameters), trials)
    pending = [Trial(index=t.index + trials, run="", parameters=t.parameters) for t in history[:PENDING]]
    strategies.suggest(spec, history=history[:20], pending=(), trial=20)
    least = math.inf
    for ask in range(asks):
        began = time.process_time()
        strategies.suggest(spec, history=history, pending=pending, trial=trials + PENDING + ask)
        least = min(least, time.process_time() - began)
    return least


def made(space: Space, count: int) -> Sequence[Trial]:
    """A history of random trials, a tenth of them failed."""
    return [_ended(i, random.draw(space, seed=1, trial=i)) for i in range(count)]


def _ended(index: int, parameters: Assignment) -> Trial:
    if index % 10 == 9:
        return Trial(index=index, run="", parameters=parameters, outcome=Outcome.FAILED)
    value = abs(math.log10(float(parameters["lr"])) + 3) + abs(float(parameters["layers"]) - 3) / 5
    return Trial(index=index, run="", parameters=parameters, outcome=Outcome.SUCCEEDED, value=value)


def _spec(strategy: str) -> SweepSpec:
    return SweepSpec.model_validate(
        {
            "objectives": [{"metric": "loss", "goal": "Minimize"}],
            "parameters": PARAMETERS,
            "strategy": {"name": strategy, "seed": 7},
        }
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--strategies", nargs="+", default=list(BUILT_IN))
    parser.add_argument("--asks", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
