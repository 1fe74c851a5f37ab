"""A real MLflow server for tests and benchmarks, on SQLite or on PostgreSQL: light, on 127.0.0.1, gone afterwards.

    python -m tests.tracking.server --folder /tmp/mlflow [--postgres] [--port 5000]

Every test may ask for the fixtures `mlflow_server` (SQLite) and `mlflow_postgres`: session-scoped, the value is the URI.
Not `mlflow server`: that starts four workers and job runners, 1.1 GB. The same application under one uvicorn takes 0.25.
"""

import argparse
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.waiting import eventually

READY_SECONDS = 120.0  # a cold import of mlflow and its migration, on a busy machine
NO_POSTGRES = "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"


@contextmanager
def mlflow(backend: str, folder: Path, *, port: int | None = None) -> Iterator[str]:
    """An MLflow server over a database; its URI. Logs go to `folder/mlflow.log`."""
    port = port or free_port()
    environment = {
        **os.environ,
        "_MLFLOW_SERVER_FILE_STORE": backend,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "40",
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "40",
    }
    environment.pop("PYTEST_CURRENT_TEST", None)  # MLflow behaves otherwise under it
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "mlflow.server.fastapi_app:app",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with process([*command, "--log-level", "warning"], log=folder / "mlflow.log", environment=environment) as server:
        uri = f"http://127.0.0.1:{port}"
        eventually(
            lambda: _answers(uri, server), what=f"MLflow at {uri}, see {folder}/mlflow.log", seconds=READY_SECONDS
        )
        yield uri


@contextmanager
def postgres() -> Iterator[str]:
    """A temporary PostgreSQL with an empty database; its SQLAlchemy URI. It refuses root: then it runs as another user."""
    binaries = postgres_binaries()
    if binaries is None:
        raise FileNotFoundError(NO_POSTGRES)
    folder = Path(tempfile.mkdtemp(prefix="hypersweep-postgres-"))
    user = _unprivileged()
    if user is not None:
        shutil.chown(folder, user)
    try:
        data = folder / "data"
        made = [
            binaries / "initdb",
            "--auth=trust",
            "--username=postgres",
            "--no-sync",
            "--encoding=UTF8",
            f"--pgdata={data}",
        ]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder, timeout=READY_SECONDS)
        port = free_port()
        settings = [
            "listen_addresses=127.0.0.1",
            f"port={port}",
            f"unix_socket_directories={folder}",
            "fsync=off",
            "max_connections=120",
        ]
        command = [
            str(binaries / "postgres"),
            "-D",
            str(data),
            *(part for setting in settings for part in ("-c", setting)),
        ]
        with process(command, log=folder / "log", user=user, stop=signal.SIGINT):  # SIGINT: fast shutdown
            eventually(lambda: _listens(port), what=f"PostgreSQL, see {folder}/log", seconds=READY_SECONDS)
            yield f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def process(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, whatever it takes."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, user=user, cwd=log.parent
        )
    try:
        yield started
    finally:
        started.send_signal(stop)
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait(10)


def postgres_binaries() -> Path | None:
    """Where `initdb` and `postgres` are: on the path, or where Debian keeps them."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "postgres").exists()), None)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of an MLflow server on SQLite, shared by the session's tests: use an experiment of your own."""
    folder = tmp_path_factory.mktemp("mlflow-sqlite")
    with mlflow(f"sqlite:///{folder}/mlflow.db", folder) as uri:
        yield uri


@pytest.fixture(scope="session")
def mlflow_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of an MLflow server on PostgreSQL."""
    if postgres_binaries() is None:
        pytest.skip(NO_POSTGRES)
    with postgres() as database, mlflow(database, tmp_path_factory.mktemp("mlflow-postgres")) as uri:
        yield uri


def _answers(uri: str, server: subprocess.Popen[bytes]) -> bool:
    """Whether the server searches: that comes after its migration. One request at a time, since two would both migrate."""
    if server.poll() is not None:
        raise RuntimeError(f"MLflow ended with exit code {server.returncode}")
    try:
        with urllib.request.urlopen(
            f"{uri}/api/2.0/mlflow/experiments/search?max_results=1", timeout=READY_SECONDS
        ) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _unprivileged() -> str | None:
    """The user that PostgreSQL is to run as, if we are root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, required=True, help="database, artifacts and log")
    parser.add_argument("--port", type=int, default=None)
    parser.add_argument("--postgres", action="store_true", help="on a temporary PostgreSQL instead of SQLite")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with postgres() if given.postgres else _sqlite(folder) as backend, mlflow(backend, folder, port=given.port) as uri:
        print(uri, flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/mlflow.db"


if __name__ == "__main__":
    main()
