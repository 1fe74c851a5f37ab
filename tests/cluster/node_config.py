"""What the programs of the real node are told: configuration texts, pure functions of directories and addresses.

Settings that look odd are there because the node must also run where root is confined: no CAP_SYS_RESOURCE (so nothing
may lower an oom_score_adj or raise a limit), cgroup v1 or a hybrid, swap on.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import debian, images

NAME = "node-0"
BRIDGE = "hypersweep0"
NETWORK = "hypersweep"
GATEWAY = "10.244.0.1"
SUBNET = "10.244.0.0/24"
DOMAIN = "cluster.local"

# What containerd loads by default and would only complain about here, or write outside its own directories.
_PLUGINS_OFF = [
    "io.containerd.internal.v1.opt",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
]


def network(address_pool: Path) -> str:
    """The CNI configuration: one bridge, addresses handed out from files in `address_pool`."""
    ranges = [[{"subnet": SUBNET, "rangeStart": "10.244.0.10"}]]
    routes = [{"dst": "0.0.0.0/0"}]
    ipam = {"type": "host-local", "dataDir": str(address_pool), "ranges": ranges, "routes": routes}
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": ipam}
    return json.dumps({"cniVersion": "0.4.0", "name": NETWORK, "plugins": [bridge]}, indent=1)


def containerd(root: Path, state: Path, *, socket: Path, networks: Path) -> str:
    """The configuration of containerd, version 2 (containerd 1.6, as Debian 12 has it)."""
    return f"""\
version = 2
root = "{root}"
state = "{state}"
oom_score = 0
disabled_plugins = {json.dumps(_PLUGINS_OFF)}
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{networks}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{debian.program_path("runc")}"
        SystemdCgroup = false
"""


def kubelet(state: Path, *, socket: Path, ca: Path) -> str:
    """KubeletConfiguration. Its directories lie in `state`, as far as it lets itself be told."""
    return _yaml(
        "kubelet.config.k8s.io/v1beta1",
        "KubeletConfiguration",
        containerRuntimeEndpoint=f"unix://{socket}",
        cgroupDriver="cgroupfs",
        failCgroupV1=False,
        failSwapOn=False,
        oomScoreAdj=0,
        address=GATEWAY,
        healthzPort=0,
        readOnlyPort=0,
        authentication={
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(ca)},
        },
        authorization={"mode": "Webhook"},
        podLogsDir=str(state / "pod-logs"),
        volumePluginDir=str(state / "volume-plugins"),
        clusterDNS=[GATEWAY],
        clusterDomain=DOMAIN,
        resolvConf="",  # pods know no name server but the cluster's
        # The machine's disk may be nearly full with other things, and its images are all there is.
        evictionHard={
            "memory.available": "200Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        imageGCHighThresholdPercent=100,
    )


def kube_proxy(kubeconfig: Path) -> str:
    """KubeProxyConfiguration: iptables, and no limits on connection tracking, which a confined root may not set."""
    return _yaml(
        "kubeproxy.config.k8s.io/v1alpha1",
        "KubeProxyConfiguration",
        mode="iptables",
        clusterCIDR=SUBNET,
        hostnameOverride=NAME,
        bindAddress=GATEWAY,
        metricsBindAddress=f"{GATEWAY}:10249",
        healthzBindAddress=f"{GATEWAY}:10256",
        oomScoreAdj=0,
        conntrack={"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        clientConnection={"kubeconfig": str(kubeconfig)},
    )


def dnsmasq(hosts: Path) -> list[str]:
    """The arguments of dnsmasq: it answers for the names in the files of `hosts`, and asks nobody else."""
    return [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--no-resolv",
        f"--hostsdir={hosts}",
        f"--listen-address={GATEWAY}",
        "--bind-dynamic",
        "--except-interface=lo",
        f"--local=/{DOMAIN}/",
        "--user=root",
        "--pid-file=",
        "--log-facility=-",
    ]


def _yaml(version: str, kind: str, **fields: Any) -> str:
    return yaml.safe_dump({"apiVersion": version, "kind": kind, **fields})
