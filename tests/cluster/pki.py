"""Certificates and kubeconfigs of one control plane, made by `openssl`, valid for 30 days.

Three authorities, as kubeadm has them: the cluster's own, etcd's, and the front proxy's. Layout after kubeadm's
"PKI certificates and requirements". Nothing here talks to a cluster.
"""

import base64
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

DAYS = "30"
CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA = "ca", "etcd-ca", "front-proxy-ca"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """A leaf to be signed: `subject` in openssl's form, `names` as its subjectAltName takes them."""

    name: str
    subject: str
    authority: str = CLUSTER_CA
    usage: str = "clientAuth"
    names: tuple[str, ...] = ()


def authority(directory: Path, name: str) -> None:
    """Write `name.crt` and `name.key`, a self-signed authority."""
    files = ("-keyout", str(directory / f"{name}.key"), "-out", str(directory / f"{name}.crt"))
    _openssl("req", "-x509", *NEW_KEY, "-days", DAYS, "-subj", f"/CN={name}", *files)


def sign(directory: Path, leaf: Certificate, *, out: Path | None = None) -> None:
    """Write `leaf`'s `.crt` and `.key` into `out` (by default `directory`), signed by its authority in `directory`."""
    target, issuer = (out or directory) / leaf.name, directory / leaf.authority
    request, extensions = Path(f"{target}.csr"), Path(f"{target}.ext")
    names = f"subjectAltName={','.join(leaf.names)}\n" if leaf.names else ""
    extensions.write_text(f"keyUsage=digitalSignature\nextendedKeyUsage={leaf.usage}\n{names}")
    _openssl("req", *NEW_KEY, "-subj", leaf.subject, "-keyout", f"{target}.key", "-out", str(request))
    _openssl(
        *("x509", "-req", "-days", DAYS, "-in", str(request), "-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key"),
        *("-CAcreateserial", "-extfile", str(extensions), "-out", f"{target}.crt"),
    )
    request.unlink()
    extensions.unlink()


def control_plane(directory: Path, *, bind: str) -> None:
    """Everything a control plane needs that serves on `bind`."""
    directory.mkdir(parents=True, mode=0o700)
    for name in (CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA):
        authority(directory, name)
    service = tuple(f"DNS:kubernetes{rest}" for rest in ("", ".default", ".default.svc", ".default.svc.cluster.local"))
    addresses = tuple(f"IP:{address}" for address in dict.fromkeys(("127.0.0.1", bind, "10.96.0.1")))
    for leaf in (
        Certificate("etcd", "/CN=etcd", ETCD_CA, "serverAuth,clientAuth", ("IP:127.0.0.1",)),
        Certificate("etcd-client", "/CN=apiserver", ETCD_CA),
        Certificate("apiserver", "/CN=kube-apiserver", CLUSTER_CA, "serverAuth", addresses + service),
        Certificate("kubelet-client", "/O=system:masters/CN=apiserver-kubelet-client"),
        Certificate("front-proxy", "/CN=front-proxy", FRONT_PROXY_CA),
        Certificate("admin", "/O=system:masters/CN=admin"),
        Certificate("controller-manager", "/CN=system:kube-controller-manager"),
        Certificate("scheduler", "/CN=system:kube-scheduler"),
    ):
        sign(directory, leaf)
    key = directory / "service-account"
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{key}.key")
    _openssl("ec", "-in", f"{key}.key", "-pubout", "-out", f"{key}.pub")


def certificate_user(directory: Path, name: str) -> dict[str, str]:
    """The kubeconfig user that the certificate `name` in `directory` stands for."""
    return {
        "client-certificate-data": _base64(directory / f"{name}.crt"),
        "client-key-data": _base64(directory / f"{name}.key"),
    }


def write_kubeconfig(path: Path, *, server: str, ca: Path, user: dict[str, str], namespace: str = "default") -> Path:
    """Write a kubeconfig with one context, readable by its owner only, and return its path."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "test", "cluster": {"server": server, "certificate-authority-data": _base64(ca)}},
        ],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        "current-context": "test",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
