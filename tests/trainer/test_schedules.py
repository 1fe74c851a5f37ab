"""Learning rates: each schedule's shape, and agreement with torch's own where it has one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hypersweep_trainer.schedules import Plan, Plateau, learning_rate
from hypersweep_trainer.settings import Settings
from tests.trainer.runs import learn

PLAN = Plan(steps=100, per_epoch=10)


def rates(**settings: Any) -> list[float]:
    """The rate of each step of the plan."""
    chosen = Settings(**{"lr": 1.0, "warmup": 0.0, **settings})
    return [learning_rate(chosen, PLAN, step) for step in range(PLAN.steps)]


def torch_rates(make: Any) -> list[float]:
    """What a scheduler of torch does with a rate of 1 over the same steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    found = []
    for _ in range(PLAN.steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("settings", "make"),
    [
        ({"schedule": "cosine"}, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 100)),
        ({"schedule": "linear"}, lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, 100)),
        ({"schedule": "polynomial"}, lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 100, 2.0)),
        ({"schedule": "one_cycle"}, lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1.0, 101, cycle_momentum=False)),
        (
            {"schedule": "triangular", "cycle_epochs": 4, "final_lr": 0.1},
            lambda o: torch.optim.lr_scheduler.CyclicLR(o, 0.1, 1.0, 20, cycle_momentum=False),
        ),
        (
            {"schedule": "cosine_restarts", "cycle_epochs": 2, "cycle_growth": 2},
            lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 20, 2),
        ),
    ],
    ids=lambda value: value["schedule"] if isinstance(value, dict) else "",
)
def test_schedules_agree_with_torch(settings: dict[str, Any], make: Any) -> None:
    """Step by step."""
    tolerance = 0.02 if settings["schedule"] == "one_cycle" else 1e-6  # torch's wants one step more than are taken
    assert rates(**settings) == pytest.approx(torch_rates(make), abs=tolerance)


def test_warm_up_rises_step_by_step_and_the_schedule_follows() -> None:
    """A tenth of the steps from near 0 to lr, the rest as a cosine down to final_lr."""
    found = rates(schedule="cosine", warmup=0.1, final_lr=0.1)
    assert found[0] == pytest.approx(1 / 11)
    assert found[:11] == sorted(found[:11])
    assert found[10] == 1.0
    assert found[10:] == sorted(found[10:], reverse=True)
    assert 0.1 < found[-1] < 0.11


def test_a_constant_rate_is_constant() -> None:
    """And those optimizers that find their own steps keep theirs, whatever the schedule."""
    assert set(rates(schedule="constant")) == {1.0}
    assert set(rates(schedule="cosine", optimizer="rprop", warmup=0.5)) == {1.0}


def test_plateau_lowers_the_rate_when_nothing_gets_better() -> None:
    """After its patience, by its factor, never below final_lr; an improvement sets the patience back."""
    plateau = Plateau(Settings(schedule="plateau", plateau_patience=1, plateau_factor=0.1, final_lr=0.05))
    seen = []
    for loss in (1.0, 0.9, 0.95, 0.8, 0.85, 0.85, 0.85, 0.85):
        plateau.see(loss)
        seen.append(plateau.factor)
    assert seen == [1, 1, 1, 1, 1, 0.1, 0.1, 0.05]


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "linear"},
        {"schedule": "polynomial"},
        {"schedule": "constant"},
        {"schedule": "one_cycle", "lr": 0.02},
        {"schedule": "triangular", "cycle_epochs": 4, "lr": 0.01},
        {"schedule": "cosine_restarts", "cycle_epochs": 2, "cycle_growth": 2},
        {"schedule": "plateau", "plateau_patience": 1},
    ],
    ids=lambda value: value["schedule"],
)
def test_digits_are_learnt_with_every_schedule(settings: dict[str, Any]) -> None:
    """To 0.95, with the rate reported after each epoch."""
    epochs = learn(**{"lr": 0.005, "epochs": 8, "width": 32, "baselines": False, **settings})
    assert epochs[-1]["val_accuracy"] >= 0.95
    assert all(0 < metrics["lr"] <= settings.get("lr", 0.005) for metrics in epochs)
