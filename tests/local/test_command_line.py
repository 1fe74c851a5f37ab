"""What `hypersweep run` says to files and options that it cannot take, before anything runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hypersweep.cli.main import main


def sweep() -> dict[str, Any]:
    search = {
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": [{"name": "lr", "type": "Float", "min": 0.1, "max": 0.9}],
        "trainer": {},
    }
    head = {"apiVersion": "hypersweep.dev/v1alpha1", "kind": "HyperparameterSweep", "metadata": {"name": "digits"}}
    return {**head, "spec": search}


def written(folder: Path, *documents: object) -> str:
    (folder / "sweep.yaml").write_text(yaml.safe_dump_all(documents))
    return str(folder / "sweep.yaml")


@pytest.mark.parametrize("trials", [None, {}, {"max": 3}], ids=["null", "empty", "other"])
def test_options_count_for_more_than_the_file_also_where_that_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trials: object
) -> None:
    """`trials:` with all below it commented out is null, which `kubectl apply` takes too."""
    document = sweep()
    document["spec"]["trials"] = trials
    assert main(["run", written(tmp_path, document), "--trials", "7", "--export"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["spec"]["trials"] == {"max": 7}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"spec": None}, "spec: is required, as a mapping; found nothing"),
        ({"spec": []}, "spec: is required, as a mapping; found []"),
        ({"spec": {"trials": [1]}}, "spec.trials: found [1], a list; a mapping is expected"),
        ({"metadata": "digits"}, "metadata.name: a sweep needs a name; found nothing"),
    ],
)
def test_a_file_of_another_shape_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, object], said: str
) -> None:
    """With an option that would have to go into what is not there."""
    path = written(tmp_path, {**sweep(), **changed})
    assert main(["run", path, "--parallel", "2"]) == 1
    assert said in capsys.readouterr().err.splitlines()


def test_several_sweeps_are_named_even_where_one_has_no_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file holds one sweep for this command."""
    path = written(tmp_path, sweep(), {**sweep(), "metadata": "digits"})
    assert main(["run", path]) == 1
    assert "one HyperparameterSweep is expected; found " in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", [["--seed", "0"], ["--strategy", "TPE"], ["--minimize", "loss"], ["--param", "lr=0..1"], ["--name", "b"]]
)
def test_an_option_that_the_file_would_drown_out_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    """Else a search with another seed than the one that was asked for would go unnoticed."""
    assert main(["run", written(tmp_path, sweep()), *option, "--export"]) == 1
    assert f"with a file, {option[0]} would count for nothing" in capsys.readouterr().err


def test_no_trials_are_not_twenty(capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked for is what is judged, also when it is zero."""
    command = ["run", "--param", "lr=0.1..0.9", "--minimize", "loss", "--trials", "0", "--parallel", "0"]
    assert main([*command, "--", "true"]) == 1
    assert "spec.trials.max: found 0" in capsys.readouterr().err
    assert main([*command, "--export", "--", "true"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)["spec"]
    assert (found["trials"], found["strategy"]) == ({"max": 0, "parallel": 0}, {"name": "Auto", "seed": 0})


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (["run", "--param", "lr=0.1..0.9", "--minimize", "loss", "--folder", "taken", "--", "true"], "taken/true"),
        (["operator", "--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_place_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str], place: str
) -> None:
    """In one line: a traceback would tell nobody which option it was."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    assert main(command) == 1
    assert f"hypersweep: {place}: " in capsys.readouterr().err
