# ruff: noqa: INP001  (a script, not a package)
"""Make the pictures of docs/gallery from real trainings (a minute): `make gallery`. Same machine, same pictures.

Owns which trainings are shown. What a picture looks like is decided where it is made for users, except for two plots
that compare what users see one at a time: schedules, and losses of optimizers.
"""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gallery_pages import pages
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hypersweep_trainer import pictures
from hypersweep_trainer.baselines import baselines
from hypersweep_trainer.judged import drawn
from hypersweep_trainer.lr_builtin import find
from hypersweep_trainer.lr_report import draw
from hypersweep_trainer.mistakes import write
from hypersweep_trainer.schedules import Plan, learning_rate
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.startup import Interruption
from hypersweep_trainer.train import Training

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "gallery"
RANGES: dict[str, dict[str, Any]] = {
    "lr-range-adam": {"model": "mlp", "optimizer": "adam"},
    "lr-range-sgd": {"model": "cnn", "width": 8, "optimizer": "sgd"},
    "lr-range-muon": {"model": "resnet", "width": 8, "layers": 1, "optimizer": "muon"},
}
OPTIMIZERS: dict[str, float] = {"sgd": 0.1, "adam": 0.003, "adamw": 0.003, "muon": 0.02, "rprop": 0.01, "lbfgs": 1.0}
TASKS: dict[str, dict[str, Any]] = {
    "digits": {"data": "digits", "width": 16, "epochs": 10, "lr": 0.01},
    "shapes": {"data": "shapes", "width": 8, "epochs": 3, "lr": 0.01},
    "boxes": {"data": "boxes", "width": 16, "epochs": 25, "lr": 0.01},
}


def trained(interruption: Interruption, **settings: Any) -> tuple[Training, list[dict[str, float]]]:
    """A training at its end, and the metrics of its epochs."""
    chosen = Settings(**settings)
    training = Training(chosen, horizon=chosen.epochs)
    return training, [training.train_epoch(interruption) for _ in range(chosen.epochs)]


def schedules(path: Path) -> None:
    """The rate of each schedule over 20 epochs, as a part of `lr`."""
    plan = Plan(steps=400, per_epoch=20)
    names = ("cosine", "linear", "polynomial", "constant", "one_cycle", "triangular", "cosine_restarts")
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    for number, name in enumerate(names):
        axes = figure.add_subplot(2, 4, number + 1)
        chosen = Settings.model_validate({"schedule": name, "lr": 1.0, "cycle_epochs": 5, "warmup": 0.1})
        axes.plot([step / 20 for step in range(400)], [learning_rate(chosen, plan, step) for step in range(400)])
        axes.set(title=name, ylim=(0, 1.05), xlabel="epoch" if number > 2 else "")
    save(figure, path)


def losses(path: Path, interruption: Interruption) -> None:
    """Validation loss of digits by optimizer, and the linear model's accuracy beside their accuracies."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    loss, accuracy = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    for name, lr in OPTIMIZERS.items():
        training, epochs = trained(interruption, optimizer=name, lr=lr, epochs=15, width=32)
        for axes, metric in ((loss, "val_loss"), (accuracy, "val_accuracy")):
            axes.plot(range(1, 16), [epoch[metric] for epoch in epochs], label=name)
    linear = baselines(training.data)["baseline_linear_accuracy"]
    accuracy.axhline(linear, color="black", linestyle=":", label="linear baseline")
    loss.set(yscale="log", xlabel="epoch", title="val_loss")
    accuracy.set(ylim=(0.8, 1), xlabel="epoch", title="val_accuracy")
    accuracy.legend(frameon=False, fontsize=8, loc="lower right")
    save(figure, path)


def predictions(name: str, interruption: Interruption) -> list[Path]:
    """What TensorBoard shows under Images, after the last epoch."""
    training, _ = trained(interruption, **TASKS[name])
    made = drawn(training)
    counts = getattr(training.scorers["val"], "confusion", None)
    if counts:
        made["confusion"] = pictures.table(counts(), training.data.classes)
    paths = {kind: FOLDER / f"{name}-{kind}.png" for kind in made}
    for kind, path in paths.items():
        made[kind].save(path, optimize=True)
    return list(paths.values())


def suspects(path: Path, interruption: Interruption) -> None:
    """What the folder `mistakes` shows of labels that are wrong: here every 40th of digits' validation part is, on purpose."""
    training, _ = trained(interruption, **TASKS["digits"], dropout=0.3)
    changed = training.data.val[::40]
    training.data.y[changed] = (training.data.y[changed] + 3) % len(training.data.classes)
    with tempfile.TemporaryDirectory() as place:
        write(training, Path(place))
        shutil.copy(Path(place) / "confidently_wrong.png", path)


def save(figure: Figure, path: Path) -> None:
    """With thin frames, as PNG."""
    FigureCanvasAgg(figure)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=90)


def main(_arguments: Sequence[str]) -> int:
    """Make all of them. Returns the exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    interruption = Interruption()
    for name, settings in RANGES.items():
        finding = find(Settings(**settings), start=1e-7, end=1.0, steps=200)
        draw(finding, FOLDER / f"{name}.png", title=f"digits, {settings['model']}, {settings['optimizer']}")
    schedules(FOLDER / "schedules.png")
    losses(FOLDER / "losses.png", interruption)
    for name in TASKS:
        predictions(name, interruption)
    suspects(FOLDER / "digits-suspects.png", interruption)
    pages(FOLDER, interruption)
    print(*sorted(FOLDER.glob("*.png")), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
