"""Fixtures of the tracking tests."""

from collections.abc import AsyncIterator

import pytest

from hypersweep.tracking.base import Store
from tests.tracking.stores import KINDS, opened


@pytest.fixture(scope="session")
def local_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URI of a SQLite file without a server, as a laptop has it."""
    return f"sqlite:///{tmp_path_factory.mktemp('local')}/mlflow.db"


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Each store in turn."""
    async with opened(request.param, request) as it:
        yield it
