"""Interruption and checkpoints: whatever happens between two batches, the end is the same, bit by bit."""

from __future__ import annotations

import math
import random
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hypersweep_trainer.checkpoint import Checkpoints
from hypersweep_trainer.exits import BadInputError, Interrupted
from hypersweep_trainer.tracking import Metrics
from hypersweep_trainer.train import train
from tests.trainer.runs import History, StopAfter, job

EPOCHS = 4
MLP: dict[str, Any] = {
    "epochs": EPOCHS,
    "width": 16,
    "dropout": 0.2,
    "batch_size": 128,
    "schedule": "constant",
    "tensorboard": False,  # the directory holds checkpoints only
}  # 12 batches an epoch
KINDS: dict[str, dict[str, Any]] = {
    "adam": {**MLP, "schedule": "cosine"},
    "sgd": {**MLP, "optimizer": "sgd", "nesterov": True},
    "rprop": {**MLP, "optimizer": "rprop"},
    "cnn": {**MLP, "model": "cnn", "width": 4},
    "everything": {
        **MLP,
        "optimizer": "adamw",
        "schedule": "plateau",
        "plateau_patience": 0,
        "normalization": "batch",
        "weight_decay": 0.1,
        "ema": 0.9,
        "clip_norm": 1.0,
        "accumulate": 2,
        "precision": "fp16",
        "test_fraction": 0.1,
    },
    **{name: {**MLP, "optimizer": name} for name in ("nadam", "radam", "rmsprop", "adafactor", "muon", "lbfgs")},
    **{name: {**MLP, "schedule": name} for name in ("linear", "one_cycle", "triangular", "cosine_restarts")},
}
KINDS["lbfgs"] |= {"dropout": 0.0}
KINDS["triangular"] |= {"cycle_epochs": 2}
STEPS = {  # in an epoch, where it is not 12
    "rprop": 1,
    "lbfgs": 1,
    "everything": 10,
}


def attempt(directory: Path, *, stop: int | None = None, **settings: Any) -> list[Metrics]:
    """One attempt of a trial, stopped after so many batches; the metrics of its epochs."""
    history = History()
    try:
        train(job(checkpoints=directory, **settings), tracker=history, interruption=StopAfter(stop))
    except Interrupted:
        assert stop is not None
    return history.epochs


def final(directory: Path) -> dict[str, Any]:
    """The newest checkpoint, without what depends on the clock."""
    state = Checkpoints(directory).latest()
    assert state is not None
    del state["training"]["seconds"], state["tracking"]
    return state


def assert_equal(left: Any, right: Any) -> None:
    """Equal to the last bit, however deep."""
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_equal(left[key], right[key])
    elif isinstance(left, list | tuple):
        for one, other in zip(left, right, strict=True):
            assert_equal(one, other)
    else:
        assert left == right


@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_anywhere_the_end_is_bit_equal(kind: str, tmp_path: Path) -> None:
    """At 222 seeded points in all, up to seven in one training: the same metrics, weights, optimizer and random numbers."""
    settings = KINDS[kind]
    batches = EPOCHS * STEPS.get(kind, 12)
    expected = attempt(tmp_path / "whole", **settings)
    dice = random.Random(kind)
    for round_ in range(4 if kind in ("adam", "everything") else 2):
        directory = tmp_path / f"{round_}"
        points = sorted(dice.sample(range(batches), k=min(7, batches - 1)))
        epochs: list[Metrics] = []
        for stop in [b - a for a, b in zip([0, *points], points, strict=False)]:
            epochs += attempt(directory, stop=stop, **settings)
        epochs += attempt(directory, **settings)
        assert epochs == expected, f"interrupted after batches {points}"
        assert_equal(final(directory), final(tmp_path / "whole"))


def test_a_promoted_trial_goes_on_where_its_smaller_budget_ended(tmp_path: Path) -> None:
    """Budget 1, then 3, then 4 from one directory is the same as 4 at once."""
    settings = {**KINDS["adam"], "epochs": 4}
    first, second, third = (attempt(tmp_path / "steps", budget=budget, **settings) for budget in (1, 3, 4))
    assert (len(first), len(second), len(third)) == (1, 2, 1)
    assert first + second + third == attempt(tmp_path / "whole", **settings)


def test_a_finished_trial_does_not_train_again(tmp_path: Path) -> None:
    """Another attempt after the end only reports the end."""
    attempt(tmp_path, **MLP)
    history = History()
    train(job(checkpoints=tmp_path, **MLP), tracker=history, interruption=StopAfter())
    assert history.epochs == []
    assert history.step == EPOCHS
    assert history.metrics["val_accuracy"] > 0


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [cut, flip, lambda _: b""], ids=["truncated", "one bit flipped", "empty"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(
    damage: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost but the epoch between the two, and the end is the same."""
    expected = attempt(tmp_path / "whole", **MLP)
    attempt(tmp_path / "trial", **{**MLP, "epochs": 3})
    newest = max((tmp_path / "trial").iterdir())
    newest.write_bytes(damage(newest.read_bytes()))

    assert attempt(tmp_path / "trial", **MLP) == expected[2:]
    assert f"{newest} is damaged" in caplog.text
    assert_equal(final(tmp_path / "trial"), final(tmp_path / "whole"))
    assert newest.with_suffix(".damaged").exists()


def test_with_all_checkpoints_damaged_training_starts_afresh(tmp_path: Path) -> None:
    """Late is better than wrong."""
    expected = attempt(tmp_path, **MLP)
    for path in tmp_path.iterdir():
        path.write_bytes(cut(path.read_bytes()))
    assert attempt(tmp_path, **MLP) == expected


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    """The last, and the one to fall back on; no temporary files, not even of a process that was killed."""
    (tmp_path / "epoch-0000001.123.tmp").write_bytes(b"half")
    attempt(tmp_path, **MLP)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:27] for name in names] == ["epoch-0000003-batch-0000000", "epoch-0000004-batch-0000000"]


def test_checkpoint_every_spaces_them(tmp_path: Path) -> None:
    """0 writes one at the end; 3 after every third epoch, and at the end."""
    attempt(tmp_path / "end", **MLP, checkpoint_every=0)
    attempt(tmp_path / "third", **MLP, checkpoint_every=3)
    assert [int(path.name[6:13]) for path in sorted((tmp_path / "end").iterdir())] == [4]
    assert [int(path.name[6:13]) for path in sorted((tmp_path / "third").iterdir())] == [3, 4]


def test_a_checkpoint_of_an_older_version_goes_on(tmp_path: Path) -> None:
    """It lacks what later versions added; the end is the same, but for what was seen of gradients."""
    expected = attempt(tmp_path / "whole", **MLP)
    epochs = attempt(tmp_path / "old", stop=20, **MLP)
    checkpoints = Checkpoints(tmp_path / "old")
    state = checkpoints.latest()
    assert state is not None
    for added in ("watch", "bounds"):
        del state["training"][added]
    for setting in ("heads", "mistakes"):
        del state["training"]["settings"][setting]
    checkpoints.save(state, epoch=1, batch=8)
    assert epochs + attempt(tmp_path / "old", **MLP) == expected
    ends = [final(tmp_path / name)["training"] for name in ("old", "whole")]
    for end in ends:
        del end["watch"]
    assert_equal(*ends)


def test_a_directory_of_other_settings_is_refused(tmp_path: Path) -> None:
    """Two trials must not share a directory; what may differ between attempts may."""
    attempt(tmp_path, **MLP)
    with pytest.raises(BadInputError, match=r"other settings \(width 16, now 32; lr 0.001, now 0.01\)"):
        attempt(tmp_path, **{**MLP, "width": 32, "lr": 0.01})
    attempt(tmp_path, **{**MLP, "checkpoint_every": 2, "threads": 2, "tracking_patience": 1})


class Own(nn.Module):
    """A network of the user's, whose size is not a setting."""

    hidden = 8

    def __init__(self, *, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        layers = nn.Linear(math.prod(inputs), self.hidden), nn.ReLU(), nn.Linear(self.hidden, outputs)
        self.layers = nn.Sequential(nn.Flatten(), *layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layers(x)
        return result


def test_weights_of_another_architecture_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings are the same, the user's code is not: said with the first weight that does not fit."""
    settings = {**MLP, "model": f"{__name__}:Own"}
    attempt(tmp_path, **settings)
    kept = sorted(tmp_path.iterdir())
    monkeypatch.setattr(Own, "hidden", 16)
    with pytest.raises(BadInputError, match=r"weights of another model.*layers.1.weight.*\[8, 64\].*\[16, 64\]"):
        attempt(tmp_path, **settings)
    assert sorted(tmp_path.iterdir()) == kept


def test_a_directory_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    """Before an epoch is spent."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match=r"checkpoint directory: found .*/file/below \(Not a directory\)"):
        attempt(tmp_path / "file" / "below", **MLP)


def test_a_full_disk_costs_the_checkpoint_not_the_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The last good checkpoint stays, and the warning says why the new one is missing."""
    before = attempt(tmp_path, **{**MLP, "epochs": 1})
    kept = list(tmp_path.iterdir())
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, allowed[1]))  # to a file it looks like a full disk
    try:
        after = attempt(tmp_path, **MLP)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert len(before + after) == EPOCHS
    assert "checkpoint of epoch 4 not written ([Errno 27] File too large); the last good one is kept" in caplog.text
    assert list(tmp_path.iterdir()) == kept


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    """A file with the right checksum but something other than tensors and plain values inside is not unpickled."""
    assert Checkpoints(tmp_path).save({"evil": Path("/")}, epoch=1, batch=0)
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        Checkpoints(tmp_path).latest()
