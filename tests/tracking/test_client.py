"""The client adapter's own duties: initialising a database, one thread, and no waiting without end."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hypersweep.core.errors import TrackingNotFound, TrackingRefused, TrackingUnavailable
from hypersweep.tracking.client import ClientStore
from tests.tracking.server import free_port
from tests.tracking.stores import QUIET

pytestmark = [pytest.mark.tracking, QUIET]

PROCESSES = 2
MIGRATE = """
import asyncio, sys
from hypersweep.tracking.client import ClientStore

async def main(uri):
    store = ClientStore(uri)
    await store.migrate()
    print(await store.experiment("digits"))
    await store.close()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
async def store(local_database: str) -> AsyncIterator[ClientStore]:
    """On a SQLite file, initialised."""
    it = ClientStore(local_database)
    await it.migrate()
    yield it
    await it.close()


def test_processes_that_start_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """On a database that does not exist yet, in a folder that does not either; MLflow alone crashes there."""
    command = [sys.executable, "-c", MIGRATE, f"sqlite:///{tmp_path}/new/mlflow.db"]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    ended = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0] * PROCESSES, ended
    assert {out for out, _ in ended} == {"1\n"}


async def test_an_older_mlflows_database_is_refused_with_what_to_do(
    tmp_path: Path, local_database: str, store: ClientStore
) -> None:
    """Upgrading someone's database is theirs to decide, after a backup."""
    old = tmp_path / "old.db"
    with sqlite3.connect(local_database.removeprefix("sqlite:///")) as source, sqlite3.connect(old) as target:
        source.backup(target)
        target.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    source.close()
    target.close()
    aged = ClientStore(f"sqlite:///{old}")
    with pytest.raises(TrackingRefused, match="mlflow db upgrade"):
        await aged.migrate()
    await aged.close()


async def test_a_database_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With the reason, in words."""
    (tmp_path / "file").write_text("")
    store = ClientStore(f"sqlite:///{tmp_path}/file/mlflow.db")
    with pytest.raises(TrackingUnavailable, match="file"):
        await store.migrate()
    assert "file" in store.error
    await store.close()


async def test_a_database_whose_driver_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name of what is missing: waiting would not install it."""
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    store = ClientStore("postgresql+psycopg2://user:password@localhost:1/mlflow")
    try:
        with pytest.raises(TrackingRefused, match=r"not installed here: .*psycopg2"):
            await store.migrate()
    finally:
        await store.close()


async def test_a_locked_database_is_unavailable_and_comes_back(local_database: str, store: ClientStore) -> None:
    """Another program holds it: calls end in time, and go on when it lets go."""
    impatient = ClientStore(local_database, timeout=0.5)
    await impatient.migrate()
    holder = sqlite3.connect(local_database.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    before = time.time()
    for _ in range(2):
        with pytest.raises(TrackingUnavailable, match=r"no answer within 0\.5 s"):
            await impatient.experiment("locked")
    assert impatient.down_since is not None
    assert before <= impatient.down_since <= time.time()
    holder.execute("ROLLBACK")
    holder.close()
    assert await _patiently(impatient, "locked") == await store.experiment("locked")
    assert (impatient.down_since, impatient.error) == (None, "")
    await impatient.close()


async def test_a_call_given_up_before_its_turn_is_not_made(local_database: str) -> None:
    """Requests do not pile up behind a slow one, to be made when nobody wants them any more."""
    store = ClientStore(local_database, timeout=0.5)
    await store.migrate()
    experiment = await store.experiment("given-up")
    gate = threading.Event()
    slow = asyncio.create_task(store._call(lambda _client: gate.wait(20)))
    await asyncio.sleep(0)
    with pytest.raises(TrackingUnavailable):
        await store.create_run(experiment=experiment, name="r", tags={"a": "b"}, started=1.0)
    with pytest.raises(TrackingUnavailable):
        await slow
    gate.set()
    assert await _searched(store, experiment) == 0
    await store.close()


def test_a_server_that_is_down_delays_no_exit() -> None:
    """MLflow retries for minutes: a person who interrupts has not got them."""
    code = f"""
import asyncio
from hypersweep.core.errors import TrackingUnavailable
from hypersweep.tracking.client import ClientStore

async def main():
    store = ClientStore("http://127.0.0.1:{free_port()}", timeout=0.5)
    await store._call(lambda client: None)
    try:
        await store.experiment("x")
    except TrackingUnavailable as error:
        print(error)
    await store.close()

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout == "no answer within 0.5 s\n"


async def test_a_run_that_ends_on_a_server_prints_nothing(
    mlflow_server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output is the command's own."""
    store = ClientStore(mlflow_server)
    run = await store.create_run(experiment=await store.experiment("quiet"), name="r", tags={}, started=1.0)
    await store.finish(run.id, status="FINISHED", ended=2.0)
    assert capfd.readouterr().out == ""
    await store.close()


async def test_calls_are_made_in_one_thread(store: ClientStore) -> None:
    """SQLite likes one writer."""
    names = await asyncio.gather(*(store._call(lambda _client: threading.current_thread().name) for _ in range(8)))
    assert set(names) == {"mlflow"}


async def test_our_own_mistakes_are_not_disguised(store: ClientStore) -> None:
    """Only what MLflow and its database raise is translated."""
    with pytest.raises(ZeroDivisionError):
        await store._call(lambda _client: 1 / 0)
    with pytest.raises(TrackingNotFound):
        await store.run("f" * 32)


async def _patiently(store: ClientStore, name: str) -> str:
    """The experiment, once the thread is done with what it was asked before."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await store.experiment(name)
            except TrackingUnavailable:
                continue


async def _searched(store: ClientStore, experiment: str) -> int:
    async with asyncio.timeout(30):
        while True:
            try:
                return len(await store.search(experiment=experiment, tags={"a": "b"}))
            except TrackingUnavailable:
                continue
