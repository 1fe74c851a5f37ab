"""Run the benchmarks: python -m bench [ask | engine | local | stopping | training | all] [options of that benchmark]."""

import sys

from bench import ask, engine, local, stopping, training

BENCHMARKS = {
    "ask": ask.main,
    "engine": engine.main,
    "local": local.main,
    "stopping": stopping.main,
    "training": training.main,
}


def main() -> None:
    name = sys.argv.pop(1) if len(sys.argv) > 1 else "all"
    if name not in {*BENCHMARKS, "all"}:
        sys.exit(__doc__)
    for known, benchmark in BENCHMARKS.items():
        if name in (known, "all"):
            print(f"\n== {known}")
            benchmark()


main()
