"""The command lines of a control plane's four components: pure functions of its layout.

Each flag is here because a test cluster on one machine needs it; the rest keeps its default.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.cluster import paths

# The default of 20 requests a second would make the controller-manager create two Jobs' pods a second.
FAST_CLIENT = ("--kube-api-qps=1000", "--kube-api-burst=2000")


@dataclass(frozen=True)
class Layout:
    """Where one control plane lies and listens. `bind` is the address of the API server; all else is on 127.0.0.1."""

    state: Path
    bind: str
    api: int
    etcd: int
    peer: int
    controller_manager: int
    scheduler: int

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return f"https://{self.bind}:{self.api}"

    def pki(self, name: str) -> str:
        """The path of a file that `tests.cluster.pki.control_plane` wrote."""
        return str(self.state / "pki" / name)

    def kubeconfig(self, user: str) -> Path:
        """The path of a user's kubeconfig."""
        return self.state / f"{user}.kubeconfig"


def etcd(layout: Layout) -> list[str]:
    """A single member. Not synced to disk: the data need not outlive the machine."""
    client, peer = f"https://127.0.0.1:{layout.etcd}", f"https://127.0.0.1:{layout.peer}"
    command = [paths.binary("etcd"), "--name=e", f"--data-dir={layout.state}/etcd"]
    command += ["--unsafe-no-fsync", "--log-level=warn"]
    command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
    command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=e={peer}"]
    for prefix in ("", "peer-"):
        command += [
            f"--{prefix}client-cert-auth",
            f"--{prefix}cert-file={layout.pki('etcd.crt')}",
            f"--{prefix}key-file={layout.pki('etcd.key')}",
            f"--{prefix}trusted-ca-file={layout.pki('etcd-ca.crt')}",
        ]
    return command


def apiserver(layout: Layout) -> list[str]:
    """RBAC and node authorization, as a cluster in production has them."""
    command = [
        paths.binary("kube-apiserver"),
        f"--bind-address={layout.bind}",
        f"--advertise-address={layout.bind}",
        f"--secure-port={layout.api}",
        f"--etcd-servers=https://127.0.0.1:{layout.etcd}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
        "--kubelet-preferred-address-types=InternalIP",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
    ]
    if layout.bind == "127.0.0.1":
        # An Endpoints object may not hold a loopback address; without this the server logs an error every 10 s.
        command.append("--endpoint-reconciler-type=none")
    files = {
        "etcd-cafile": "etcd-ca.crt",
        "etcd-certfile": "etcd-client.crt",
        "etcd-keyfile": "etcd-client.key",
        "tls-cert-file": "apiserver.crt",
        "tls-private-key-file": "apiserver.key",
        "client-ca-file": "ca.crt",
        "kubelet-client-certificate": "kubelet-client.crt",
        "kubelet-client-key": "kubelet-client.key",
        "proxy-client-cert-file": "front-proxy.crt",
        "proxy-client-key-file": "front-proxy.key",
        "requestheader-client-ca-file": "front-proxy-ca.crt",
        "service-account-key-file": "service-account.pub",
        "service-account-signing-key-file": "service-account.key",
    }
    return command + [f"--{flag}={layout.pki(name)}" for flag, name in files.items()]


def controller_manager(layout: Layout) -> list[str]:
    """All controllers, each with its own service account."""
    files = {
        "root-ca-file": "ca.crt",
        "service-account-private-key-file": "service-account.key",
        "cluster-signing-cert-file": "ca.crt",
        "cluster-signing-key-file": "ca.key",
    }
    return [
        paths.binary("kube-controller-manager"),
        *_client(layout, "controller-manager", layout.controller_manager),
        "--use-service-account-credentials=true",
        "--concurrent-job-syncs=20",
        *[f"--{flag}={layout.pki(name)}" for flag, name in files.items()],
    ]


def scheduler(layout: Layout) -> list[str]:
    """The default scheduler."""
    return [paths.binary("kube-scheduler"), *_client(layout, "scheduler", layout.scheduler)]


def _client(layout: Layout, user: str, port: int) -> list[str]:
    flags = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [
        *[f"--{flag}={layout.kubeconfig(user)}" for flag in flags],
        *FAST_CLIENT,
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
    ]
