"""A report as Markdown: for a terminal, for a file, and for the note on a run's page in MLflow.

Findings are plain text, in which metrics and values are named as their owners like: all of it goes through `_text`.
"""

import re
from collections.abc import Iterator, Sequence

from hypersweep.core.analysis.findings import Objective, Parameter, Report
from hypersweep.core.analysis.lessons import blame, counted, unexplored

SHOWN = 10  # pairs and failures

# What Markdown, or a table of it, would take for its own. An underscore within a word is none of that: `batch_size`.
MARKUP = re.compile(
    r"[\\`*\[|~]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<!\S)#"  # the last one: a heading's beginning or end
)


def markdown(report: Report, *, title: str, notes: Sequence[str] = ()) -> str:
    """The whole report. `notes`: what else a reader must know of the trials."""
    return "\n".join(_lines(report, title, notes)).rstrip() + "\n"


def lessons_note(report: Report) -> str:
    """The sentences alone: for the note on a run's page."""
    return "\n".join(line for found in report.objectives for line in _lessons(found)).rstrip() + "\n"


def _lines(report: Report, title: str, notes: Sequence[str]) -> Iterator[str]:
    counts = ", ".join(f"{count} {outcome.lower()}" for outcome, count in report.counts.items())
    yield from (f"# {_text(title)}", "", f"Rests on {counted(report.trials)}: {counts}." if counts else "No trial yet.")
    yield from ("", *(f"- {_text(note)}" for note in notes), "")
    for objective in report.objectives:
        yield from _objective(objective)
    if report.failures:
        yield from ("## What failed", "", *(f"- {_text(blame(each))}" for each in report.failures[:SHOWN]), "")
    yield from ("## Where nobody looked", "")
    yield from _table(
        ("parameter", "trials", "values", "largest gap"),
        [
            (t.parameter, str(t.trials), str(t.values), f"{t.gap} ({t.size:.0%})" if t.gap else "none")
            for t in report.tried
        ],
    )
    yield from (f"- {_text(unexplored(each))}" for each in report.unseen[:SHOWN])


def _lessons(found: Objective) -> Iterator[str]:
    goal = "less is better" if found.goal == "Minimize" else "more is better"
    yield from (f"## What we learned: {_text(found.metric)} ({goal})", "")
    yield from (f"{i}. {_text(sentence)}" for i, sentence in enumerate(found.lessons, start=1))
    yield ""


def _objective(found: Objective) -> Iterator[str]:
    yield from _lessons(found)
    if found.missing:
        return
    rows = [_row(p) for p in found.parameters]
    yield from _table(("parameter", "importance", "differences", "chance", ""), rows)
    for parameter in found.parameters:
        if parameter.certain:
            yield from _effect(parameter, found.metric)


def _row(p: Parameter) -> tuple[str, ...]:
    if p.missing:
        return p.name, "", "", "", p.missing
    chance = "< 0.001" if (p.chance or 0) < 0.001 else f"{p.chance:.2g}"
    return p.name, f"{p.importance:.0%}", f"{p.share:.0%}", chance, "" if p.certain else "not told from chance"


def _effect(parameter: Parameter, metric: str) -> Iterator[str]:
    rows = [
        (point.value, f"{point.expected:.4g}", f"{point.low:.4g} to {point.high:.4g}", str(point.trials))
        for point in parameter.effect
    ]
    yield from _table((parameter.name, f"expected {metric}", "95 % interval", "trials"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    cells = [[_text(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    for row in cells:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
    yield ""


def _text(plain: str) -> str:
    """What Markdown shows as `plain`, in one line."""
    return MARKUP.sub(r"\\\g<0>", " ".join(plain.split()))
