"""Events: each is told, once, of a real training that goes wrong in its way, and none of a training that goes well."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hypersweep_trainer.__main__ import main
from hypersweep_trainer.events import LONGEST, RULES, Event, Seen, due, non_finite
from hypersweep_trainer.exits import ExitCode, InfeasibleError, Interrupted
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.train import Training, train
from hypersweep_trainer.watch import dead_units, gradients
from tests.trainer.runs import History, StopAfter, job

# MLflow's own, of its use of SQLAlchemy and of its types, which the project's "warnings are errors" would make fail.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning"),
]


def events(*, checkpoints: Path | None = None, stop: int | None = None, **settings: Any) -> dict[str, Event]:
    """Each event of a training, by name."""
    history = History()
    try:
        work = job(checkpoints=checkpoints, **{"baselines": False, "tensorboard": False, **settings})
        train(work, tracker=history, interruption=StopAfter(stop))
    except (InfeasibleError, Interrupted):
        pass
    names = [event.name for event in history.events]
    assert len(names) == len(set(names)), "told more than once"
    return {event.name: event for event in history.events}


class Deep(nn.Sequential):
    """Sigmoids one after the other: each lets at most a quarter of a gradient through."""

    def __init__(self, *, inputs: tuple[int, ...], outputs: int) -> None:
        hidden = [part for _ in range(10) for part in (nn.Linear(32, 32), nn.Sigmoid())]
        super().__init__(nn.Flatten(), nn.Linear(math.prod(inputs), 32), nn.Sigmoid(), *hidden, nn.Linear(32, outputs))


class Dead(nn.Sequential):
    """Six of ten units have a bias that no input comes up against."""

    def __init__(self, *, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(math.prod(inputs), 10), nn.ReLU(), nn.Linear(10, outputs))
        with torch.no_grad():
            self[1].bias[:6] = -1e3


def mislabelled() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The first 200 digits, of which every second one has a label that the dice gave it."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x, y, dice = x[:200], y[:200].copy(), np.random.default_rng(0)
    y[::2] = dice.integers(0, 10, 100)
    return x, y


def test_a_rate_far_too_high_explodes() -> None:
    """With plain SGD, in the first epoch; what it does to ReLUs is told, too, and the zigzag after it is no overfitting."""
    found = events(optimizer="sgd", lr=3.0, epochs=5)
    assert found.keys() == {"ExplodingGradients", "DeadUnits"}
    assert found["ExplodingGradients"].epoch == 1
    assert "clip_norm" in found["ExplodingGradients"].advice


def test_an_explosion_to_infinity_is_told_on_its_way_and_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """Two events, in the log with what to try."""
    found = events(data="diabetes", optimizer="sgd", lr=1.0, epochs=6)
    assert list(found) == ["ExplodingGradients", "NonFinite"]
    assert re.search(r"NonFinite, epoch 2: (the loss|val_loss) is (inf|nan) (in|after) epoch 2", caplog.text)
    assert "Try: a lower lr" in caplog.text


def test_gradients_that_do_not_reach_the_first_layers() -> None:
    """Eleven sigmoids deep; with a norm between the layers of a network as deep, none is told."""
    found = events(model=f"{__name__}:Deep", optimizer="sgd", lr=0.1, epochs=4)
    assert "VanishingGradients" in found
    assert "DeadUnits" not in found
    settings: dict[str, Any] = {"layers": 11, "width": 32, "normalization": "layer", "lr": 0.003}
    assert events(**settings, epochs=8) == {}


def test_dead_units() -> None:
    """Six of ten hidden units: the share is told."""
    found = events(model=f"{__name__}:Dead", lr=0.01, epochs=3)
    assert found.keys() == {"DeadUnits"}
    assert found["DeadUnits"].found == "60% of 10 ReLU units are zero for all samples of a batch"


def test_a_rate_far_too_low_does_not_move_the_loss() -> None:
    """Said after three epochs, not after one: a warm-up takes its time."""
    found = events(lr=1e-9, epochs=5)
    assert found.keys() == {"LossNotMoving"}
    assert found["LossNotMoving"].epoch == 3


def test_memorising_noise_is_overfitting() -> None:
    """Half of 200 labels are wrong, and a network with room learns them by heart."""
    found = events(data=f"{__name__}:mislabelled", width=256, lr=0.003, epochs=40)
    assert found.keys() == {"Overfitting"}
    assert "train_loss" in found["Overfitting"].found


HEALTHY: list[dict[str, Any]] = [
    {},
    {"lr": 0.01},
    {"optimizer": "sgd", "lr": 0.05},
    {"optimizer": "sgd", "lr": 0.05, "clip_norm": 0.1},
    {"optimizer": "adamw", "lr": 0.003, "dropout": 0.2},
    {"optimizer": "rmsprop", "lr": 0.001, "momentum": 0.5},
    {"optimizer": "muon", "lr": 0.01},
    {"optimizer": "lbfgs", "lr": 1.0, "epochs": 5},
    {"optimizer": "rprop", "epochs": 40},
    {"precision": "fp16", "lr": 0.003},
    {"model": "cnn", "width": 16, "lr": 0.005, "epochs": 5},
    {"model": "resnet", "width": 8, "lr": 0.01, "epochs": 3},
]
SLOWER: list[dict[str, Any]] = [
    {"data": "shapes", "width": 8, "epochs": 3, "batch_size": 16, "lr": 0.02},
    {"data": "boxes", "width": 8, "epochs": 3, "batch_size": 16, "lr": 0.01},
]


@pytest.mark.parametrize(
    "settings",
    [*({**settings, "seed": seed} for settings in HEALTHY for seed in (0, 1, 2)), *SLOWER],
    ids=lambda settings: " ".join(f"{name}={value}" for name, value in settings.items()),
)
def test_no_event_in_a_healthy_training(settings: dict[str, Any]) -> None:
    """To the end, where gradients are tiny, whatever the optimizer, from several first weights."""
    assert events(**{"epochs": 15, **settings}) == {}


@pytest.mark.parametrize("stop", [5, 30, 60])
def test_a_resumed_training_tells_what_an_uninterrupted_one_tells(stop: int, tmp_path: Path) -> None:
    """What was told is not told again, and what was seen is not forgotten."""
    settings: dict[str, Any] = {"lr": 1e-9, "epochs": 4, "width": 16}
    first = events(checkpoints=tmp_path, stop=stop, **settings)
    second = events(checkpoints=tmp_path, **settings)
    assert not first.keys() & second.keys()
    assert first | second == events(**settings)


def test_events_are_tags_of_the_run_and_text_in_tensorboard(tmp_path: Path) -> None:
    """Where a list of runs shows them, and beside the curves; bounded in length."""
    mlflow = pytest.importorskip("mlflow", reason="the trainer's extra is not installed")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/mlflow.db"
    os.environ["HYPERSWEEP_CHECKPOINT_DIR"] = str(tmp_path / "trial")
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = client.create_experiment("events", artifact_location=str(tmp_path / "artifacts"))
    os.environ["MLFLOW_EXPERIMENT_ID"] = experiment
    flags = ["--data=diabetes", "--optimizer=sgd", "--lr=1", "--baselines=false"]
    assert main(flags) == ExitCode.INFEASIBLE
    (run,) = client.search_runs([experiment])
    prefix = "hypersweep.trainer.event."
    tags = {name.removeprefix(prefix): text for name, text in run.data.tags.items() if name.startswith(prefix)}
    assert tags.keys() == {"ExplodingGradients", "NonFinite"}
    assert re.match(r"epoch 2: (the loss|val_loss) is (inf|nan)", tags["NonFinite"])
    written = accumulator.EventAccumulator(str(tmp_path / "trial" / "tensorboard")).Reload()
    text = written.Tensors("events/ExplodingGradients/text_summary")[0].tensor_proto.string_val[0].decode()
    assert text == tags["ExplodingGradients"]


# ---- what is measured, and the rules ------------------------------------------------------------------------------------


def test_the_norm_is_that_before_clipping_and_of_unscaled_gradients() -> None:
    """Whatever clipping and fp16 do to what is left in the weights."""
    norms = []
    for settings in ({}, {"clip_norm": 1e-3}, {"precision": "fp16"}, {"precision": "fp16", "optimizer": "sgd"}):
        training = Training(Settings(**settings), horizon=1)
        training.train_batch(*training.data.batch(training.order[:64]))
        norms.append(gradients(training)[0])
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)
    assert norms[2:] == pytest.approx([norms[0]] * 2, rel=0.02)


def test_dead_channels_of_images_are_counted_as_units() -> None:
    """Of a CNN's convolutions; looking leaves no hook behind."""
    training = Training(Settings(model="cnn", width=16), horizon=1)
    with torch.no_grad():
        training.model[0].bias[:8] = -1e3  # type: ignore[index, operator]
    assert dead_units(training) == (pytest.approx(0.25, abs=0.1), 32)
    assert not any(module._forward_hooks for module in training.model.modules())


@pytest.mark.parametrize(
    "odd", [(0.4, 0.2), (6.0, 0.2)], ids=["below the first one", "above it, while the loss is low"]
)
def test_a_gradient_far_above_the_last_ones_alone_is_no_explosion(odd: tuple[float, float]) -> None:
    """Near the end of a training one batch may differ: what it does to the loss is nothing."""
    seen = Seen(first_loss=2.3)
    for norm, loss in [(0.5, 2.3), *[(1e-4, 1e-3)] * 20, odd]:
        seen.look(loss=loss, norm=norm, ratio=1.0)
        assert due(seen, epoch=1) == []


def test_a_gradient_that_grows_with_the_loss_is_one() -> None:
    """Against the median of the looks before it."""
    seen = Seen(first_loss=2.3)
    for norm, loss in [(0.5, 2.3), (0.5, 2.0), (6.0, 8.0)]:
        seen.look(loss=loss, norm=norm, ratio=1.0)
    assert [event.name for event in due(seen, epoch=1)] == ["ExplodingGradients"]
    assert due(seen, epoch=2) == []


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([(1.0, 1.0), (0.8, 1.2), (0.6, 1.3), (0.4, 1.4)], True),
        ([(1.0, 1.0), (0.8, 1.2), (0.6, 0.9), (0.4, 1.4)], False),  # not in a row
        ([(1.0, 1.0), (0.5, 0.8), (0.6, 1.2), (0.7, 1.3), (0.8, 1.4)], False),  # both rise: that is another fault
        ([(1.0, 0.02), (0.8, 0.03), (0.6, 0.03), (0.4, 0.04)], False),  # twice nearly nothing
    ],
    ids=["apart", "better between", "both worse", "tiny"],
)
def test_overfitting_is_a_gap_that_grows_while_validation_worsens(
    losses: list[tuple[float, float]], *, told: bool
) -> None:
    """For three epochs in a row, by more than noise."""
    seen = Seen(first_loss=1.0)
    for train_loss, val_loss in losses:
        seen.epoch(train=train_loss, val=val_loss)
    assert [event.name for event in due(seen, epoch=4)] == (["Overfitting"] if told else [])


def test_every_event_says_what_to_try_in_bounded_length() -> None:
    """Tags have room for so much."""
    assert all(advice for _, advice in RULES.values())
    assert len(non_finite("x" * 1000, epoch=1).text) == LONGEST


def test_a_checkpoint_holds_what_was_seen_as_plain_values() -> None:
    """There and back."""
    seen = Seen(first_loss=1.0)
    seen.look(loss=1.0, norm=2.0, ratio=None)
    seen.epoch(train=1.0, val=1.0)
    assert Seen.of(seen.document()) == seen
