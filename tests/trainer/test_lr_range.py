"""The range test on real models and data: it finds rates that train, and leaves nothing of itself behind."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from hypersweep_trainer import lr_builtin
from hypersweep_trainer.__main__ import main
from hypersweep_trainer.exits import ExitCode
from hypersweep_trainer.lr_interval import Finding, Verdict
from hypersweep_trainer.lr_range import lr_range_test
from hypersweep_trainer.lr_report import JSON_FILE, PLOT_FILE, TAG
from hypersweep_trainer.settings import Settings
from hypersweep_trainer.startup import defer_compiler

OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-3),
    "lbfgs": lambda p: torch.optim.LBFGS(p, lr=1e-3, max_iter=2),
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Models this small lose time to a second one."""
    torch.set_num_threads(1)
    defer_compiler()


def digits() -> TensorDataset:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return TensorDataset(torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y))


def network() -> nn.Module:
    """Everything that a test could leave a trace in: weights, running statistics, dropout's random numbers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10))


def loader(batch: int = 64) -> DataLoader[Any]:
    return DataLoader(digits(), batch_size=batch, shuffle=True, generator=torch.Generator().manual_seed(0))


def trained_loss(optimizer: str, rate: float) -> float:
    """The loss after two epochs at that rate."""
    model, data = network(), loader()
    stepper = OPTIMIZERS[optimizer](model.parameters())
    stepper.param_groups[0]["lr"] = rate
    for x, y in list(data) * 2:
        stepper.zero_grad()
        cross_entropy(model(x), y).backward()
        stepper.step()
    x, y = digits().tensors
    return float(cross_entropy(model.eval()(x), y).detach())


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_the_interval_trains_and_what_is_far_outside_does_not(optimizer: str) -> None:
    """The middle of the suggestion learns digits in two epochs; a thousandth of its lower end, and 1000 times more, do not."""
    model = network()
    found = lr_range_test(model, OPTIMIZERS[optimizer](model.parameters()), cross_entropy, loader())
    assert found.suggestion is not None, found.reason
    low, high = found.suggestion
    inside = trained_loss(optimizer, (low * high) ** 0.5)
    assert inside < 0.5, found.reason
    assert trained_loss(optimizer, low / 1000) > 1.5
    assert not trained_loss(optimizer, high * 1000) < 1.5


def test_their_ranges_differ() -> None:
    """SGD's rates are larger than Adam's: the reason to test each optimizer by itself."""
    sgd, adam = (
        lr_builtin.find(Settings(optimizer=name, width=16), start=1e-7, end=1, steps=100).suggestion
        for name in ("sgd", "adam")
    )
    assert sgd is not None
    assert adam is not None
    assert sgd[0] > 3 * adam[0]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_nothing_remains_of_it(optimizer: str) -> None:
    """Training goes on afterwards bit by bit as if there had been no test: weights, statistics, optimizer, random numbers."""

    def train(*, tested: bool) -> tuple[dict[str, Any], list[float], float, float]:
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002  # what datasets use
        model, data = network(), loader()
        stepper = OPTIMIZERS[optimizer](model.parameters())
        losses = []
        for epoch in range(2):
            if tested:
                model[3].eval()  # a module in a mode of its own stays in it
                lr_range_test(model, stepper, cross_entropy, data, steps=30)
            model[3].eval()
            for x, y in list(data)[: 5 + epoch]:

                def closure(x: Any = x, y: Any = y) -> Any:
                    stepper.zero_grad()
                    loss = cross_entropy(model(x), y)
                    loss.backward()
                    return loss

                losses.append(float(stepper.step(closure).detach()))
        return model.state_dict(), losses, random.random(), float(np.random.rand() + torch.rand(1))  # noqa: NPY002

    state, losses, *dice = train(tested=False)
    state_after, losses_after, *dice_after = train(tested=True)
    assert losses_after == losses
    assert dice_after == dice
    assert all(torch.equal(state[name], state_after[name]) for name in state)


def test_gradients_modes_and_rates_are_as_before() -> None:
    """Also when a batch raises in the middle."""
    model = network().eval()
    stepper = OPTIMIZERS["adam"](model.parameters())
    gradient = torch.ones_like(model[0].weight)
    model[0].weight.grad = gradient

    def broken() -> Any:
        yield from list(loader())[:3]
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        lr_range_test(model, stepper, cross_entropy, broken())
    assert model[0].weight.grad is gradient
    assert model[4].weight.grad is None
    assert not any(module.training for module in model.modules())
    assert stepper.param_groups[0]["lr"] == 1e-3
    assert not stepper.state


def test_groups_keep_the_ratio_of_their_rates() -> None:
    """The second group at a tenth of the first one's rate, from the first step to the last."""
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[4].parameters(), "lr": 0.01}]
    stepper = torch.optim.SGD(groups)
    seen = []
    lr_range_test(
        model,
        stepper,
        cross_entropy,
        loader(),
        steps=30,
        on_step=lambda _step, rate, _loss: seen.append((rate, *(group["lr"] for group in stepper.param_groups))),
    )
    assert len(seen) == 30
    assert all(first == rate and second == pytest.approx(rate / 10) for rate, first, second in seen)
    assert (seen[0][0], seen[-1][0]) == pytest.approx((1e-7, 1.0))


def test_it_stops_where_the_loss_diverges() -> None:
    """Far beyond the divergence there is nothing to see, and time to lose."""
    model = network()
    found = lr_range_test(
        model, torch.optim.SGD(model.parameters(), lr=1), cross_entropy, loader(), end=1e12, steps=200
    )
    assert found.divergence is not None
    assert len(found.rates) < 150


def test_rprop_has_no_rate_to_test() -> None:
    """Said, not measured: a number would be meaningless."""
    model = network()
    found = lr_range_test(model, torch.optim.Rprop(model.parameters()), cross_entropy, loader())
    assert (found.verdict, found.suggestion) == (Verdict.NO_RATE, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 0}, "0 < start < end"),
        ({"start": 1.0}, "0 < start < end"),
        ({"steps": 1}, "steps ≥ 2"),
    ],
)
def test_bounds_that_are_none_are_refused(options: dict[str, Any], message: str) -> None:
    """Before anything is touched."""
    model = network()
    with pytest.raises(ValueError, match=message):
        lr_range_test(model, OPTIMIZERS["sgd"](model.parameters()), cross_entropy, loader(), **options)


def test_an_empty_loader_is_refused() -> None:
    """Instead of a test without a step."""
    model = network()
    with pytest.raises(ValueError, match="the loader has no batch"):
        lr_range_test(model, OPTIMIZERS["sgd"](model.parameters()), cross_entropy, [])


# ---- the command -------------------------------------------------------------------------------------------------------


def test_the_command_writes_plot_and_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A PNG that is one, and the documented JSON; the verdict on the terminal; the trainer's settings are taken."""
    assert main(["lr-range", "--optimizer=sgd", "--width=16", f"--out={tmp_path}"]) == ExitCode.DONE
    assert (tmp_path / PLOT_FILE).read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / JSON_FILE).read_text())
    assert found["verdict"] == "Falls"
    assert 1e-3 < found["suggestion"]["min"] < found["suggestion"]["max"] < 1
    assert len(found["rates"]) == len(found["losses"])
    assert capsys.readouterr().out.startswith("Falls: the loss, 2.3")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--start=1", "--end=0.1"], "command line: found rates from 1 to 0.1 in 200 steps"),
        (["--steps=3"], "in 3 steps, allowed: 0 < smallest < largest ≤ 1e6, and 20 to 100000 steps"),
        (["--lrr=1"], "command line: --lrr=1: no such setting; did you mean 'lr'?"),
    ],
)
def test_the_commands_mistakes_are_told(flags: list[str], message: str, caplog: pytest.LogCaptureFixture) -> None:
    """One line, and the exit code of bad input."""
    assert main(["lr-range", *flags]) == ExitCode.BAD_INPUT
    assert message in caplog.text


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_a_run_gets_the_artifacts_and_the_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a sweep asks for it: by a variable, into a prepared run, which stays open; nothing is trained."""
    from mlflow import MlflowClient

    store = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    client = MlflowClient(store)
    experiment = client.create_experiment("x", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run)
    monkeypatch.setenv("HYPERSWEEP_RANGE_TEST", '{"min": 1e-6, "max": 1}')
    monkeypatch.setenv("HYPERSWEEP_PARAMETERS", '{"optimizer": "sgd", "width": 16}')
    assert main([]) == ExitCode.DONE
    found = client.get_run(run)
    assert found.info.status == "RUNNING"
    assert json.loads(found.data.tags[TAG])["verdict"] == "Falls"
    assert {file.path for file in client.list_artifacts(run, "lr-range")} == {
        f"lr-range/{JSON_FILE}",
        f"lr-range/{PLOT_FILE}",
    }
    curve = client.get_metric_history(run, "lr_range_loss")
    assert len(curve) > 50
    assert "val_loss" not in found.data.metrics


@pytest.mark.parametrize("asked", ["yes", "[]", '{"min": 1}', '{"min": "a", "max": 1}'])
def test_a_sweeps_request_that_cannot_be_read_is_refused(
    asked: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not taken for a training."""
    monkeypatch.setenv("HYPERSWEEP_RANGE_TEST", asked)
    assert main([]) == ExitCode.BAD_INPUT
    assert "HYPERSWEEP_RANGE_TEST: found" in caplog.text


def test_the_built_in_test_is_the_same_for_the_same_seed() -> None:
    """Rates and losses, to the last bit."""

    def find() -> Finding:
        return lr_builtin.find(Settings(width=16, dropout=0.1), start=1e-6, end=1, steps=50)

    assert find() == find()
