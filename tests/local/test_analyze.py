"""`hypersweep analyze` on a real MLflow: by name, by file, by experiment, with plots, and while a sweep runs."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypersweep.cli.main import main
from hypersweep.core.goyaml import dump
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Outcome, Result, Trial
from hypersweep.tracking.ledger import Identity, Ledger, search_hash
from hypersweep.tracking.rest import RestStore
from tests.core.histories import history, make_sweep
from tests.local.conftest import Folder
from tests.tracking.stores import QUIET

pytestmark = [pytest.mark.tracking, QUIET]
SPACE = [
    {"name": "lr", "type": "Float", "min": 1e-4, "max": 1, "scale": "Log"},
    {"name": "layers", "type": "Integer", "min": 1, "max": 6},
]


def trials(count: int, seed: int = 0) -> list[Trial]:
    """Only lr matters."""
    return history(lambda p: 5 * abs(p["lr"] - 0.5), parameters=SPACE, count=count, seed=seed, noise=0.1)


async def _record(
    uri: str,
    sweep: str,
    known: list[Trial],
    *,
    experiment: str = "",
    still_open: int = 0,
    spec: SweepSpec | None = None,
) -> Ledger:
    """A sweep in MLflow, as the engine would have left it; the last few trials without an end."""
    spec = spec or make_sweep(SPACE)
    store = RestStore(uri)
    identity = Identity(sweep=sweep, search=search_hash(spec), experiment=experiment or sweep)
    ledger = Ledger(store, identity, lineage={})
    await ledger.open(time.time())
    await ledger.describe(spec)
    for trial in known:
        made = await ledger.plan(trial.index, trial.parameters, name="", retry="", tags={}, now=time.time())
        if trial.index < len(known) - still_open:
            await ledger.commit(made, Result(outcome=trial.outcome, value=trial.value, reason=trial.reason))
    await store.close()
    return ledger


def record(*arguments: Any, **options: Any) -> None:
    asyncio.run(_record(*arguments, **options))


class Analyze:
    """The command, in this process: importing mlflow once is enough."""

    def __init__(self, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capsys = folder, capsys

    def __call__(self, *arguments: str) -> tuple[int, str]:
        code = main(["analyze", "--tracking-uri", self._folder.uri, *arguments])
        out, err = self._capsys.readouterr()
        return code, out + err


@pytest.fixture
def analyze(folder: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Analyze:
    monkeypatch.chdir(folder.path)
    monkeypatch.setenv("COLUMNS", "200")
    return Analyze(folder, capsys)


def test_a_running_sweep_is_analyzed_by_its_name(folder: Folder, analyze: Analyze) -> None:
    """The findings, and on how many trials they rest; the plots are pictures."""
    record(folder.uri, folder.name, trials(28), still_open=3)
    code, out = analyze(folder.name, "--output", "json", "--plots", "plots")
    assert code == 0, out
    found, end = json.JSONDecoder().raw_decode(out)
    (loss,) = found["objectives"]
    assert (found["trials"], found["counts"]) == (28, {"Open": 3, "Succeeded": 25})
    assert [(p["name"], p["certain"]) for p in loss["parameters"]] == [("lr", True), ("layers", False)]
    assert "3 of the trials have not ended" in str(found["notes"])
    assert len(loss["lessons"]) == 5
    written = out[end:].split()
    assert [Path(p).name for p in written] == ["history.png", "parallel.png", "importance.png", "effects.png"]
    assert all((folder.path / p).read_bytes().startswith(b"\x89PNG") for p in written)


def test_a_sweep_of_few_trials_is_told_what_is_missing(folder: Folder, analyze: Analyze) -> None:
    record(folder.uri, folder.name, trials(7))
    code, out = analyze(folder.name)
    assert code == 0, out
    assert "it takes 20 finite results of loss, and there are 7" in " ".join(out.split())


def test_a_file_stands_for_its_sweep_also_where_mlflow_holds_no_spec(folder: Folder, analyze: Analyze) -> None:
    spec = make_sweep(SPACE)
    document: dict[str, Any] = {"apiVersion": "hypersweep.dev/v1alpha1", "kind": "HyperparameterSweep"}
    document |= {
        "metadata": {"name": folder.name},
        "spec": spec.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }
    (folder.path / "sweep.yaml").write_text(dump(document))
    record(folder.uri, folder.name, trials(25))
    code, out = analyze("sweep.yaml", "--output", "markdown")
    assert code == 0, out
    assert "What matters is lr" in out


def test_sweeps_of_one_experiment_are_read_as_one(folder: Folder, analyze: Analyze) -> None:
    """In the newest one's space; what lies outside is counted, not mixed in."""
    wide = [replace(t, parameters={**t.parameters, "layers": 9}) if t.index < 2 else t for t in trials(12, seed=1)]
    older = make_sweep([SPACE[0], {**SPACE[1], "max": 9}])
    record(folder.uri, "first", wide, experiment=folder.name, spec=older)
    record(folder.uri, "second", trials(14), experiment=folder.name)
    code, out = analyze("--experiment", folder.name, "--output", "json")
    assert code == 0, out
    found = json.loads(out)
    assert found["trials"] == 24
    assert found["objectives"][0]["missing"] == ""
    assert "2 sweeps are read as one." in found["notes"]
    assert any("2 trials lie outside" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name a sweep, its file, or --experiment"),
        (["nobody"], 'no sweep "nobody"'),
        (["--experiment", "nowhere"], 'no experiment "nowhere"'),
        (["a", "--tracking-uri", "sqlite:///absent.db"], "there is no database"),
    ],
)
def test_what_cannot_be_found_is_said_and_nothing_is_made(
    folder: Folder, analyze: Analyze, arguments: list[str], says: str
) -> None:
    code, out = analyze(*arguments)
    assert code == 1
    assert says in out
    assert not (folder.path / "absent.db").exists()


def test_a_sweep_that_was_run_here_can_be_analyzed_here(folder: Folder, analyze: Analyze) -> None:
    """What `hypersweep run` leaves is enough: spec and trials."""
    assert folder.run(*folder.arguments())[0] == 0
    code, out = analyze(folder.name, "--output", "json")
    assert code == 0, out
    found = json.loads(out)
    assert found["counts"] == {str(Outcome.SUCCEEDED): 3}
    assert found["tried"][0]["parameter"] == "lr"
