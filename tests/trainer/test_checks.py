"""`--check`: each verdict, raised by what it is for and not raised by a sound training. Real data throughout."""

import csv
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from matplotlib.image import imread
from torch import Tensor, nn

from hypersweep_trainer import checks, samples
from hypersweep_trainer.__main__ import main
from hypersweep_trainer.checks import Verdict
from hypersweep_trainer.exits import ExitCode
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.train import Training
from tests.trainer import runs

SMALL = {"layers": 1, "width": 32, "lr": 0.003}


def training(**settings: object) -> Training:
    return Training(Settings(**{"data": "wine", **SMALL, **settings}), horizon=1)  # type: ignore[arg-type]


@pytest.fixture
def sound() -> Training:
    return training()


class Half(nn.Module):
    """Has a layer that nothing is asked of."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.forgotten = inner, nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.inner(x)
        return answer


class Loud(nn.Module):
    """Is very sure of itself before it knows anything."""

    def __init__(self, inner: nn.Module, by: float) -> None:
        super().__init__()
        self.inner, self.by = inner, by

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.inner(x)
        return answer * self.by


def with_targets_dealt_anew(found: Training) -> Training:
    """As if inputs and targets had been shuffled apart."""
    order = torch.randperm(len(found.data.y), generator=torch.Generator().manual_seed(1))
    found.data = replace(found.data, y=found.data.y[order])
    return found


@pytest.mark.parametrize("data", ["digits", "wine", "breast_cancer", "diabetes"])
def test_what_ships_with_default_settings_passes_every_check(data: str) -> None:
    found = list(checks.run(training(data=data, width=64, layers=2)))
    assert [check.name for check in found] == ["initial loss", "gradients", "one batch", "labels", "reduced data"]
    assert {check.name: check for check in found if check.verdict is not Verdict.OK} == {}


def test_boxes_and_masks_can_be_checked() -> None:
    """One step each: these are slow, and it is the joints that are tried."""
    for data in ("shapes", "boxes"):
        found = training(data=data, width=4)
        assert checks.initial_loss(found).verdict is Verdict.OK
        assert checks.gradients(found).verdict is Verdict.OK


def test_a_loss_far_from_what_the_ignorant_have_is_told(sound: Training) -> None:
    """ln(3) for the three wines; 30 times as sure is suspicious, 3000 times as sure is broken."""
    assert "who knows nothing has 1.099" in checks.initial_loss(sound).found
    inner = sound.model
    for by, verdict in ((30.0, Verdict.WARN), (3000.0, Verdict.FAIL), (torch.nan, Verdict.FAIL)):
        sound.model = Loud(inner, by)
        assert checks.initial_loss(sound).verdict is verdict, by


def test_a_layer_that_no_gradient_reaches_is_named(sound: Training) -> None:
    sound.model = sound.forward = Half(sound.model)
    found = checks.gradients(sound)
    assert found.verdict is Verdict.FAIL
    assert "forgotten.weight, forgotten.bias" in found.found


def test_gradients_that_are_not_finite_are_named(sound: Training) -> None:
    next(sound.model.parameters()).register_hook(lambda grad: grad * torch.inf)
    found = checks.gradients(sound)
    assert (found.verdict, found.found.startswith("not finite in ")) == (Verdict.FAIL, True)


@pytest.mark.parametrize(("lr", "advice"), [(1e-7, "find a learning rate by lr-range"), (100, "lower lr")])
def test_a_rate_that_learns_no_batch_fails(lr: float, advice: str) -> None:
    found = checks.one_batch(training(lr=lr, optimizer="sgd"))
    assert found.verdict is Verdict.FAIL
    assert advice in found.advice


def test_dropout_is_no_hindrance_to_learning_a_batch_by_heart() -> None:
    assert checks.one_batch(training(dropout=0.9)).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("data", "verdict"), [("breast_cancer", Verdict.FAIL), ("diabetes", Verdict.FAIL), ("wine", Verdict.WARN)]
)
def test_shuffled_targets_are_found_out(data: str, verdict: Verdict) -> None:
    """One batch can still be learnt by heart: that it can says nothing of the targets. Few samples leave it at a warning."""
    found = {check.name: check for check in checks.run(with_targets_dealt_anew(training(data=data)))}
    assert found["one batch"].verdict is Verdict.OK
    assert found["labels"].verdict is verdict
    assert "joined apart" in found["labels"].advice
    assert found["reduced data"].verdict is Verdict.FAIL


@pytest.mark.parametrize(("lr", "advice"), [(1e-7, "raise lr"), (100, "lower lr")])
def test_where_nothing_is_learnt_nothing_is_said_of_the_targets(lr: float, advice: str) -> None:
    wrong = training(lr=lr, optimizer="sgd")
    for check, verdict in ((checks.labels, Verdict.WARN), (checks.reduced, Verdict.FAIL)):
        found = check(wrong)
        assert (found.verdict, found.advice.startswith(advice)) == (verdict, True), found


def test_checks_leave_the_training_as_it_was(sound: Training) -> None:
    before = {name: value.clone() for name, value in sound.model.state_dict().items()}
    list(checks.run(sound))
    assert all(torch.equal(value, before[name]) for name, value in sound.model.state_dict().items())
    assert sound.optimizer.state_dict()["state"] == {}


# ---- what the data look like -------------------------------------------------------------------------------------------


def test_images_become_a_page(tmp_path: Path) -> None:
    """Sixteen digits, in a file that is a picture and not all of one colour."""
    path = samples.write(training(data="digits").data, tmp_path)
    page = imread(path)
    assert path.name == "samples.png"
    assert page.shape[:2] == (880, 800)
    assert page.std() > 0.1


def test_rows_become_a_table_with_the_target_in_its_own_units(tmp_path: Path) -> None:
    data = training(data="diabetes").data
    with samples.write(data, tmp_path).open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["target", *(f"x{i}" for i in range(10))]
    assert len(rows) == 17
    first = data.y[data.train[0]].item() * data.std + data.mean
    assert float(rows[1][0]) == pytest.approx(first, abs=0.5)
    assert 25 <= first <= 346


def test_the_summary_tells_sizes_and_shares_of_classes() -> None:
    told = "\n".join(samples.summary(training(data="breast_cancer").data))
    assert "classification: 456 samples to train, 113 to validate, 0 to test" in told
    assert "malignant 37." in told


# ---- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_ends_with_0_and_leaves_its_files(folder: Path) -> None:
    done: subprocess.CompletedProcess[str] = runs.run("--check", "--data=wine", f"--out={folder / 'x'}")
    assert done.returncode == 0, done.stderr
    assert "OK   labels: validation loss" in done.stdout
    assert "epoch" not in done.stdout
    said = json.loads((folder / "x" / "check.json").read_text())
    assert [check["verdict"] for check in said] == ["OK"] * 5
    assert (folder / "x" / "samples.csv").exists()


def test_a_failed_check_has_an_exit_code_of_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--data=wine", "--lr=1e-7"]) == ExitCode.CHECK_FAILED == 67
    assert "FAIL one batch: accuracy" in capsys.readouterr().out
    assert (folder / "check" / "check.json").exists()


def test_a_setting_that_is_none_is_bad_input(folder: Path) -> None:
    assert main(["--check", "--dat=wine"]) == ExitCode.BAD_INPUT
    assert list(folder.iterdir()) == []
