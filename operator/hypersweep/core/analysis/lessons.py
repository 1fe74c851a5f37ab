"""What was learned, in five plain sentences, each with the numbers that it rests on.

The best trial; what matters; where it is good; what acts together; what failed, or where nobody looked. A sentence without
evidence says what is missing. Computes nothing but wording.
"""

from collections.abc import Sequence
from dataclasses import replace

from hypersweep.core.analysis.coverage import Tried, Unseen
from hypersweep.core.analysis.failures import Blame
from hypersweep.core.analysis.findings import Best, Objective, Parameter, Point
from hypersweep.core.analysis.levels import short

NAMED = 4  # parameters that a sentence names


def lessons(
    found: Objective, *, failures: Sequence[Blame], tried: Sequence[Tried], unseen: Sequence[Unseen]
) -> Objective:
    """The findings with their five sentences."""
    said = (_best(found), _matters(found), _where(found), _together(found), _apart(failures, tried, unseen))
    return replace(found, lessons=said)


def _best(found: Objective) -> str:
    if not found.best:
        return f"No trial has a finite {found.metric} yet."
    best, *others = found.best
    sentence = (
        f"Trial {best.trial} (run {best.run[:8]}) is the best: {found.metric} {best.value:.6g} with {_assignment(best)}"
    )
    if not others:
        return f"{sentence}; it is the only result."
    gap = abs(others[0].value - best.value)
    sentence += f"; the next is trial {others[0].trial} with {others[0].value:.6g}"
    if found.noise is None:
        return f"{sentence}."
    within = "within" if gap < 2**0.5 * 2 * found.noise else "beyond"
    return f"{sentence}, which is {within} what is left unexplained (±{found.noise:.2g} a trial)."


def _matters(found: Objective) -> str:
    if found.missing:
        return f"Nothing is said of which parameter matters: {found.missing}."
    sure = [p for p in found.parameters if p.certain]
    unsure = [p.name for p in found.parameters if not p.certain and not p.missing]
    basis = f"from {found.results} results, of whose differences the parameters foretell {found.explained or 0:.0%}"
    if not sure:
        names = _listed(unsure) or "any parameter"
        return f"No effect of {names} can be told from chance ({basis})."
    told = [
        f"{p.name} ({p.importance or 0:.0%} of the importance, {p.share or 0:.0%} of the differences)" for p in sure
    ]
    rest = f"; {_listed(unsure)} cannot be told from chance" if unsure else ""
    return f"What matters is {_listed(told)}{rest} ({basis})."


def _where(found: Objective) -> str:
    parts = [told for p in found.parameters if p.certain and (told := _contrast(p, found))][:2]
    if not parts:
        return f"No value of a parameter is known to give a better {found.metric} than another, by itself."
    return f"{'; '.join(parts)} (expected {found.metric} with 95 % intervals, the other parameters at their average)."


def _contrast(parameter: Parameter, found: Objective) -> str:
    """Best against worst of the values that were tried; empty where their intervals overlap."""
    sign = 1 if found.goal == "Minimize" else -1
    tried = sorted((p for p in parameter.effect if p.trials), key=lambda p: sign * p.expected)
    if len(tried) < 2 or (tried[0].high >= tried[-1].low and tried[-1].high >= tried[0].low):
        return ""
    return f"{parameter.name} is good at {_point(tried[0])} and bad at {_point(tried[-1])}"


def _together(found: Objective) -> str:
    if found.missing_pairs:
        return f"Nothing is said of parameters together: {found.missing_pairs}."
    if not found.together:
        return f"No two parameters are seen to act together beyond the sum of their effects, of {found.pairs} pairs looked at."
    told = [f"{' and '.join(t.pair)} ({t.share:.0%} of the differences, chance {t.chance:.1g})" for t in found.together]
    return f"These act together, more than each alone: {_listed(told)}, of {found.pairs} pairs looked at."


def _apart(failures: Sequence[Blame], tried: Sequence[Tried], unseen: Sequence[Unseen]) -> str:
    """What failed; else where nobody looked."""
    if failures:
        return f"{blame(failures[0])}."
    gaps = sorted((t for t in tried if t.gap), key=lambda t: -t.size)
    if gaps:
        return f"Nobody looked at {gaps[0].parameter} {gaps[0].gap}, {gaps[0].size:.0%} of its scale."
    if unseen:
        return f"Nobody looked at {unexplored(unseen[0])}."
    return "No value failed more often than others, and no large part of the space is left without a trial."


def blame(found: Blame) -> str:
    """`batch_size 128: 4 of 5 trials ended OutOfMemory, against 0 of 15 elsewhere`."""
    return (
        f"{found.parameter} {found.values}: {found.bad} of {found.trials} trials ended {found.reason}, "
        f"against {found.bad_elsewhere} of {found.trials_elsewhere} elsewhere"
    )


def unexplored(found: Unseen) -> str:
    """`lr 0.01 to 0.1 with dropout 0.3 to 0.5, 25% of their values`."""
    (a, b), (first, second) = found.pair, found.values
    return f"{a} {first} with {b} {second}, {found.size:.0%} of their values"


def _point(point: Point) -> str:
    return f"{point.value} ({point.expected:.3g}, {point.low:.3g} to {point.high:.3g}, {counted(point.trials)})"


def counted(trials: int) -> str:
    return f"{trials} trial{'' if trials == 1 else 's'}"


def _assignment(best: Best) -> str:
    told = [f"{name} {short(value)}" for name, value in best.parameters.items()]
    more = f" and {len(told) - 2 * NAMED} more" if len(told) > 2 * NAMED else ""
    return ", ".join(told[: 2 * NAMED]) + more


def _listed(parts: Sequence[str]) -> str:
    if len(parts) > NAMED:
        return f"{', '.join(parts[:NAMED])} and {len(parts) - NAMED} more"
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]])) if parts else ""
