"""Reproducible: the same seed on the same machine gives the same numbers, in another process, across restarts, with workers."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hypersweep_trainer.data.folder import Images
from hypersweep_trainer.exits import Interrupted
from hypersweep_trainer.train import train
from tests.trainer.runs import History, StopAfter, job, learn, run

SETTINGS: dict[str, Any] = {"width": 8, "epochs": 3, "dropout": 0.2, "seed": 11}
FLAGS = [f"--{name}={value}" for name, value in SETTINGS.items()]


def epochs(printed: str) -> list[str]:
    """The lines of epochs, without what the clock says."""
    lines = [line for line in printed.splitlines() if line.startswith("epoch")]
    return [re.sub(r" samples_per_second=\S+", "", line) for line in lines]


def test_another_process_gives_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of the process counts, such as its hashes' seed or what it computed before."""
    learn(**SETTINGS)
    here = epochs(capsys.readouterr().out)
    assert len(here) == 3
    assert epochs(run(*FLAGS, environment={"PYTHONHASHSEED": "1"}).stdout) == here


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """60 images of two classes, which are read by threads while training."""
    dice = np.random.default_rng(0)
    for name, shade in (("dark", 80), ("bright", 160)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(30):
            pixels = dice.normal(shade, 60, (12, 12, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that take a different time each time, so that threads finish in any order."""
    read = Images._read

    def late(self: Images, path: Path) -> Any:
        time.sleep(random.random() / 200)
        return read(self, path)

    monkeypatch.setattr(Images, "_read", late)


def photo_settings(photos: Path) -> dict[str, Any]:
    return {**SETTINGS, "data": str(photos), "model": "cnn", "layers": 1, "batch_size": 8}


def test_workers_change_no_number(photos: Path, request: pytest.FixtureRequest) -> None:
    """However fast each file is read, samples come in the order that the seed gave."""
    quick = learn(**photo_settings(photos))
    request.getfixturevalue("jitter")
    assert learn(**photo_settings(photos)) == quick


def test_a_restart_with_workers_changes_no_number(photos: Path, tmp_path: Path, jitter: None) -> None:
    """Stopped while batches were being fetched ahead: the next attempt takes those that were not trained on."""
    whole = learn(**photo_settings(photos))
    work = job(checkpoints=tmp_path / "checkpoints", **photo_settings(photos))
    parts = History()
    for stop in (4, 5):
        with pytest.raises(Interrupted):
            train(work, tracker=parts, interruption=StopAfter(stop))
    train(work, tracker=parts, interruption=StopAfter())
    assert parts.epochs == whole
