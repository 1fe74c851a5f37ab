"""`hypersweep plan`: what a sweep will do, as text or JSON. Owns the output only; what is said is `core/plan.py`'s.

Plain text: the tables of `hypersweep run` need a package that only laptops have.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hypersweep.core import on_complete
from hypersweep.core.admission import check
from hypersweep.core.errors import SpecError
from hypersweep.core.manifest import parse, read_one
from hypersweep.core.plan import Cost, Estimate, Outlook, assignments, outlook
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Value


def plan(path: str | Path, *, first: int, trial_hours: float | None, price: float | None, form: str) -> int:
    """Print the outlook of the sweep in this file (`-`: standard input). SpecError: it would be refused."""
    metadata, spec = parse(read_one(path))
    if problems := check(metadata, spec):
        raise SpecError(problems)
    found = outlook(spec, first=first, trial_hours=trial_hours, price=price)
    if form == "json":
        print(json.dumps(_data(metadata["name"], spec, found), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(metadata["name"], spec, found)))
    return 0


# ---- text --------------------------------------------------------------------------------------------------------------


def _lines(name: str, spec: SweepSpec, found: Outlook) -> Iterator[str]:
    objective = ", ".join(f"{o.goal.lower()} {o.metric}" for o in spec.objectives)
    yield f"{name}: {objective}; {spec.trials.max} trials, {spec.trials.parallel} at a time"
    if spec.repeats.count > 1:
        yield f"repeats: {_repeats(spec)}"
    yield f"strategy: {found.strategy} ({found.reason})"
    yield f"space: {_size(found)}"
    for constraint, estimate in found.constraints:
        yield f"  {_told(estimate)} of its points meet `{constraint.expression}`"
    if found.meets is not None and len(found.constraints) > 1:
        yield f"  {_told(found.meets)} meet all of parameterConstraints"
    yield ""
    yield from _table(found)
    yield ""
    if found.certain < len(found.first):
        changing = "range tests and results" if found.range_tests else "results"
        yield f"first trials: from trial {found.certain} on, {changing} may change them"
    if found.range_tests:
        yield f"before them: {found.range_tests} learning-rate range test{'s' if found.range_tests > 1 else ''}"
    if spec.on_complete is not None:
        yield f"when complete: {on_complete.told(spec.on_complete)}"
    for problem in found.warnings:
        yield f"warning: {problem}"
    if not found.warnings:
        yield "no warnings"
    if found.cost is not None:
        yield f"cost: {_cost(found.cost)}"


def _repeats(spec: SweepSpec) -> str:
    count, least = spec.repeats.count, assignments(spec)
    if spec.repeats.racing:
        return f"up to {count} trials for each assignment that may be the best; at least {least} assignments"
    return f"{count} trials for each assignment, {least} assignments"


def _size(found: Outlook) -> str:
    if found.size is None:
        return "infinitely many points"
    points = f"{found.size:,} point{'' if found.size == 1 else 's'}"
    if found.unconditional not in (None, found.size):
        points += f" ({found.unconditional:,} without `when`)"
    return points if found.meets is None else f"{points}, fewer by what parameterConstraints rule out"


def _told(estimate: Estimate) -> str:
    """Of a rare thing that was never drawn, at least how rare it is."""
    low, high = estimate.interval
    if estimate.count == 0:
        return f"none of {estimate.samples:,} drawn, so less than about {high:.2%},"
    return f"about {estimate.share:.1%} ({low:.1%} to {high:.1%}, from {estimate.samples:,} drawn)"


def _table(found: Outlook) -> Iterator[str]:
    """A row for each parameter, a column for each trial: as wide as the trials, however many the parameters."""
    trials = [f"trial {i}" for i in range(len(found.first))]
    rows = [["parameter", "values", "active", *trials]]
    for sight in found.parameters:
        active = "always" if sight.active is None else f"{sight.active.share:.0%}: {sight.condition}"
        rows.append([sight.name, sight.values, active, *(_cell(a.get(sight.name)) for a in found.first)])
    widths = [min(max(len(row[k]) for row in rows), 44) for k in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(_cut(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cell(value: Value | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _cut(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


def _cost(cost: Cost) -> str:
    told = f"at most {cost.trial_hours:,.1f} hours of trials, {cost.clock_hours:,.1f} on the clock, for {cost.trials} trials"
    return told if cost.total is None else f"{told}: {cost.total:,.2f} at {cost.price:g} an hour"


# ---- JSON --------------------------------------------------------------------------------------------------------------


def _data(name: str, spec: SweepSpec, found: Outlook) -> dict[str, Any]:
    """The same as data. `size` is null where the space is infinite."""
    return {
        "name": name,
        "trials": {"max": spec.trials.max, "parallel": spec.trials.parallel},
        "repeats": {"count": spec.repeats.count, "racing": spec.repeats.racing, "assignments": assignments(spec)},
        "strategy": {"effective": found.strategy, "reason": found.reason},
        "space": {
            "size": found.size,
            "sizeIsExact": found.meets is None,
            "sizeWithoutWhen": found.unconditional,
            "parameters": [
                {"name": s.name, "values": s.values, "when": s.condition, "active": _estimate(s.active)}
                for s in found.parameters
            ],
            "constraints": [{"expression": c.expression, "met": _estimate(e)} for c, e in found.constraints],
            "met": _estimate(found.meets),
        },
        "rangeTests": found.range_tests,
        "firstTrials": _trials(found.first, found.certain),
        "onComplete": spec.on_complete and spec.on_complete.model_dump(by_alias=True, exclude_none=True),
        "warnings": [{"path": p.path, "message": p.message} for p in found.warnings],
        "cost": _money(found.cost),
    }


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    low, high = estimate.interval
    return {"share": estimate.share, "low": low, "high": high, "drawn": estimate.samples}


def _trials(first: Sequence[Any], certain: int) -> list[dict[str, Any]]:
    return [{"trial": i, "parameters": a, "certain": i < certain} for i, a in enumerate(first)]


def _money(cost: Cost | None) -> dict[str, Any] | None:
    if cost is None:
        return None
    hours = {"trials": cost.trials, "trialHours": cost.trial_hours, "clockHours": cost.clock_hours}
    return hours if cost.total is None else {**hours, "price": cost.price, "total": cost.total}
