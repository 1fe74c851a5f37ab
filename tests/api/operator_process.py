"""The operator as a process: installed with the rights that the chart ships, started, asked, stopped, killed.

Owns the process and what it needs (service account, Role, configuration, all of them rendered from the chart). Its log
is a file; `Operator.log` is what it holds, and the fixture `operate` prints it when a test fails.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from tests.chart.rendering import NAME as ACCOUNT
from tests.chart.rendering import render
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import write_service_account_kubeconfig
from tests.cluster.waiting import eventually
from tests.tracking.server import free_port

STOP_SECONDS = 3.0  # from SIGTERM to the end, at most
START_SECONDS = 60.0  # of patience with a busy machine; what is promised is tested on its own


@dataclass(frozen=True)
class Installation:
    """An operator's rights and configuration, as a release of the chart in `namespace` gives them."""

    plane: ControlPlane
    namespace: str
    kubeconfig: Path
    config: dict[str, Any]


def install(plane: ControlPlane, namespace: str, *, mlflow: str, watched: Sequence[str] = ()) -> Installation:
    """Make the service account and its Roles of a release in `namespace`, which must exist, and nothing else of it."""
    servers = [{"name": "default", "uri": mlflow}]
    values = {"namespaces": list(watched), "trackingServers": servers, "logFormat": "text"}
    rendered = render(values, f"--namespace={namespace}")
    rights = [item for kind in ("ServiceAccount", "Role", "RoleBinding") for item in rendered.of_kind(kind)]
    plane.kubectl.apply(*rights)
    config = yaml.safe_load(rendered.one("ConfigMap")["data"]["config.yaml"])
    kubeconfig = write_service_account_kubeconfig(plane, namespace, ACCOUNT)
    return Installation(plane=plane, namespace=namespace, kubeconfig=kubeconfig, config=config)


@dataclass
class Operator:
    """One installation's operator, as a pod of the Deployment would run it: at most one process at a time.

    `identity` stands for the pod's UID: the same after a crash of its container, another after the pod was replaced.
    """

    installation: Installation
    folder: Path
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def environment(self) -> dict[str, str]:
        """What the Deployment sets, and where the API server is."""
        there = {"POD_NAMESPACE": self.installation.namespace, "POD_UID": self.identity, "POD_NAME": "operator-0"}
        return {**os.environ, **there, "KUBECONFIG": str(self.installation.kubeconfig)}

    @property
    def log_file(self) -> Path:
        return self.folder / f"operator-{self.identity[:8]}.log"

    @property
    def log(self) -> str:
        """What all its processes have logged so far."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def configure(self) -> Path:
        """Write its configuration; the path."""
        path = self.folder / f"operator-{self.identity[:8]}.yaml"
        path.write_text(yaml.safe_dump({**self.installation.config, "port": self.port}))
        return path

    def start(self) -> None:
        """Start the process; it is not waited for."""
        assert not self.runs, "it runs already"
        command = [sys.executable, "-m", "hypersweep.cli.main", "operator", "--config", str(self.configure())]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait_until_leading(self, seconds: float = START_SECONDS) -> None:
        """Wait until it has the lease and its caches, and begins with the sweeps."""
        eventually(lambda: self._metric("hypersweep_leader") == 1, what="the operator to lead", seconds=seconds)

    def kept_waiting(self) -> float:
        """Seconds that it was ready to run, and others had the processors."""
        assert self._process is not None
        _, waited, _ = Path(f"/proc/{self._process.pid}/schedstat").read_text().split()
        return int(waited) / 1e9

    def stop(self) -> float:
        """Send SIGTERM, and wait for the end; how many seconds it took. AssertionError when it is not a clean one."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(30)
        assert code == 0, f"exit code {code}"
        return time.monotonic() - began

    def kill(self) -> None:
        """kill -9, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)

    def ended(self, seconds: float = 30.0) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None
        return self._process.wait(seconds)

    def metrics(self) -> dict[str, float]:
        """What `/metrics` says now, by series; empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                lines = [line for line in answer.read().decode().splitlines() if line and not line.startswith("#")]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            assert self.runs, f"it ended with exit code {self._process and self._process.returncode}"
            return {}
        return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}

    def _metric(self, name: str) -> float | None:
        return self.metrics().get(name)
