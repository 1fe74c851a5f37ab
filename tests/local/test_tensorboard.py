"""`hypersweep tensorboard`: a real sweep of the built-in trainer, its event files out of MLflow, and a real TensorBoard."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hypersweep.cli import tensorboard
from hypersweep.cli.main import main
from hypersweep.core.goyaml import dump
from tests.cluster.waiting import eventually
from tests.local.conftest import Folder
from tests.tracking.server import free_port
from tests.tracking.stores import QUIET

pytest.importorskip("tensorboard", reason="the trainer's extra is not installed")
pytestmark = [pytest.mark.tracking, QUIET]

RATES = (0.02, 0.0001)  # one that learns in two epochs, and one that does not
SWEEP = {
    "apiVersion": "hypersweep.dev/v1alpha1",
    "kind": "HyperparameterSweep",
    "metadata": {"name": "boards"},
    "spec": {
        "objectives": [{"metric": "val_accuracy", "goal": "Maximize"}],
        "parameters": [{"name": "lr", "type": "Discrete", "numbers": list(RATES)}],
        "strategy": {"name": "Grid"},
        "trainer": {"settings": {"epochs": 2, "width": 16, "log_model": False, "baselines": False}},
        "trials": {"max": 2, "parallel": 2},
    },
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder with a sweep of two trials on a laptop's SQLite."""
    found = Folder(tmp_path_factory.mktemp("boards"), "sqlite:///hypersweep.db")
    (found.path / "sweep.yaml").write_text(dump(SWEEP))
    code, out = found.run("run", "sweep.yaml", seconds=300)
    assert code == 0, out
    return found


def called(folder: Folder, *arguments: str) -> int:
    """`hypersweep tensorboard …` in that folder, in this process, which has mlflow already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.path)
        return main(["tensorboard", *arguments])


@pytest.fixture(scope="module")
def boards(swept: Folder) -> Path:
    """What the command fetched."""
    assert called(swept, "boards", "--no-serve") == 0
    return swept.path / "hypersweep-tensorboard" / "boards"


@contextmanager
def opened(folder: Folder) -> Iterator[str]:
    """`hypersweep tensorboard`, serving."""
    port = free_port()
    process = folder.start("tensorboard", "boards", "--port", str(port))
    try:
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def asked(url: str, body: dict[str, Any] | None = None) -> Any:
    """What TensorBoard answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def rows(url: str) -> list[dict[str, Any]]:
    """The table of the trials that came to their end, once TensorBoard has read that; nothing while there is no server."""
    body = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_SUCCESS"],
        "colParams": [{"hparam": "lr"}, {"metric": {"tag": "val/accuracy", "group": ""}}],
        "startIndex": 0,
        "sliceSize": 10,
    }
    try:
        return asked(f"{url}/data/plugin/hparams/session_groups", body)["sessionGroups"]
    except OSError:
        return []


def accuracy(group: dict[str, Any]) -> float:
    """What a row of the table has as its last val/accuracy."""
    return next(found["value"] for found in group["metricValues"] if found["name"]["tag"] == "val/accuracy")


def test_each_trial_has_a_folder_with_its_event_files(boards: Path) -> None:
    """Nothing else is left there; what is there already is not fetched again."""
    assert sorted(path.name for path in boards.iterdir()) == ["trial-0000", "trial-0001"]
    (file,) = (boards / "trial-0001").iterdir()
    assert file.name.startswith("events.out.tfevents.")


def test_tensorboard_shows_the_trials_side_by_side(swept: Folder, boards: Path) -> None:
    """A real one: its pages' own interface names both trials, their curves, and a table of what they have and reached."""
    with opened(swept) as url:
        eventually(lambda: len(rows(url)) == 2, what="both trials in TensorBoard", seconds=90)
        assert sorted(asked(f"{url}/data/runs")) == ["trial-0000", "trial-0001"]
        curve = asked(f"{url}/data/plugin/scalars/scalars?run=trial-0001&tag=val%2Faccuracy")
        assert [step for _, step, _ in curve] == [1, 2]
        experiment = asked(f"{url}/data/plugin/hparams/experiment", {"experimentName": ""})
        assert {info["name"] for info in experiment["hparamInfos"] if info.get("differs")} == {"lr"}
        assert experiment["hparamInfos"][0]["name"] == "lr"
        assert [info["name"]["tag"] for info in experiment["metricInfos"]][:2] == ["val/loss", "val/accuracy"]
        results = {group["hparams"]["lr"]: accuracy(group) for group in rows(url)}
        assert sorted(results) == sorted(RATES)
        assert results[RATES[0]] > results[RATES[1]] + 0.2


def test_from_a_server_that_hands_artifacts_through(
    mlflow_server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Over HTTP, where the store of the files is the server's alone: trials send them there, and the command gets them back."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = Folder(tmp_path_factory.mktemp("served"), mlflow_server)
    name = "boards-over-http"  # the server is shared
    sweep = SWEEP | {"metadata": {"name": name}, "spec": SWEEP["spec"] | {"trials": {"max": 1}}}
    (folder.path / "sweep.yaml").write_text(dump(sweep))
    code, out = folder.run("run", "sweep.yaml", "--tracking-uri", mlflow_server, seconds=300)
    assert code == 0, out
    assert called(folder, name, "--no-serve", "--tracking-uri", mlflow_server, "--dir", "fetched") == 0
    (file,) = (folder.path / "fetched" / "trial-0000").iterdir()
    written = EventAccumulator(str(file)).Reload()
    assert [event.step for event in written.Scalars("val/accuracy")] == [1, 2]
    before = file.stat().st_mtime_ns
    assert called(folder, name, "--no-serve", "--tracking-uri", mlflow_server, "--dir", "fetched") == 0
    assert file.stat().st_mtime_ns == before  # it was not fetched again


def test_a_sweep_that_is_not_there(swept: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """One line; so for a database that is not there."""
    assert called(swept, "strange", "--no-serve") == 1
    assert 'no sweep "strange"' in capsys.readouterr().err
    assert called(swept, "boards", "--no-serve", "--tracking-uri", "sqlite:///missing.db") == 1
    assert "there is no database missing.db" in capsys.readouterr().err


def test_trials_without_event_files(
    swept: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as those of an image that keeps them elsewhere: it says who writes them, and makes nothing."""
    monkeypatch.setattr(tensorboard, "ARTIFACTS", "elsewhere")
    target = tmp_path / "files"
    assert called(swept, "boards", "--no-serve", "--dir", str(target)) == 1
    assert 'no trial of "boards" has event files' in capsys.readouterr().err
    assert not target.exists()


def test_without_tensorboard_it_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is fetched."""
    monkeypatch.setattr(tensorboard.importlib.util, "find_spec", lambda _: None)
    assert main(["tensorboard", "boards"]) == 1
    assert "pip install tensorboard" in capsys.readouterr().err
