"""Keeps the names of the cluster's Services in a file that dnsmasq reads: what CoreDNS does, as far as tests need it.

A Service with a cluster IP is one name; a headless one has the addresses of its ready pods, and a name for each pod
that has a hostname, as in the Kubernetes DNS specification. No SRV records, no names of single pods by address.
Runs as a process of its own: `python -m tests.cluster.dns KUBECONFIG FILE`.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import kubernetes
import urllib3

from tests.cluster.node_config import DOMAIN

WATCH_SECONDS = 60
RETRY_SECONDS = 1.0


def records(services: list[kubernetes.client.V1Service], slices: list[kubernetes.client.V1EndpointSlice]) -> str:
    """The names of `services`, one `ADDRESS NAME` a line, as in a hosts file."""
    lines: list[str] = []
    for service in services:
        name = f"{service.metadata.name}.{service.metadata.namespace}.svc.{DOMAIN}"
        if service.spec.cluster_ip == "None":
            lines += _headless(name, [piece for piece in slices if _belongs(piece, service)])
        elif service.spec.cluster_ip:
            lines.append(f"{service.spec.cluster_ip} {name}")
    return "".join(f"{line}\n" for line in sorted(lines))


def follow(kubeconfig: Path, file: Path) -> None:
    """Write `file` whenever a Service or its endpoints change, for ever; failures are printed and tried again."""
    loaded = kubernetes.config.new_client_from_config(str(kubeconfig))
    core, discovery = kubernetes.client.CoreV1Api(loaded), kubernetes.client.DiscoveryV1Api(loaded)
    while True:
        try:
            # Slices first, and watched: each Service with a selector has one, so its coming and going shows there.
            slices = discovery.list_endpoint_slice_for_all_namespaces()
            _write(file, records(core.list_service_for_all_namespaces().items, slices.items))
            _wait_for_change(discovery, slices.metadata.resource_version)
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError) as error:
            print(f"cannot follow Services, trying again: {error}", flush=True)
            time.sleep(RETRY_SECONDS)


def _wait_for_change(discovery: kubernetes.client.DiscoveryV1Api, version: str) -> None:
    changes = kubernetes.watch.Watch().stream(
        discovery.list_endpoint_slice_for_all_namespaces, resource_version=version, timeout_seconds=WATCH_SECONDS
    )
    next(iter(changes), None)


def _write(file: Path, text: str) -> None:
    # By a rename, so that dnsmasq, which is told of each change in the directory, never reads half of it.
    fresh = file.parent.parent / f"{file.name}.new"
    fresh.write_text(text)
    fresh.replace(file)


def _headless(name: str, slices: list[kubernetes.client.V1EndpointSlice]) -> Iterator[str]:
    for endpoint in (endpoint for piece in slices for endpoint in piece.endpoints or ()):
        if endpoint.conditions.ready is False:
            continue
        for address in endpoint.addresses:
            yield f"{address} {name}"
            if endpoint.hostname:
                yield f"{address} {endpoint.hostname}.{name}"


def _belongs(piece: kubernetes.client.V1EndpointSlice, service: kubernetes.client.V1Service) -> bool:
    owner = (piece.metadata.labels or {}).get("kubernetes.io/service-name")
    return bool(owner == service.metadata.name and piece.metadata.namespace == service.metadata.namespace)


if __name__ == "__main__":
    follow(Path(sys.argv[1]), Path(sys.argv[2]))
