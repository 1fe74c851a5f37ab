"""The best model of a sweep on a laptop, trained by the built-in trainer: registered, loaded by its alias, and served."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from mlflow import MlflowClient

from hypersweep_trainer.data import Data, load
from hypersweep_trainer.settings import Settings
from tests.api.sweeps import trial_runs
from tests.cluster.waiting import eventually
from tests.local.conftest import Folder
from tests.tracking.server import free_port, process

pytestmark = [
    pytest.mark.tracking,
    pytest.mark.filterwarnings("ignore"),  # of importing mlflow.pyfunc, and of its loading of models
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.yaml"
START_SECONDS = 120.0  # of a scoring server that imports mlflow and torch, on a busy machine


def run(folder: Folder, *, settings: dict[str, Any] | None = None, **spec: Any) -> str:
    """The example with few trials, run to its end; what was printed. `settings` of the trainer beside the example's."""
    document = yaml.safe_load(EXAMPLE.read_text())
    document["metadata"]["name"] = folder.name
    document["spec"] |= {"trials": {"max": 2, "parallel": 1}, **spec}
    document["spec"]["trainer"]["settings"] |= {"epochs": 8, "baselines": False, **(settings or {})}
    (folder.path / "sweep.yaml").write_text(yaml.safe_dump(document))
    code, out = folder.run("run", "sweep.yaml", "--tracking-uri", folder.uri, seconds=400)
    assert code == 0, out
    return out


def best_run(folder: Folder) -> str:
    runs = trial_runs(folder.uri, folder.name)
    return max(runs.values(), key=lambda r: (r.metrics["val_accuracy"], -r.trial)).id


def digits() -> tuple[Data, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Pictures that the trainer kept for validation, in the training's scale, and what they show."""
    data = load(Settings(data="digits"), torch.device("cpu"))
    x, y = data.batch(data.val)
    return data, x.numpy(), y.numpy()


def test_the_best_model_is_loaded_by_its_alias_and_answers_over_http(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the trial to a served model, all of it real; run again, nothing is registered a second time."""
    asked = {"registerModel": f"{folder.name}.digits", "alias": "champion"}
    out = run(folder, onComplete=asked)
    assert f"registered: version 1 of {folder.name}.digits, alias champion: the model of trial" in out
    client = MlflowClient(folder.uri)
    version = client.get_model_version_by_alias(asked["registerModel"], "champion")
    assert (version.version, version.run_id) == ("1", best_run(folder))
    out = run(folder, onComplete=asked)
    assert "version 1 of" in out
    assert len(client.search_model_versions(f"name = '{asked['registerModel']}'")) == 1

    uri = f"models:/{asked['registerModel']}@champion"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", folder.uri)
    _, pictures, shown = digits()
    assert pictures.shape[1:] == (1, 8, 8)
    from mlflow import pyfunc

    model = pyfunc.load_model(uri)
    assert model.metadata.signature.inputs.inputs[0].type == pictures.dtype
    told = model.predict(pictures)
    recorded = client.get_run(version.run_id).data.metrics["val_accuracy"]
    assert (told.argmax(1) == shown).mean() == pytest.approx(recorded, abs=0.005)
    assert recorded > 0.9
    with served(uri, folder) as address:
        answered = np.array(ask(f"{address}/invocations", {"inputs": pictures.tolist()})["predictions"])
    np.testing.assert_allclose(answered, told, atol=1e-5)
    assert (answered.argmax(1) == shown).mean() > 0.9


def test_a_model_that_no_trial_has_logged_is_said(folder: Folder) -> None:
    """The sweep is complete all the same."""
    out = run(folder, settings={"log_model": False, "epochs": 1}, onComplete={"registerModel": f"{folder.name}.digits"})
    assert "Complete: MaxTrialsReached" in out
    assert "not registered: run" in out
    assert "found no model/MLmodel among its artifacts" in out
    assert MlflowClient(folder.uri).search_registered_models(f"name = '{folder.name}.digits'") == []


@contextmanager
def served(uri: str, folder: Folder) -> Iterator[str]:
    """`mlflow models serve`, as docs/registry.md has it; its address, once it answers."""
    port = free_port()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it starts uvicorn by name
    environment = {**os.environ, "MLFLOW_TRACKING_URI": folder.uri, "PATH": path}
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", uri, "--env-manager", "local"]
    log = folder.path / "serve.log"
    with process([*command, "--port", str(port)], log=log, environment=environment) as server:
        address = f"http://127.0.0.1:{port}"
        eventually(lambda: _pings(address, server, log), what=f"{uri} to be served", seconds=START_SECONDS, every=0.5)
        yield address


def _pings(address: str, server: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert server.poll() is None, log.read_text()
    try:
        with urllib.request.urlopen(f"{address}/ping", timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def ask(address: str, content: dict[str, Any]) -> Any:
    """The answer to a POST of JSON."""
    request = urllib.request.Request(address, json.dumps(content).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
