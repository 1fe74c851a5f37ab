"""What every test may ask for by name, and what none leaves behind."""

import logging
from collections.abc import Iterator

import pytest

pytest_plugins = ("tests.cluster.fixtures", "tests.tracking.server")


@pytest.fixture(autouse=True)
def _own_log_handlers() -> Iterator[None]:
    """A command that is run in the process sends logs to the stderr of its test, which is closed after it."""
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    for handler in root.handlers[:]:
        if handler not in before:
            root.removeHandler(handler)
