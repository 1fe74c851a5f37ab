"""`hypersweep run`: real processes, a real MLflow."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.waiting import eventually
from tests.local.conftest import TRIAL, Folder

pytestmark = pytest.mark.tracking

MLFLOW_TRIAL = """
import os, mlflow
with mlflow.start_run():
    mlflow.log_metric("loss", float(os.environ["HP_LR"]), step=0)
"""

CONDITIONAL_TRIAL = (
    TRIAL.replace("flags = dict", "flags = {'lr': os.environ['HP_LR']} or dict")
    + """
with open(f"seen-{os.environ['HYPERSWEEP_TRIAL']}.json", "w") as file:
    file.write(os.environ["HYPERSWEEP_PARAMETERS"])
"""
)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_sweep_on_sqlite_ends_and_continues_with_more_trials(tmp_path: Path) -> None:
    """MLflow's database is made before trial 0; a second command with a larger budget goes on where the first ended."""
    folder = Folder(tmp_path, "sqlite:///sweep.db")
    (tmp_path / "trial.py").write_text(MLFLOW_TRIAL)
    code, out = folder.run(*folder.arguments(trials=2), seconds=300)
    assert code == 0, out
    assert "MaxTrialsReached" in out
    code, out = folder.run(*folder.arguments(trials=3), seconds=300)
    assert code == 0, out
    assert "resumed: 2 trials" in out
    with closing(sqlite3.connect(tmp_path / "sweep.db")) as database:
        rows = database.execute(
            "SELECT t.value, p.value, m.value FROM tags t JOIN params p USING (run_uuid) JOIN latest_metrics m USING (run_uuid)"
            " WHERE t.key = 'hypersweep.trial' AND p.key = 'lr' AND m.key = 'loss' ORDER BY t.value"
        ).fetchall()
    assert [trial for trial, _, _ in rows] == ["0", "1", "2"]
    assert all(float(lr) == loss for _, lr, loss in rows)


def test_a_failure_is_shown_with_its_traceback(folder: Folder) -> None:
    """Three alike end the sweep; the exit code says so; the log of each attempt is kept."""
    code, out = folder.run(*folder.arguments("--parallel", "3", then="crash"))
    assert code == 1
    assert "ValueError: the data are not there" in out
    assert "RepeatedFailure" in out
    logs = list(folder.path.glob("hypersweep-runs/*/trial-*/attempt-*.log"))
    assert len(logs) == 6
    assert all("Traceback" in log.read_text() for log in logs)


def test_ctrl_c_stops_cleanly_and_the_same_command_continues(folder: Folder) -> None:
    """Trials get SIGTERM, nothing is left running, and the interrupted trial is the one that goes on."""
    process = folder.start(*folder.arguments(then="hang", trials=2))
    eventually(folder.started, what="the first trial started", seconds=60)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run the same command again to continue" in out
    assert (folder.path / "terminated-0").exists()
    assert not any(alive(pid) for pid in folder.pids())

    (folder.path / "go").touch()
    code, out = folder.run(*folder.arguments(then="hang", trials=2))
    assert code == 0, out
    assert folder.started() == ["0", "0", "1"]


def test_resource_hours_end_a_sweep_and_ctrl_c_does_not_reset_them(folder: Folder) -> None:
    """A process counts for one core by the clock; so does the part of it that ran before the interruption."""
    arguments = folder.arguments(then="hang", trials=1)
    code, manifest = folder.run(*folder.arguments("--export", then="hang", trials=1))
    assert code == 0
    limit = "  stopWhen:\n    resourceHours: [{resource: cpu, max: 0.001}]\n"
    (folder.path / "sweep.yaml").write_text(manifest + limit)
    arguments = ["run", "sweep.yaml", "--tracking-uri", folder.uri]
    process = folder.start(*arguments)
    eventually(folder.started, what="the trial started", seconds=60)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    ran = time.monotonic() - began
    code, out = folder.run(*arguments)
    assert code == 1, out
    assert "ResourceHoursSpent" in out or "NoResult" in out
    spans = [
        line.split() for f in folder.path.glob("hypersweep-runs/*/*/*.used") for line in f.read_text().splitlines()
    ]
    assert len(spans) == 2
    assert 3.6 <= sum(float(until) - float(since) for since, until in spans) < 3.6 + 10 + ran


def test_after_a_kill_no_process_is_left_to_share_a_run(folder: Folder) -> None:
    """What outlived `kill -9` of the command is ended by the next one, and its trial runs again."""
    process = folder.start(*folder.arguments(then="hang", trials=2))
    eventually(folder.started, what="the first trial started", seconds=60)
    (orphan,) = folder.pids()
    process.kill()
    process.communicate()
    assert alive(orphan)
    (folder.path / "go").touch()
    code, out = folder.run(*folder.arguments(then="hang", trials=2))
    assert code == 0, out
    assert not alive(orphan)
    assert folder.started() == ["0", "0", "1"]


def test_two_commands_cannot_run_the_same_sweep(folder: Folder) -> None:
    """The second says who is there, and does nothing."""
    process = folder.start(*folder.arguments(then="hang", trials=1))
    eventually(folder.started, what="the first trial started", seconds=60)
    code, out = folder.run(*folder.arguments(then="hang", trials=1))
    assert code == 1
    assert "running already" in out
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


def test_an_attempt_past_its_time_is_ended(folder: Folder) -> None:
    """trials.timeout holds on a laptop too."""
    code, manifest = folder.run(*folder.arguments("--export", then="hang", trials=1))
    assert code == 0
    (folder.path / "sweep.yaml").write_text(manifest.replace("    max: 1", "    max: 1\n    timeout: 1s"))
    code, out = folder.run("run", "sweep.yaml", "--tracking-uri", folder.uri)
    assert code == 1
    assert "DeadlineExceeded" in out
    assert (folder.path / "terminated-0").exists()


def test_what_only_a_cluster_can_do_is_named_once(folder: Folder) -> None:
    """Image and resources of the file's Job are left aside, and said so in one line."""
    code, manifest = folder.run(*folder.arguments("--export", trials=1))
    assert code == 0
    (folder.path / "sweep.yaml").write_text(manifest)
    _, out = folder.run("run", "sweep.yaml", "--tracking-uri", folder.uri)
    assert "on this machine these are left aside: container image" in out


def test_an_exported_manifest_is_valid(folder: Folder) -> None:
    """What --export prints can be applied."""
    _, manifest = folder.run(*folder.arguments("--export", "--image", "team/train:1", trials=1))
    (folder.path / "sweep.yaml").write_text(manifest)
    code, out = folder.run("validate", "sweep.yaml")
    assert code == 0, out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "name a file"),
        (["run", "nowhere.yaml"], "nowhere.yaml"),
        (["run", "--param", "lr=0.1..1", "--", "true"], "--maximize"),
        (["run", "--param", "lr", "--maximize", "a", "--", "true"], "NAME=VALUES"),
        (["run", "--param", "lr=1..x", "--maximize", "a", "--", "true"], "1..x"),
        (["run", "--param", "lr=0.1..1:lg", "--maximize", "a", "--", "true"], ":log"),
        (["run", "--param", "lr=2..1", "--maximize", "a", "--", "true"], "spec.parameters[0]"),
        (["run", "--param", "lr=0.1..1", "--maximize", "a", "--", "no-such-program"], "no-such-program"),
    ],
)
def test_mistakes_are_answered_with_what_to_do(folder: Folder, arguments: list[str], said: str) -> None:
    """Exit code 1 and a message, no traceback."""
    code, out = folder.run(*arguments)
    assert code == 1
    assert said in out
    assert "Traceback" not in out


def test_help_answers_at_once() -> None:
    """No heavy import stands before --help."""
    command = [sys.executable, "-X", "importtime", "-m", "hypersweep.cli.main", "run", "--help"]
    imported = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "argparse" in imported
    assert not re.search(r"\b(mlflow|torch|optuna|kubernetes)$", imported, re.MULTILINE)


def test_a_conditional_and_constrained_sweep_runs_on_a_laptop(folder: Folder) -> None:
    """A script sees the active parameters only, and each point that meets the constraints once; then the space is exhausted."""
    (folder.path / "trial.py").write_text(CONDITIONAL_TRIAL)
    command = json.dumps([sys.executable, "trial.py"])
    (folder.path / "sweep.yaml").write_text(
        f"""
apiVersion: hypersweep.dev/v1alpha1
kind: HyperparameterSweep
metadata: {{name: {folder.name}}}
spec:
  objectives: [{{metric: loss, goal: Minimize}}]
  parameters:
  - {{name: lr, type: Discrete, numbers: [1, 2, 4], default: 2}}
  - {{name: layers, type: Integer, min: 1, max: 2, default: 2}}
  - {{name: skip, type: Boolean, when: [{{parameter: layers, min: 2}}]}}
  parameterConstraints: [{{expression: lr * layers <= 4}}]
  trials: {{max: 20, parallel: 2}}
  job: {{template: {{spec: {{template: {{spec: {{containers: [{{name: train, image: x, command: {command}}}]}}}}}}}}}}
"""
    )
    code, out = folder.run("run", "sweep.yaml", "--tracking-uri", folder.uri)
    assert code == 0, out
    assert "SpaceExhausted" in out
    seen = [json.loads(p.read_text()) for p in sorted(folder.path.glob("seen-*.json"), key=lambda p: int(p.stem[5:]))]
    assert (seen[0]["lr"], seen[0]["layers"]) == (2, 2)
    points = {(s["lr"], s["layers"], s.get("skip")) for s in seen}
    assert points == {(lr, 1, None) for lr in (1, 2, 4)} | {(lr, 2, skip) for lr in (1, 2) for skip in (False, True)}
    assert len(seen) == len(points)


STRATEGY = """
from hypersweep.core.strategies.question import Question

def suggest(question: Question) -> dict:
    if question.trial == 2:
        open("asked", "w").close()
        raise RuntimeError("no luck")
    return {"lr": 0.1 + question.trial / 10}
"""


def install_strategy(folder: Path) -> None:
    """As `pip install --target` leaves it: a module, and the entry point that names it."""
    (folder / "unlucky.py").write_text(STRATEGY)
    information = folder / "unlucky-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: unlucky\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[hypersweep.strategies]\nUnlucky = unlucky\n")


def test_a_strategy_that_fails_ends_the_command_after_the_running_trials(
    folder: Folder, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody will change the file under it. What runs is not thrown away, and the same command continues."""
    site = tmp_path_factory.mktemp("site")
    install_strategy(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    slow = "while flags['lr'] == '0.2' and not os.path.exists('asked'): time.sleep(0.05)\nthen = flags.get"
    (folder.path / "trial.py").write_text(TRIAL.replace("then = flags.get", slow))  # trial 1 runs when 2 is asked for
    command = folder.arguments("--strategy", "unlucky/Unlucky", "--parallel", "2", trials=6)
    code, out = folder.run(*command, seconds=60)
    assert code == 1, out
    assert out.count("StrategyFailed: the strategy unlucky/Unlucky failed: RuntimeError: no luck") == 1
    assert sorted(re.findall(r"^trial (\d+): Succeeded", out, re.MULTILINE)) == ["0", "1"]
    (site / "unlucky.py").write_text(STRATEGY.replace("question.trial == 2", "not question"))
    code, out = folder.run(*command, seconds=60)
    assert code == 0, out
    assert "resumed: 2 trials" in out


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ({}, "the training container has no command"),
        ({"command": ["true"], "resources": {"requests": {"cpu": "lots"}}}, "the training container's resources"),
    ],
    ids=["no command", "no quantity"],
)
def test_a_job_that_cannot_run_here_ends_the_command(folder: Folder, container: dict[str, Any], said: str) -> None:
    """With what is wrong, and nothing tried."""
    spec = {
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": [{"name": "lr", "type": "Float", "min": 0.1, "max": 0.9}],
        "job": {
            "template": {"spec": {"template": {"spec": {"containers": [{"name": "t", "image": "i", **container}]}}}}
        },
    }
    head = {"apiVersion": "hypersweep.dev/v1alpha1", "kind": "HyperparameterSweep", "metadata": {"name": folder.name}}
    (folder.path / "sweep.yaml").write_text(json.dumps({**head, "spec": spec}))
    code, out = folder.run("run", "sweep.yaml", "--tracking-uri", folder.uri, seconds=60)
    assert code == 1, out
    assert out.count("JobRefused") == 1
    assert said in out
