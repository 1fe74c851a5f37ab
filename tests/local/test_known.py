"""What a sweep knows before it begins, on a laptop: real processes, a real MLflow."""

import json
import sys

import pytest

from hypersweep.core.spec import SweepSpec
from hypersweep.core.strategies import suggest
from hypersweep.core.trial import Outcome, Trial
from tests.local.conftest import Folder

pytestmark = pytest.mark.tracking

GOOD = 0.13  # of lr from 0.1 to 0.9, which is the loss


def sweep(name: str, **spec: object) -> dict[str, object]:
    """A sweep of trials whose loss is their lr; other fields by name."""
    container = {"name": "train", "image": "x", "command": [sys.executable, "trial.py"]}
    search = {
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": [{"name": "lr", "type": "Float", "min": 0.1, "max": 0.9}],
        "strategy": {"name": "GP", "seed": 3},
        "trials": {"max": 15, "parallel": 1},
        "job": {"arguments": "Flags", "template": {"spec": {"template": {"spec": {"containers": [container]}}}}},
    }
    head = {"apiVersion": "hypersweep.dev/v1alpha1", "kind": "HyperparameterSweep", "metadata": {"name": name}}
    return {**head, "spec": {**search, **spec}}


def run(folder: Folder, document: dict[str, object]) -> tuple[int, str]:
    (folder.path / "sweep.yaml").write_text(json.dumps(document))
    return folder.run("run", "sweep.yaml", "--tracking-uri", folder.uri)


def trials_without_help(document: dict[str, object], loss: float) -> int:
    """How many trials the same search needs to get there when it knows nothing before."""
    spec, trials = SweepSpec.model_validate({**document["spec"], "warmStart": []}), list[Trial]()  # type: ignore[dict-item]
    while not trials or (trials[-1].value or 0.0) > loss:
        index = len(trials)
        found = suggest(spec, history=trials, pending=(), trial=index) or {}
        value = float(found["lr"])
        trials.append(Trial(index=index, run="", parameters=found, outcome=Outcome.SUCCEEDED, value=value))
    return len(trials)


def test_a_sweep_that_learns_from_another_needs_fewer_trials(folder: Folder) -> None:
    """Also where the other was a random one, over a wider range: what does not fit is said."""
    wide = [{"name": "lr", "type": "Float", "min": 0.1, "max": 1.2}]
    other = f"{folder.name}-other"
    code, out = run(
        folder, sweep(other, parameters=wide, strategy={"name": "Random", "seed": 1}, trials={"max": 12, "parallel": 4})
    )
    assert code == 0, out
    document = sweep(
        folder.name, warmStart=[{"experiment": other}], stopWhen={"targets": [{"metric": "loss", "value": GOOD}]}
    )
    code, out = run(folder, document)
    assert code == 0, out
    assert "of 12 runs taken, left out: " in out
    assert "OutsideSpace" in out
    assert "TargetReached" in out
    needed = len(list((folder.path / "hypersweep-runs" / folder.name).glob("trial-*")))
    assert needed * 2 < trials_without_help(document, GOOD)


def test_an_experiment_that_is_not_there_ends_the_command_with_its_place(folder: Folder) -> None:
    """A misspelled name must not cost a night of trials that know nothing."""
    code, out = run(folder, sweep(folder.name, warmStart=[{"experiment": "digtis"}]))
    assert code == 1
    assert 'spec.warmStart[0].experiment: found "digtis"; there is no such experiment' in out
    assert not folder.started()


def test_the_second_of_two_equal_sweeps_starts_no_process(folder: Folder) -> None:
    """It says whose results it has."""
    document = sweep(
        folder.name,
        reuse={"dataFingerprint": "v1"},
        strategy={"name": "Random", "seed": 1},
        trials={"max": 3, "parallel": 3},
        tracking={"experiment": folder.name},
    )
    text = json.dumps(document).replace('"image": "x"', f'"image": "x@sha256:{"a" * 64}"')
    code, out = run(folder, json.loads(text))
    assert code == 0, out
    assert len(folder.started()) == 3
    code, out = run(folder, json.loads(text.replace(f'"name": "{folder.name}"', f'"name": "{folder.name}-2"')))
    assert code == 0, out
    assert out.count("the result of run ") == 3
    assert len(folder.started()) == 3
