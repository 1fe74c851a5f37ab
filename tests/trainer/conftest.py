"""What the trainer's tests share: an environment of their own, signals put back, and the marker."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

HERE = Path(__file__).parent
OURS = ("HYPERSWEEP_", "MLFLOW_", "HP_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("trainer")


@pytest.fixture(autouse=True)
def _own_process_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The trainer takes over the process's environment and signals: give both back, and begin with none of ours."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    bare = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    with mock.patch.dict(os.environ, bare, clear=True):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # what a test leaves is removed with its folder
        yield
        senders = [thread for thread in threading.enumerate() if thread.name == "mlflow"]
        for thread in senders:  # one that lives on retries, and draws random numbers, in the middle of other tests
            thread.join(20)
        assert not [thread for thread in senders if thread.is_alive()], "a tracker was not closed"
    for number, handler in before.items():
        signal.signal(number, handler)
