"""Runs in a peer's environment: reads jobs from standard input, a JSON line each, and answers each with a line.

A job is {peer, problem, parallel, budget, seed}; the answer adds `values`, in the order in which they came, and the CPU
`seconds` that the peer took. `parallel` trials are open at a time; the oldest ends first. Standard output is kept for answers.
"""

import json
import os
import sys
import time
from typing import Any

from bench.search.development import development_problems
from bench.search.peers import PEERS
from bench.search.problems import Problem, all_problems, fresh_problems


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries talk
    problems = {p.name: p for p in (*all_problems(), *fresh_problems(), *development_problems())}
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = run(job, problems[job["problem"]])
        except Exception as error:  # noqa: BLE001  (whatever goes wrong in a peer is a result: it is told, and counted)
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps({**job, **answer}) + "\n")
        answers.flush()


def run(job: dict[str, Any], problem: Problem) -> dict[str, Any]:
    """One search."""
    made, name, _ = PEERS[job["peer"]]
    seconds, began = 0.0, time.process_time()
    peer = made(problem.parameters, seed=job["seed"], name=name)
    pending: list[Any] = []
    values: list[float] = []
    for _ in range(job["budget"]):
        pending.append(peer.ask())
        if len(pending) < job["parallel"]:
            continue
        assignment = pending.pop(0)
        seconds += time.process_time() - began
        values.append(problem.value(assignment))
        began = time.process_time()
        peer.tell(assignment, values[-1])
    seconds += time.process_time() - began
    return {"values": values + [problem.value(a) for a in pending], "seconds": round(seconds, 3)}


if __name__ == "__main__":
    main()
