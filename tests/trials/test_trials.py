"""Other people's scripts as trials: each works unchanged, or ends with a reason and with advice that, followed, works.

The scripts in `scripts/` know nothing of HyperSweep. Each runs by `hypersweep run` against a real MLflow server; the last
line that it prints, `metric=value`, is what its trial's run must hold. docs/trials.md has the table.
"""

import importlib.util
import json
import re
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.local.conftest import Folder
from tests.tracking.server import mlflow_server  # noqa: F401  (a fixture)

pytestmark = [pytest.mark.tracking, pytest.mark.trials]

SCRIPTS = Path(__file__).parent / "scripts"
SECONDS = 300.0  # for one sweep: imports alone take half a minute where many share a machine
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


class Stranger:
    """A folder with someone's script, and the sweep of one trial that runs it."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def take(self, script: str, *, edits: Mapping[str, str] | None = None) -> None:
        """Copy a script, with edits that a failure's message advised."""
        text = (SCRIPTS / f"{script}.py").read_text()
        for old, new in (edits or {}).items():
            assert text.count(old) == 1, f"{script} does not hold {old!r} once"
            text = text.replace(old, new)
        (self.folder.path / "train.py").write_text(text)

    def sweep(self, *, metric: str = "val_loss", experiment: str = "", launcher: tuple[str, ...] = ()) -> str:
        """Run one trial, to the sweep's end; what was printed."""
        options = ["--param", "lr=1e-05", "--minimize", metric, "--strategy", "Random", "--trials", "1"]
        given = ["run", *options, "--tracking-uri", self.folder.uri, "--name", self.folder.name]
        command = ["--", sys.executable, *launcher, "train.py"]
        if not experiment:
            return self.folder.run(*given, *command, seconds=SECONDS)[1]
        _, manifest = self.folder.run(*given, "--export", *command)
        (self.folder.path / "sweep.yaml").write_text(f"{manifest}  tracking: {{experiment: {experiment}}}\n")
        return self.folder.run("run", "sweep.yaml", "--tracking-uri", self.folder.uri, seconds=SECONDS)[1]

    def printed(self) -> tuple[str, float]:
        """The `metric=value` that the script printed last."""
        (log,) = self.folder.path.glob("hypersweep-runs/*/trial-0000-*/attempt-1.log")
        return [(name, float(value)) for name, value in re.findall(r"^(\w+)=(\S+)$", log.read_text(), re.MULTILINE)][-1]

    def trial(self, *, experiment: str = "") -> Mapping[str, Any]:
        """The trial's run in MLflow: status, and tags, params and metrics by name."""
        query = f"experiments/get-by-name?experiment_name={experiment or self.folder.name}"
        found = self._mlflow(query)["experiment"]["experiment_id"]
        sent = {"experiment_ids": [found], "filter": "tags.`hypersweep.trial` = '0'"}
        (run,) = self._mlflow("runs/search", sent)["runs"]
        data = {
            kind: {one["key"]: one["value"] for one in run["data"].get(kind, ())}
            for kind in ("tags", "params", "metrics")
        }
        return {"status": run["info"]["status"], **data}

    def _mlflow(self, path: str, sent: Mapping[str, Any] | None = None) -> Any:
        body = json.dumps(sent).encode() if sent is not None else None
        request = urllib.request.Request(
            f"{self.folder.uri}/api/2.0/mlflow/{path}", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def assert_succeeded(self, said: str, *, metric: str = "val_loss", experiment: str = "") -> Mapping[str, Any]:
        """The trial's own run holds what the script printed, and the outcome beside it."""
        assert "trial 0: Succeeded" in said, said
        run = self.trial(experiment=experiment)
        assert run["tags"]["hypersweep.outcome"] == "Succeeded"
        assert run["status"] == "FINISHED"
        assert self.printed() == (metric, pytest.approx(run["metrics"][metric], rel=1e-6))
        return run

    def assert_failed(self, said: str, *, reason: str, advice: tuple[str, ...]) -> None:
        """Reason and advice are printed, and are on the run."""
        tags = self.trial()["tags"]
        assert (tags["hypersweep.outcome"], tags["hypersweep.reason"]) == ("Failed", reason), said
        for words in advice:
            assert words in tags["hypersweep.message"]
            assert words in " ".join(said.split())


@pytest.fixture
def stranger(tmp_path: Path, mlflow_server: str) -> Iterator[Stranger]:  # noqa: F811
    folder = Folder(tmp_path, mlflow_server)
    yield Stranger(folder)
    folder.end()


def needs(package: str) -> pytest.MarkDecorator:
    """Skip, and say so, where a package of the extra `trials` is not installed."""
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed (extra `trials`)")


def test_a_plain_start_run_joins_the_trials_run(stranger: Stranger) -> None:
    """MLflow's tutorial is a trial, also when it names its run."""
    stranger.take("plain")
    run = stranger.assert_succeeded(stranger.sweep())
    assert run["tags"]["mlflow.runName"] == "sgd on digits"


def test_another_experiment_is_a_reason_of_its_own(stranger: Stranger) -> None:
    """MLflow refuses it; one attempt is enough, and the message says what to change."""
    stranger.take("other_experiment")
    said = stranger.sweep()
    stranger.assert_failed(said, reason="WrongExperiment", advice=("mlflow.set_experiment", "spec.tracking.experiment"))
    assert not list(stranger.folder.path.glob("hypersweep-runs/*/trial-0000-*/attempt-2.log"))


def test_the_scripts_experiment_may_be_the_sweeps(stranger: Stranger) -> None:
    """What WrongExperiment advises: the script is unchanged, and the sweep names its experiment."""
    stranger.take("other_experiment")
    stranger.assert_succeeded(stranger.sweep(experiment="team-vision"), experiment="team-vision")


def test_params_may_be_spelled_otherwise(stranger: Stranger) -> None:
    """The script's spelling stays: ours is written only where a param is absent."""
    stranger.take("other_spelling")
    run = stranger.assert_succeeded(stranger.sweep())
    assert run["params"]["lr"] == "0.00001"
    assert json.loads(run["tags"]["hypersweep.parameters"]) == {"lr": 1e-05}


def test_the_first_of_two_runs_is_the_trials(stranger: Stranger) -> None:
    """An objective that only the second run has is missing, and the message names that run."""
    stranger.take("two_runs")
    said = stranger.sweep()
    stranger.assert_failed(
        said, reason="ObjectiveMissing", advice=('"finetuning" (has it)', "only the first mlflow.start_run()")
    )


def test_the_second_of_two_runs_may_go_on_in_the_first(stranger: Stranger) -> None:
    """What the message advises: the second stage logs to the first run as well."""
    stranger.take("two_runs", edits={'run_name="finetuning"': "run_id=pretraining.info.run_id"})
    run = stranger.assert_succeeded(stranger.sweep())
    assert set(run["metrics"]) == {"pretrain_loss", "val_loss"}


def test_scikit_learns_autolog_joins_the_trials_run(stranger: Stranger) -> None:
    """The run that autologging would make is the trial's; `score` after `fit` is a metric of it."""
    stranger.take("sklearn_autolog")
    metric = "SGDClassifier_score_x_val"
    stranger.assert_succeeded(stranger.sweep(metric=metric), metric=metric)


@needs("lightning")
def test_lightnings_logger_makes_a_run_of_its_own(stranger: Stranger) -> None:
    """It reads no MLFLOW_RUN_ID; the message says what to give it."""
    stranger.take("lightning_logger")
    said = stranger.sweep()
    stranger.assert_failed(
        said, reason="ObjectiveMissing", advice=("Lightning's MLFlowLogger", 'run_id=os.environ["MLFLOW_RUN_ID"]')
    )


@needs("lightning")
def test_lightnings_logger_works_with_the_trials_run(stranger: Stranger) -> None:
    """What the message advises."""
    edits = {
        "import argparse\n": "import argparse\nimport os\n",
        'experiment_name="regression"': 'run_id=os.environ["MLFLOW_RUN_ID"]',
    }
    stranger.take("lightning_logger", edits=edits)
    stranger.assert_succeeded(stranger.sweep())


@needs("transformers")
def test_hugging_faces_trainer_joins_the_trials_run(stranger: Stranger) -> None:
    """Evaluations while it trains count; its many params stand beside the trial's."""
    stranger.take("hf_trainer")
    run = stranger.assert_succeeded(stranger.sweep(metric="eval_loss"), metric="eval_loss")
    assert run["params"]["learning_rate"] == "1e-05"
    assert run["params"]["lr"] == "1e-05"


@needs("transformers")
def test_an_evaluation_after_hugging_faces_training_goes_astray(stranger: Stranger) -> None:
    """The callback ends its run with the training: what comes later makes a new one, which the message names.

    Whether the metrics arrive there is a race that MLflow's asynchronous logging has with the interpreter's end.
    """
    stranger.take("hf_trainer", edits={'        eval_strategy="epoch",\n': ""})
    said = stranger.sweep(metric="eval_loss")
    stranger.assert_failed(
        said, reason="ObjectiveMissing", advice=("It made other runs", "only the first mlflow.start_run()")
    )


def test_two_ranks_are_one_trial(stranger: Stranger) -> None:
    """torchrun hands the environment on; the rank that logs joins the trial's run."""
    stranger.take("ddp")
    run = stranger.assert_succeeded(stranger.sweep(launcher=TORCHRUN))
    assert run["params"]["ranks"] == "2"
