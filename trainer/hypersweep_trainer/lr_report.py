"""What a range test leaves behind: a JSON file, a plot, and for a tracking server the same and a tag that machines read.

Owns the names of the files and of the tag. Imports matplotlib and mlflow only when there is something to draw or to send.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hypersweep_trainer.lr_interval import Finding

JSON_FILE, PLOT_FILE = "lr-range.json", "lr-range.png"
ARTIFACTS = "lr-range"  # folder of a run
TAG = "hypersweep.lrRange"  # of a run: the document without the curve; a sweep's range test is read from there
METRIC = "lr_range_loss"

_INK, _MUTED, _SHADE = "#1b2a41", "#8a94a6", "#2a9d8f"


def write(finding: Finding, folder: Path, *, title: str = "") -> list[Path]:
    """Both files, in `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    data, plot = folder / JSON_FILE, folder / PLOT_FILE
    data.write_text(json.dumps(finding.document(), indent=1, allow_nan=False) + "\n")
    draw(finding, plot, title=title)
    return [data, plot]


def send(finding: Finding, files: list[Path], *, client: Any, run: str) -> None:
    """Tag, files and curve to an MLflow run. `client`: an MlflowClient."""
    from mlflow.entities import Metric

    points = enumerate(zip(finding.rates, finding.losses, strict=True))
    metrics = [
        Metric(name, value, 0, step)
        for step, (rate, loss) in points
        for name, value in ((METRIC, loss), ("lr_range_rate", rate))
        if math.isfinite(value)
    ]
    for first in range(0, len(metrics), 1000):  # what MLflow takes in one request
        client.log_batch(run, metrics=metrics[first : first + 1000])
    for file in files:
        client.log_artifact(run, str(file), ARTIFACTS)
    client.set_tag(run, TAG, json.dumps(finding.document(curve=False)))  # last: whoever sees it finds the rest


def draw(finding: Finding, path: Path, *, title: str = "") -> None:
    """Loss against rate, the interval where it falls shaded, what was found marked and the reasoning below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.plot(finding.rates, finding.losses, ".", color=_MUTED, markersize=4, label="mini-batch")
    axes.plot(finding.rates[: len(finding.smoothed)], finding.smoothed, color=_INK, linewidth=2, label="smoothed")
    _mark(axes, finding)
    _limit(axes, finding)
    axes.set(xlabel="learning rate", ylabel="loss", title=title or "Learning-rate range test")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    figure.supxlabel(_wrapped(f"{finding.verdict}: {finding.reason}"), fontsize=8, color=_INK, x=0.02, ha="left")
    figure.savefig(path, dpi=120)


def _mark(axes: Any, finding: Finding) -> None:
    if finding.onset is not None and finding.minimum is not None:
        axes.axvspan(finding.onset, finding.minimum, color=_SHADE, alpha=0.12, linewidth=0, label="loss falls")
    if finding.suggestion:
        bar = dict.fromkeys(("ymin", "ymax"), 0.0) | {"ymax": 0.025}
        axes.axvspan(*finding.suggestion, **bar, color=_SHADE, linewidth=0, label="suggested search")
    styles = {"steepest": "-.", "minimum": "--", "divergence": ":"}
    for name, style in styles.items():
        if (rate := getattr(finding, name)) is not None:
            axes.axvline(rate, color=_INK, linestyle=style, linewidth=1, label=f"{name} {rate:.2g}")


def _limit(axes: Any, finding: Finding) -> None:
    """Show where it falls, not how far it explodes."""
    if not finding.smoothed:
        return
    low, first = min(finding.smoothed), finding.smoothed[0]
    room = max(first - low, 0.1 * abs(first), 1e-9)
    axes.set_ylim(low - 0.25 * room, max(first + 0.75 * room, sorted(finding.smoothed)[len(finding.smoothed) // 2]))


def _wrapped(text: str, width: int = 130) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))
