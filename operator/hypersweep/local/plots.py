"""An analysis as pictures: how the search went, what matters, the effects with their intervals, and all trials at once.

Owns the drawing, by matplotlib; computes nothing that a reader could not find in the report. Writes PNG files, on a
machine without a display, too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hypersweep.core.analysis.evidence import Evidence
from hypersweep.core.analysis.findings import Objective, Parameter, Report
from hypersweep.core.analysis.levels import Levels, levels_of, short
from hypersweep.core.analysis.observations import observations
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Outcome, Trial

BLUE, GREY, RED, GREEN = "#2563eb", "#9ca3af", "#dc2626", "#059669"
EFFECTS = 9  # parameters that are drawn
AXES = 12  # of the parallel coordinates
DPI = 130


def save(folder: Path, report: Report, spec: SweepSpec, trials: Sequence[Trial]) -> list[Path]:
    """Write the pictures of each objective; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures(report, spec, trials).items():
        FigureCanvasAgg(figure)
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=DPI)
    return paths


def figures(report: Report, spec: SweepSpec, trials: Sequence[Trial]) -> dict[str, Figure]:
    """The pictures by name; those without anything to show are left out."""
    space, made = Space.of(spec), dict[str, Figure]()
    known = observations(spec, sorted(trials, key=lambda t: (t.index, t.run)))
    for i, found in enumerate(report.objectives):
        end = f"-{i + 1}" if len(report.objectives) > 1 else ""
        evidence = Evidence(space=space, metric=found.metric, goal=spec.objectives[i].goal, trials=known, which=i)
        if evidence.measured:
            made[f"history{end}"] = _history(evidence)
            made[f"parallel{end}"] = _parallel(evidence)
        if any(p.effect for p in found.parameters):
            made[f"importance{end}"] = _importance(found)
            made[f"effects{end}"] = _effects(found)
    return made


def _history(evidence: Evidence) -> Figure:
    """Each trial's value in order, the best so far, and where trials failed or were stopped."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    at = {id(t): i for i, t in enumerate(evidence.trials)}
    places = [at[id(t)] for t in evidence.measured]
    best = np.minimum if evidence.goal == "Minimize" else np.maximum
    axes.plot(places, evidence.values, "o", color=BLUE, alpha=0.55, markersize=5, label="trial")
    axes.step(places, best.accumulate(evidence.values), where="post", color=GREEN, linewidth=2, label="best so far")
    low, high = evidence.limits
    axes.set_ylim(low, high)
    ends = (("failed or infeasible", (Outcome.FAILED, Outcome.INFEASIBLE), RED), ("stopped", (Outcome.STOPPED,), GREY))
    measured = {id(t) for t in evidence.measured}
    for label, outcomes, colour in ends:
        bad = [at[id(t)] for t in evidence.trials if t.outcome in outcomes and id(t) not in measured]
        if bad:
            edge = axes.get_xaxis_transform()
            axes.plot(bad, [0.02] * len(bad), "x", color=colour, transform=edge, clip_on=False, label=label)
    axes.set(xlabel="trial", ylabel=evidence.metric, title=f"{evidence.metric} over {len(evidence.trials)} trials")
    axes.legend(frameon=False)
    return _plain(figure)


def _importance(found: Objective) -> Figure:
    """Bars, those that cannot be told from chance in grey."""
    known = [p for p in found.parameters if p.importance is not None][::-1]
    figure = Figure(figsize=(8, 1.2 + 0.38 * len(known)), layout="constrained")
    axes = figure.add_subplot()
    widths = [p.importance or 0.0 for p in known]
    bars = axes.barh([p.name for p in known], widths, color=[BLUE if p.certain else GREY for p in known], height=0.65)
    axes.bar_label(bars, [_bar_label(p) for p in known], padding=4, fontsize=9)
    axes.set_xlim(0, max(widths, default=1.0) * 1.45 or 1.0)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axes.set(xlabel="importance (PED-ANOVA)", title=f"What decides {found.metric}: {found.results} results")
    return _plain(figure)


def _bar_label(parameter: Parameter) -> str:
    return f"{parameter.importance:.0%}" + ("" if parameter.certain else "  not told from chance")


def _effects(found: Objective) -> Figure:
    """The expected objective along each parameter, the surest first, with its interval and the trials that it rests on."""
    shown = [p for p in found.parameters if p.effect][:EFFECTS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, parameter in zip(grid, shown, strict=False):
        _effect(axes, parameter)
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    figure.suptitle(f"Expected {found.metric}, the other parameters at their average (95 % intervals)")
    return _plain(figure)


def _effect(axes: Axes, parameter: Parameter) -> None:
    points = parameter.effect
    places = np.array([p.place for p in points]) if parameter.ordered else np.arange(len(points))
    expected = np.array([p.expected for p in points])
    low, high = np.array([p.low for p in points]), np.array([p.high for p in points])
    colour = BLUE if parameter.certain else GREY
    if parameter.ordered:
        axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(places, expected, color=colour, linewidth=1.8)
    else:
        axes.errorbar(places, expected, yerr=[expected - low, high - expected], fmt="none", color=colour, capsize=4)
    sizes = [14 + 60 * p.trials / max(1, *(q.trials for q in points)) if p.trials else 0 for p in points]
    axes.scatter(places, expected, s=sizes, color=colour, zorder=3)
    ticks = range(len(points)) if len(points) <= 4 else np.linspace(0, len(points) - 1, 4).round().astype(int)
    edge = 0.5 / len(points) if " to " in points[0].value else 0.0  # a range is named by where it begins
    axes.set_xticks([places[i] - edge for i in ticks], [_tick(points[i].value) for i in ticks], fontsize=8)
    axes.set_title(parameter.name if parameter.certain else f"{parameter.name} (not told from chance)", fontsize=10)
    if not parameter.ordered:
        axes.set_xlim(-0.5, len(points) - 0.5)


def _tick(label: str) -> str:
    """The beginning of a range is enough for an axis."""
    return label.split(" to ", maxsplit=1)[0][:12]


def _parallel(evidence: Evidence) -> Figure:
    """Each measured trial as a line over the parameters, the best ones drawn last and darkest."""
    levels = levels_of(evidence.space)[:AXES]
    figure = Figure(figsize=(max(7.0, 1.5 * (len(levels) + 1)), 4.6), layout="constrained")
    axes = figure.add_subplot()
    low, high = evidence.limits
    colours = _colours(evidence)
    order = np.argsort(-evidence.losses, kind="stable")
    for i in order:
        trial, value = evidence.measured[i], evidence.values[i]
        heights = [_height(each, trial) for each in levels] + [float(np.clip((value - low) / (high - low), 0, 1))]
        axes.plot(range(len(heights)), heights, color=colours[i], alpha=0.75, linewidth=1.2)
    for x, each in enumerate(levels):
        _scale(axes, x, each)
    for height, text in ((0.0, f"{low:.3g}"), (1.0, f"{high:.3g}")):
        axes.annotate(text, (len(levels), height), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.axvline(len(levels), color="black", linewidth=0.8)
    axes.set_xticks(range(len(levels) + 1), [*(each.name for each in levels), evidence.metric])
    axes.set_yticks([])
    axes.set_ylim(-0.12, 1.04)
    axes.set_title(f"{len(evidence.measured)} trials, the better the darker (below the axis: inactive)")
    figure = _plain(figure)
    axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def _scale(axes: Axes, x: int, levels: Levels) -> None:
    """One parameter's axis, its ends (or all of its few values) written beside it."""
    axes.axvline(x, color="black", linewidth=0.8, ymin=0.1)
    domain = levels.dimension.domain
    if levels.binned:
        marks: list[tuple[float, Any]] = [(0.0, domain.near(0.0)), (1.0, domain.near(1.0))]
    else:
        few = range(levels.count) if levels.count <= 6 else (0, levels.count - 1)
        marks = [(float(levels.places[i]), domain.at(i)) for i in few]
    for height, value in marks:
        text = short(value)
        axes.annotate(text[:14], (x, height), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)


def _height(levels: Levels, trial: Trial) -> float:
    return levels.place(trial.parameters[levels.name]) if levels.name in trial.parameters else -0.09


def _colours(evidence: Evidence) -> list[Any]:
    """Dark for the best, by rank: outliers change nothing."""
    from matplotlib import colormaps  # noqa: PLC0415

    ranks = np.argsort(np.argsort(evidence.losses, kind="stable"), kind="stable")
    map_ = colormaps["viridis"]
    return [map_(0.05 + 0.9 * float(rank) / max(1, len(ranks) - 1)) for rank in ranks]


def _plain(figure: Figure) -> Figure:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, axis="both", alpha=0.2)
    return figure
