"""Run the benchmarks: python -m bench [ask | engine | local | stopping | training | all | search | digits] [its options]."""

import sys

from bench import ask, digits, engine, local, stopping, training
from bench.search import main as search

BENCHMARKS = {
    "ask": ask.main,
    "engine": engine.main,
    "local": local.main,
    "stopping": stopping.main,
    "training": training.main,
}
LONG = {"search": search.main, "digits": digits.main}  # long, or in environments of their own: only when asked for


def main() -> None:
    name = sys.argv.pop(1) if len(sys.argv) > 1 else "all"
    if name not in {*BENCHMARKS, *LONG, "all"}:
        sys.exit(__doc__)
    if name in LONG:
        LONG[name]()
    for known, benchmark in BENCHMARKS.items():
        if name in (known, "all"):
            print(f"\n== {known}")
            benchmark()


main()
