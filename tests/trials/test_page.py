"""docs/trials.md says what the source says."""

import re
from pathlib import Path

import pytest

from hypersweep.core.environment import YIELDING, environment
from hypersweep.core.exits import CODES
from hypersweep.core.trial import Reason
from tests.core.builders import make_spec, make_trial

PAGE = (Path(__file__).parents[2] / "docs" / "trials.md").read_text()


class Here:
    uri, experiment = "http://mlflow:5000", "4"


def test_every_variable_is_on_the_page() -> None:
    """What a trial is told is an interface: no name of it is undocumented, and none is made up."""
    spec = make_spec(trainer={"settings": {"epochs": 1}}, job=None)
    told = environment(
        spec=spec, sweep="a", identity="b", trial=make_trial(0), tracking=Here(), checkpoints="/checkpoints"
    )
    ours = {name for name in told if not name.startswith("HP_")}
    rows = re.findall(r"^\| (`[^|]+) \|", PAGE.split("## What it is told")[1].split("\n\n**")[0], re.MULTILINE)
    documented = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert documented == ours
    assert ours >= YIELDING


@pytest.mark.parametrize(("code", "reason"), CODES.items())
def test_every_exit_code_is_on_the_page(code: int, reason: Reason) -> None:
    """With the reason that it is taken for."""
    assert re.search(rf"^\| {code}\b[^|]*\|[^|]*`{reason}`", PAGE, re.MULTILINE)
