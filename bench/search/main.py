"""Auto against its peers. Resumable: each finished run is a line of a file in the cache folder, and is not run again.

Run it: python -m bench search [--suite reported] [--peers auto optuna-tpe …] [--problems …] [--parallel 1 8] [--seeds 5]
[--budget 100] [--report]

`--budget` may name peers that cost more: `--budget 100 optuna-gp=50`. One process works at a time. Suites: `reported`, which
Auto is judged by; `fresh`, functions that are cheap and many, in instances that nobody looked at; `development`, which Auto may
be changed by.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from bench.search.environments import CACHE, ROOT, python, started
from bench.search.peers import PEERS
from bench.search.report import report

Job = Mapping[str, Any]
KEYS = ("peer", "problem", "parallel", "seed")  # what makes two runs the same one


@dataclass(frozen=True)
class Suite:
    """Which problems, and where what is known of them is kept."""

    listed: str  # a function without arguments, by module and name
    results: Path
    names: Path


SUITES = {
    "reported": Suite("problems.all_problems", CACHE / "results.jsonl", CACHE / "held-out.json"),
    "fresh": Suite("problems.fresh_problems", CACHE / "fresh.jsonl", CACHE / "fresh.json"),
    "development": Suite("development.development_problems", CACHE / "development.jsonl", CACHE / "development.json"),
}


def main() -> None:
    given = _arguments()
    budgets = {p: int(b) for p, b in (item.split("=") for item in given.budget if "=" in item)}
    whole = int(next((item for item in given.budget if "=" not in item), 100))
    suite = SUITES[given.suite]
    problems = _problems(suite)
    if not given.report:
        jobs = [
            {"peer": peer, "problem": problem, "parallel": parallel, "budget": budgets.get(peer, whole), "seed": seed}
            for seed, parallel, problem, peer in product(
                range(given.seeds), given.parallel, given.problems or problems, given.peers
            )
        ]
        known = _results(suite)
        _run(suite, [job for job in jobs if not _known(job, known)], until=time.monotonic() + 60 * given.minutes)
    print(report(_results(suite), held_out=problems))


def _run(suite: Suite, jobs: list[Job], *, until: float) -> None:
    """One job at a time, each by the worker of its peer."""
    workers: dict[str, subprocess.Popen[str] | None] = {}
    for done, job in enumerate(jobs):
        if time.monotonic() > until:
            print(f"time is up: {len(jobs) - done} of {len(jobs)} runs are left", file=sys.stderr)
            break
        peer = job["peer"]
        if peer not in workers:
            interpreter = python(peer, PEERS[peer][2])
            workers[peer] = started(interpreter) if interpreter else None
        if (worker := workers[peer]) is not None:
            _append(suite, _asked(worker, job))
    for worker in workers.values():
        if worker is not None and worker.stdin is not None:
            worker.stdin.close()
            worker.wait()


def _asked(worker: "subprocess.Popen[str]", job: Job) -> Job:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps(job) + "\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        sys.exit(f"the worker of {job['peer']} died of {job}")
    answer: Job = json.loads(line)
    return answer


def _problems(suite: Suite) -> Mapping[str, bool]:
    """Every problem, and whether it was held out: asked of an environment that has what they are made of."""
    if not suite.names.exists():
        interpreter = python("random", PEERS["random"][2])
        if interpreter is None:
            sys.exit("the problems' own packages do not install")
        module, name = suite.listed.split(".")
        code = (
            f"import json; from bench.search.{module} import {name}; "
            f"print(json.dumps({{p.name: p.held_out for p in {name}()}}))"
        )
        done = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
        suite.names.write_text(done.stdout)
    found: Mapping[str, bool] = json.loads(suite.names.read_text())
    return found


def _results(suite: Suite) -> Sequence[Job]:
    """What is known of each run: of one that was run again for longer, the longer."""
    found: dict[tuple[Any, ...], Job] = {}
    if suite.results.exists():
        for result in map(json.loads, suite.results.read_text().splitlines()):
            key = tuple(result[k] for k in KEYS)
            if key not in found or result["budget"] >= found[key]["budget"]:
                found[key] = result
    return list(found.values())


def _known(job: Job, results: Iterable[Job]) -> bool:
    return any(all(r[k] == job[k] for k in KEYS) and r["budget"] >= job["budget"] for r in results)


def _append(suite: Suite, result: Job) -> None:
    suite.results.parent.mkdir(parents=True, exist_ok=True)
    with suite.results.open("a") as file:
        file.write(json.dumps(result) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--problems", nargs="+")
    parser.add_argument("--parallel", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", nargs="+", default=["200", "optuna-gp=100", "hebo=100"])
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after so many")
    parser.add_argument("--report", action="store_true", help="run nothing, tell what is known")
    parser.add_argument(
        "--suite", default="reported", choices=list(SUITES), help="which problems (default: %(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
