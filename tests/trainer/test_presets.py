"""Published values: complete, allowed, cited, and good to learn with."""

import pytest

from hypersweep_trainer.options import read_job
from hypersweep_trainer.presets import pairs, published
from hypersweep_trainer.settings import Settings
from tests.trainer.runs import learn

OPTIMIZERS = Settings.model_json_schema()["properties"]["optimizer"]["enum"]


def test_every_optimizer_has_values_with_a_source() -> None:
    assert [optimizer for model, optimizer in pairs() if not model] == OPTIMIZERS
    for pair in pairs():
        preset = published(*pair)
        assert "lr" in preset
        assert all(one.source for one in preset.values())


@pytest.mark.parametrize(("model", "optimizer"), pairs())
def test_the_trainer_takes_them(model: str, optimizer: str) -> None:
    """Through the same door as a user's, with their own values before the published ones."""
    data = {"unet": "shapes", "detector": "boxes"}.get(model, "digits")
    argv = [f"--data={data}", f"--model={model or 'mlp'}", f"--optimizer={optimizer}", "--defaults=published"]
    taken = read_job(argv, {}).settings
    assert {name: getattr(taken, name) for name in published(model, optimizer)} == {
        name: one.value for name, one in published(model, optimizer).items()
    }
    assert read_job([*argv, "--lr=0.25"], {}).settings.lr == 0.25
    assert read_job(argv, {"HYPERSWEEP_PARAMETERS": '{"lr": 0.25}'}).settings.lr == 0.25


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_digits_are_learnt_with_them(optimizer: str) -> None:
    """With what is published for the optimizer alone (slow ones for longer trainings); a constant reaches 0.1."""
    settings = read_job([f"--optimizer={optimizer}", "--defaults=published", "--epochs=20"], {}).settings
    assert learn(**settings.model_dump() | {"baselines": False})[-1]["val_accuracy"] > 0.85
