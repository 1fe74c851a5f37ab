"""One control plane: brought up, looked at, restarted in part, taken down.

It lives in a state directory, and several may run side by side, each on ports of its own. Nothing here knows of nodes.
"""

import http.client
import json
import random
import shutil
import socket
import ssl
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster import build, components, pki
from tests.cluster.clients import Kubectl, Tool
from tests.cluster.components import Layout
from tests.cluster.daemons import Daemon
from tests.cluster.waiting import eventually

READY_SECONDS = 120.0
# Told to end, an API server waits for its watches, a minute and more; its data is safe in etcd at any moment.
APISERVER_STOP_SECONDS = 1.0
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")  # in the order they start

# Below the kernel's range for outgoing connections: while the API server restarts, a client that is given the server's
# port as its own would connect to itself and keep the port. Above most services, below Kubernetes' node ports.
PORTS = range(20000, 30000)


@dataclass(frozen=True)
class ControlPlane:
    """The control plane whose state lies in `state`, whether it runs or not."""

    state: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "admin.kubeconfig"

    @property
    def kubectl(self) -> Kubectl:
        """`kubectl` as the administrator."""
        return Kubectl(self.kubeconfig)

    @property
    def helm(self) -> Tool:
        """`helm` as the administrator; built at first use."""
        build.ensure(["helm"])
        return Tool("helm", self.kubeconfig)

    @property
    def layout(self) -> Layout:
        """Where it listens.

        Raises:
            FileNotFoundError: it was never up.
        """
        fields = json.loads(self._layout_file.read_text())
        return Layout(**{**fields, "state": self.state})

    @property
    def server(self) -> str:
        """The URL of its API server."""
        return self.layout.server

    def daemon(self, name: str) -> Daemon:
        """One of its processes, by name; other modules add theirs beside it."""
        return Daemon(self.state, name)

    def daemons(self) -> list[Daemon]:
        """All processes ever started in the state directory, in the order in which to stop them: components last."""
        names = [file.stem for file in sorted((self.state / "daemons").glob("*.json"))]
        others = [name for name in names if name not in COMPONENTS]
        return [self.daemon(name) for name in (*others, *reversed(COMPONENTS))]

    def status(self) -> dict[str, int | None]:
        """The process id of each of its daemons, or none where it does not run."""
        return {daemon.name: daemon.pid() for daemon in self.daemons()}

    def up(
        self,
        *,
        bind: str = "127.0.0.1",
        apiserver_flags: Sequence[str] = (),
        controller_manager_flags: Sequence[str] = (),
        scheduler_flags: Sequence[str] = (),
    ) -> None:
        """Bring up a fresh, usable control plane; if it is up already, leave it as it is.

        Args:
            bind: the address that the API server listens on: loopback, or a bridge's for a real node.
            apiserver_flags: command-line flags to add, e.g. `--runtime-config=…`; likewise the other two.

        Raises:
            TimeoutError: it did not become usable; the message names the log.
            FileExistsError: the directory holds something that is not a cluster's state.
        """
        if all(self.daemon(name).pid() for name in COMPONENTS):
            return
        self.down()
        build.ensure(build.CONTROL_PLANE)
        self._wipe()
        layout = Layout(self.state, bind, *_free_ports(5))
        pki.control_plane(self.state / "pki", bind=bind)
        self._layout_file.write_text(json.dumps(asdict(layout) | {"state": str(self.state)}))
        for user in ("admin", "controller-manager", "scheduler"):
            credentials = pki.certificate_user(self.state / "pki", user)
            self.write_kubeconfig(layout.kubeconfig(user), credentials)
        self.daemon("etcd").start(components.etcd(layout))
        self.daemon("kube-apiserver").start([*components.apiserver(layout), *apiserver_flags])
        self.wait_until_ready()
        self.daemon("kube-controller-manager").start(
            [*components.controller_manager(layout), *controller_manager_flags]
        )
        self.daemon("kube-scheduler").start([*components.scheduler(layout), *scheduler_flags])
        self._wait_for("/api/v1/namespaces/default/serviceaccounts/default", "kube-controller-manager")

    def down(self) -> None:
        """Stop every process. State and logs stay until the next `up`."""
        for daemon in self.daemons():
            if daemon.name == "kube-apiserver":
                self.stop_apiserver()
            else:
                daemon.stop()

    def stop_apiserver(self) -> None:
        """Take the API server away; its clients see refused connections."""
        self.daemon("kube-apiserver").stop(APISERVER_STOP_SECONDS)

    def start_apiserver(self) -> None:
        """Bring it back on the same port, and wait until it is ready."""
        self.daemon("kube-apiserver").start_again()
        self.wait_until_ready()

    def restart_apiserver(self) -> None:
        """Stop the API server and start it again on the same port: every watch is cut."""
        self.stop_apiserver()
        self.start_apiserver()

    def wait_until_ready(self) -> None:
        """Wait until the API server says that it is ready."""
        self._wait_for("/readyz", "kube-apiserver")

    def write_kubeconfig(self, path: Path, user: dict[str, str], *, namespace: str = "default") -> Path:
        """Write a kubeconfig for `user` (in a kubeconfig's own terms) and return its path."""
        ca = self.state / "pki" / "ca.crt"
        return pki.write_kubeconfig(path, server=self.server, ca=ca, user=user, namespace=namespace)

    @property
    def _layout_file(self) -> Path:
        return self.state / "cluster.json"

    def _wipe(self) -> None:
        if self.state.exists() and any(self.state.iterdir()):
            if not self._layout_file.exists() and not (self.state / "pki").exists():
                raise FileExistsError(f"{self.state} is not empty and not the state of a cluster")
            shutil.rmtree(self.state)
        self.state.mkdir(parents=True, mode=0o700, exist_ok=True)

    def _wait_for(self, path: str, daemon: str) -> None:
        def look() -> bool:
            if self.daemon(daemon).pid() is None:
                raise RuntimeError(
                    f"{daemon} ended; {self.daemon(daemon).log} ends with:\n{self.daemon(daemon).tail()}"
                )
            return self._get(path) == http.HTTPStatus.OK

        eventually(look, what=f"{path} of {self.server} (see {self.daemon(daemon).log})", seconds=READY_SECONDS)

    def _get(self, path: str) -> int | None:
        """The status of a GET as administrator; none while nothing answers."""
        context = ssl.create_default_context(cafile=self.layout.pki("ca.crt"))
        context.load_cert_chain(self.layout.pki("admin.crt"), self.layout.pki("admin.key"))
        connection = http.client.HTTPSConnection(self.layout.bind, self.layout.api, timeout=2, context=context)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:  # taken
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"fewer than {count} free ports in {PORTS}")
