"""The real node: containerd, runc, kubelet, kube-proxy and DNS, beside a control plane that listens on its bridge.

One per machine, for root on Linux. `up` and `down` may be repeated, and `down` also clears up after a node that was
killed; what it leaves are logs and the image store, so that images load once. Both lie in the cache.
"""

import fcntl
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.cluster import build, debian, images, node_config, paths, pki, remnants
from tests.cluster.clients import Kubectl, Tool
from tests.cluster.control_plane import ControlPlane
from tests.cluster.daemons import Daemon
from tests.cluster.waiting import eventually

DAEMONS = ("dnsmasq", "dns", "kube-proxy", "kubelet", "containerd")  # in the order they stop
READY_SECONDS = 120.0
RESERVE_SECONDS = 1800.0
_LOAD_SECONDS = 1800.0


@dataclass(frozen=True)
class RealNode:
    """The machine as a node, whether it is one now or not."""

    state: Path = field(default_factory=paths.node)
    control_plane: ControlPlane = field(default_factory=lambda: ControlPlane(paths.clusters() / "node"))

    @property
    def kubectl(self) -> Kubectl:
        """`kubectl` as administrator of the node's cluster."""
        return self.control_plane.kubectl

    @property
    def helm(self) -> Tool:
        """`helm` as administrator of the node's cluster."""
        return self.control_plane.helm

    def daemon(self, name: str) -> Daemon:
        """One of the node's own processes."""
        return Daemon(self.state, name)

    def status(self) -> dict[str, int | None]:
        """The process id of each daemon of control plane and node, or none where it does not run."""
        return self.control_plane.status() | {name: self.daemon(name).pid() for name in DAEMONS}

    def is_up(self) -> bool:
        """Whether all of it runs."""
        return all(self.status().values())

    @contextmanager
    def reserved(self, seconds: float = RESERVE_SECONDS) -> Iterator[None]:
        """Keep other test sessions off the machine's one node; waits its turn for `seconds` at most."""
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("w") as file:
            eventually(lambda: _lock(file), what="another test session to leave the node", seconds=seconds, every=1)
            yield

    def up(self) -> None:
        """Make this machine a node of a fresh cluster, and wait until the node is ready; if it is one, leave it be."""
        if self.is_up():
            return
        debian.ensure(debian.NODE | debian.IMAGES)
        build.ensure(build.CONTROL_PLANE + build.NODE)
        self.down()
        shutil.rmtree(self.state / "log", ignore_errors=True)
        for name in ("networks", "hosts", "kubelet"):
            (self._run / name).mkdir(parents=True)
        remnants.save_sysctls(self._sysctls)
        _make_bridge()
        self.control_plane.up(bind=node_config.GATEWAY)
        self._start_containerd()
        self._start_kubelet()
        self._start_services()
        self._wait_until_ready()

    def down(self) -> None:
        """End the node and its control plane, and leave nothing of them on the machine but logs and images.

        Raises:
            RuntimeError: something would not go; the message lists it.
        """
        for name in DAEMONS:
            if name == "containerd" and self.daemon(name).pid():
                self._remove_containers()
            self.daemon(name).stop()
        self.control_plane.down()
        remnants.remove(self.state)
        remnants.restore_sysctls(self._sysctls)
        left = remnants.list_all(self.state)
        if left:
            raise RuntimeError("left of the node: " + "; ".join(left))
        if self._run.exists():
            shutil.rmtree(self._run)

    def load(self, *names: str) -> None:
        """Give images of buildah's store to the node; those it has are passed over. A gigabyte takes about 25 s."""
        for name in names:
            wanted = images.image_id(name)
            if wanted is None:
                raise LookupError(f"there is no image {images.full_name(name)}; build it first")
            held = self._images()
            if wanted in held and held.get(images.full_name(name)) == held[wanted]:
                continue
            with tempfile.TemporaryDirectory(dir=self.state) as scratch:
                archive = Path(scratch, "image.tar")
                images.export(name, archive)
                self._ctr("images", "import", str(archive))

    def service_url(self, namespace: str, name: str) -> str:
        """`http://ADDRESS:PORT/` of a Service, by its cluster IP and first port: good on this machine, too."""
        spec = self.kubectl.json("get", "service", name, "-n", namespace)["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}/"

    @property
    def _run(self) -> Path:
        """What lives as long as the node."""
        return self.state / "run"

    @property
    def _socket(self) -> Path:
        return self._run / "containerd.sock"

    @property
    def _sysctls(self) -> Path:
        return self.state / "sysctls.saved"

    def _start_containerd(self) -> None:
        networks = self._run / "networks"
        (networks / "bridge.conflist").write_text(node_config.network(self._run / "addresses"))
        config = self._run / "containerd.toml"
        config.write_text(
            node_config.containerd(
                self.state / "store", self._run / "containerd", socket=self._socket, networks=networks
            )
        )
        self._start("containerd", "containerd", f"--config={config}")
        eventually(self._socket.exists, what=f"containerd (see {self.daemon('containerd').log})")
        self._remove_containers()  # of a node that was killed: the store remembers them
        images.ensure_pause()
        self.load(images.PAUSE)

    def _start_kubelet(self) -> None:
        run, authorities = self._run / "kubelet", self.control_plane.state / "pki"
        pki.sign(authorities, pki.Certificate("node", f"/O=system:nodes/CN=system:node:{node_config.NAME}"), out=run)
        self.control_plane.write_kubeconfig(run / "kubeconfig", pki.certificate_user(run, "node"))
        (run / "config.yaml").write_text(
            node_config.kubelet(run, socket=self._socket, ca=authorities / f"{pki.CLUSTER_CA}.crt")
        )
        self._start(
            "kubelet",
            paths.binary("kubelet"),
            f"--config={run / 'config.yaml'}",
            f"--kubeconfig={run / 'kubeconfig'}",
            f"--hostname-override={node_config.NAME}",
            f"--node-ip={node_config.GATEWAY}",
            f"--root-dir={run / 'root'}",
            f"--cert-dir={run}",
        )

    def _start_services(self) -> None:
        config, hosts = self._run / "kube-proxy.yaml", self._run / "hosts"
        config.write_text(node_config.kube_proxy(self.control_plane.kubeconfig))
        self._start("kube-proxy", paths.binary("kube-proxy"), f"--config={config}")
        records = ("-m", "tests.cluster.dns", str(self.control_plane.kubeconfig), str(hosts / "services"))
        self._start("dns", sys.executable, *records, PYTHONPATH=str(paths.REPOSITORY))
        self._start("dnsmasq", "dnsmasq", *node_config.dnsmasq(hosts))

    def _start(self, name: str, program: str, *arguments: str, **environment: str) -> None:
        path = debian.program_path(program)
        assert path is not None, f"{program} was installed or built before"
        self.daemon(name).start([path, *arguments], {"PATH": debian.search_path(), **environment})

    def _wait_until_ready(self) -> None:
        def look() -> bool:
            for name in DAEMONS:
                if self.daemon(name).pid() is None:
                    raise RuntimeError(f"{name} ended:\n{self.daemon(name).tail()}")
            nodes = self.kubectl.json("get", "nodes")["items"]
            conditions = [condition for node in nodes for condition in node["status"].get("conditions", [])]
            return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

        what = f"the node to be ready (see {self.daemon('kubelet').log})"
        eventually(look, what=what, seconds=READY_SECONDS, every=0.5)

    def _remove_containers(self) -> None:
        for task in self._ctr("tasks", "list", "--quiet").split():
            self._ctr("tasks", "delete", "--force", task)
        containers = self._ctr("containers", "list", "--quiet").split()
        if containers:
            self._ctr("containers", "delete", *containers)

    def _images(self) -> dict[str, str]:
        """The digest of each image's manifest, by its names and by its own id."""
        rows = (line.split() for line in self._ctr("images", "list").splitlines()[1:])
        return {row[0]: row[2] for row in rows}

    def _ctr(self, *arguments: str) -> str:
        command = ["ctr", f"--address={self._socket}", "--namespace=k8s.io", *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=_LOAD_SECONDS).stdout


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_bridge() -> None:
    bridge = node_config.BRIDGE
    for command in (
        ["link", "add", bridge, "type", "bridge"],
        ["address", "add", f"{node_config.GATEWAY}/24", "dev", bridge],
        ["link", "set", bridge, "up"],
    ):
        subprocess.run(["ip", *command], check=True, timeout=30)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
