"""What the runs say: mean normalised regret of each peer, and intervals by bootstrap over problems.

Regret: 0 is the best value that any run of any peer has found, 1 the median of random points; a run counts with its best so far.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

BUDGETS = (30, 50, 100, 200)
_DRAWS = 2000

Run = Mapping[str, Any]
Column = tuple[int, int]  # (parallel, budget)


def report(runs: Sequence[Run], *, held_out: Mapping[str, bool], ours: str = "auto") -> str:
    """Tables in Markdown: all problems, then those that were held out, where there are any."""
    good = [r for r in runs if "values" in r]
    scale = _scales(good)
    parts = [_table("All problems", good, scale, ours)]
    if apart := [r for r in good if held_out.get(r["problem"])]:
        parts.append(_table("Problems held out", apart, scale, ours))
    failed = sorted({f"{r['peer']}: {r['error']}" for r in runs if "error" in r})
    if failed:
        parts.append("Runs that failed:\n\n" + "\n".join(f"- {f[:200]}" for f in failed))
    return "\n\n".join(parts)


def _scales(runs: Iterable[Run]) -> Mapping[str, tuple[float, float]]:
    """Best known and median random value of each problem."""
    best: dict[str, float] = {}
    chance: dict[str, list[float]] = {}
    for r in runs:
        best[r["problem"]] = min(best.get(r["problem"], np.inf), *r["values"])
        if r["peer"] == "random":
            chance.setdefault(r["problem"], []).extend(r["values"])
    return {p: (best[p], float(np.median(chance[p]))) for p in chance}


def _regret(run: Run, budget: int, scale: Mapping[str, tuple[float, float]]) -> float:
    low, high = scale[run["problem"]]
    return (min(run["values"][:budget]) - low) / (high - low)


def _table(title: str, runs: Sequence[Run], scale: Mapping[str, tuple[float, float]], ours: str) -> str:
    columns = sorted({(r["parallel"], b) for r in runs for b in BUDGETS if len(r["values"]) >= b})
    means = {column: _means(runs, column, scale) for column in columns}
    peers = sorted({r["peer"] for r in runs}, key=lambda p: (p != ours, p))
    head = "| peer | " + " | ".join(f"P={p}, {b}" for p, b in columns) + " |\n" + "|---" * (len(columns) + 1) + "|"
    rows = [f"| {peer} | " + " | ".join(_cell(means[c], peer, ours) for c in columns) + " |" for peer in peers]
    problems = sorted({r["problem"] for r in runs})
    return f"### {title} ({len(problems)})\n\n" + "\n".join([head, *rows])


def _means(
    runs: Sequence[Run], column: Column, scale: Mapping[str, tuple[float, float]]
) -> Mapping[str, Mapping[str, float]]:
    """Mean regret over seeds, by peer and problem."""
    parallel, budget = column
    found: dict[str, dict[str, list[float]]] = {}
    for r in runs:
        if r["parallel"] == parallel and len(r["values"]) >= budget and r["problem"] in scale:
            found.setdefault(r["peer"], {}).setdefault(r["problem"], []).append(_regret(r, budget, scale))
    return {peer: {p: float(np.mean(v)) for p, v in by.items()} for peer, by in found.items()}


def _cell(means: Mapping[str, Mapping[str, float]], peer: str, ours: str) -> str:
    """Mean regret over the problems that both have run; of a peer, how much worse than ours, with a 95 % interval."""
    if peer not in means or ours not in means:
        return ""
    shared = sorted(set(means[peer]) & set(means[ours]))
    if not shared:
        return ""
    values = np.array([means[peer][p] for p in shared])
    if peer == ours:
        return f"**{values.mean():.3f}**"
    low, high = interval(values - np.array([means[ours][p] for p in shared]))
    few = f" ({len(shared)} problems)" if len(shared) < len(means[ours]) else ""
    return f"{values.mean():.3f} [{low:+.3f}, {high:+.3f}]{few}"


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """The middle 95 % of the mean, problems drawn again with replacement."""
    values = np.asarray(differences)
    drawn = np.random.default_rng(0).choice(values, (_DRAWS, len(values))).mean(1)
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))
