"""What a person sees of a sweep on a laptop, where what is told holds brackets and colons."""

from types import SimpleNamespace
from typing import Any

import pytest

from hypersweep.core.aim import Aim
from hypersweep.core.snapshot import Ending
from hypersweep.core.tally import Tally
from hypersweep.local.display import Display
from tests.core.builders import ended, make_spec

LOG = "[/usr/lib/train.py:12] no data for [relu, gelu] :x:"


def test_a_line_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """What looks like the end of a tag ended the command, and what looks like a tag was left out."""
    Display().note(LOG)
    assert capsys.readouterr().err.split() == LOG.split()


def test_the_end_and_the_table_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """The end's message holds the last words of a log, and the table values of the user's."""
    spec = make_spec(
        objectives=[{"metric": "loss[val]", "goal": "Minimize"}],
        parameters=[{"name": "units", "type": "Categorical", "values": ["[relu]", "[/a]", ":x:"]}],
    )
    history = [ended(i, float(i), parameters={"units": units}) for i, units in enumerate(["[relu]", "[/a]", ":x:"])]
    loop: Any = SimpleNamespace(
        spec=spec,
        book=SimpleNamespace(tally=Tally.of(Aim.of(spec), history)),
        decision=SimpleNamespace(ending=Ending(reason="RepeatedFailure", message=LOG, complete=False)),
        errands=SimpleNamespace(told={}),
    )
    host: Any = SimpleNamespace(world=SimpleNamespace(folder="runs/[a]"), trial_uri="sqlite:///[/b].db")
    Display().final(loop, host)
    out = " ".join(capsys.readouterr().out.split())
    for text in ("loss[val]", "[relu]", "[/a]", ":x:", f"RepeatedFailure: {LOG}", "logs in runs/[a]", "[/b].db"):
        assert text in out
