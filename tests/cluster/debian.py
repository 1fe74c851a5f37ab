"""The Debian packages that a real node and image builds need, installed when they are missing.

Only for root on Debian or Ubuntu. Elsewhere it says what is missing, and leaves it to the user.
"""

import os
import shutil
import subprocess

# A program of each package, to tell without asking dpkg, so that it works where the programs came some other way.
NODE = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ethtool": "ethtool",
    "socat": "socat",
    "dnsmasq-base": "dnsmasq",
    "iproute2": "ip",
    "openssl": "openssl",
}
IMAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "runc": "runc"}

_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
_INSTALL_SECONDS = 900.0


def ensure(programs: dict[str, str]) -> None:
    """Have the packages that `programs` (package to program) names.

    Raises:
        PermissionError: something is missing, and this is not root on a machine with apt-get.
        subprocess.CalledProcessError: apt-get failed.
    """
    missing = [package for package, program in programs.items() if program_path(program) is None]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PermissionError(f"these Debian packages are missing, and installing them needs root: {' '.join(missing)}")
    apt = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ([*apt, "update"], [*apt, "install", "--yes", "--no-install-recommends", *missing]):
        subprocess.run(command, env=environment, check=True, timeout=_INSTALL_SECONDS)


def search_path() -> str:
    """PATH with the system's directories, which a user's may lack."""
    return f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PATH}"


def program_path(name: str) -> str | None:
    """Where a program lies in `search_path`, or none."""
    return shutil.which(name, path=search_path())
