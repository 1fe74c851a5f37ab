"""What pods reserve, by Kubernetes' rule, and what a trial's account holds of it."""

from decimal import Decimal
from typing import Any

import pytest

from hypersweep.core.resources import EARLIER, PODS, Usage, charged, quantity, requested, total


def container(*, sidecar: bool = False, limits: dict[str, Any] | None = None, **requests: Any) -> dict[str, Any]:
    """A container that requests this."""
    made: dict[str, Any] = {"resources": {"requests": requests, "limits": limits or {}}}
    return {**made, "restartPolicy": "Always"} if sidecar else made


PODS_AND_AMOUNTS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "nothing": ({}, {}),
    "containers add up": ({"containers": [container(cpu="500m"), container(cpu=1)]}, {"cpu": 1.5}),
    "memory counts in GiB": (
        {"containers": [container(memory="512Mi", **{"ephemeral-storage": "2Gi"})]},
        {"ephemeral-storage": 2.0, "memory": 0.5},
    ),
    "others count in units": ({"containers": [container(**{"nvidia.com/gpu": "2"})]}, {"nvidia.com/gpu": 2.0}),
    "a limit is a request where there is none": (
        {"containers": [container(limits={"nvidia.com/gpu": 1, "cpu": 4}, cpu=1)]},
        {"cpu": 1.0, "nvidia.com/gpu": 1.0},
    ),
    "a container that initializes counts where it is larger": (
        {"containers": [container(cpu=1, memory="1Gi")], "initContainers": [container(cpu=3), container(cpu=2)]},
        {"cpu": 3.0, "memory": 1.0},
    ),
    "a sidecar runs beside the containers": (
        {"containers": [container(cpu=2)], "initContainers": [container(cpu=1, sidecar=True)]},
        {"cpu": 3.0},
    ),
    "one that initializes runs beside the sidecars before it": (
        {
            "containers": [container(cpu=1)],
            "initContainers": [container(cpu=1, sidecar=True), container(cpu=4), container(cpu=2, sidecar=True)],
        },
        {"cpu": 5.0},
    ),
    "what the pod says for itself wins, but not for devices": (
        {
            "containers": [container(cpu=1, **{"nvidia.com/gpu": 1})],
            "resources": {"requests": {"cpu": 8, "nvidia.com/gpu": 9}},
        },
        {"cpu": 8.0, "nvidia.com/gpu": 1.0},
    ),
    "the overhead of its runtime is added": (
        {"containers": [container(cpu=1)], "overhead": {"cpu": "250m", "memory": "1Gi"}},
        {"cpu": 1.25, "memory": 1.0},
    ),
    "a request of none is none": ({"containers": [container(cpu=0)]}, {}),
}


@pytest.mark.parametrize("name", PODS_AND_AMOUNTS)
def test_a_pod_reserves(name: str) -> None:
    """Each row's pod reserves exactly its amounts."""
    pod, amounts = PODS_AND_AMOUNTS[name]
    assert dict(requested(pod)) == amounts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", "2"), (0.5, "0.5"), ("100m", "0.1"), ("1.5Gi", str(1.5 * 2**30)), ("1e3", "1000"), ("2E", "2e18"),
        ("2Ei", str(2**61)), ("5n", "5e-9"), (".5", "0.5"), ("1E3", "1000"), ("12k", "12000"),
    ],
)  # fmt: skip
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str | float, value: str) -> None:
    """Decimal and binary suffixes, and exponents."""
    assert quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "much", "1.2.3", "1 Gi", "1gb", "."])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    """With what was found."""
    with pytest.raises(ValueError, match="no quantity"):
        quantity(text)


def usage(name: str, hours: float, *, goes_on: bool = False) -> Usage:
    """A pod with one core that ran for so long, up to now, which is 0."""
    return Usage(id=name, amounts=(("cpu", 1.0),), since=-hours * 3600, until=None if goes_on else 0.0)


def test_an_account_that_is_charged_again_holds_each_pod_once() -> None:
    """After a restart the same pods are seen again, some of them older by then."""
    once = charged({}, (usage("a", 1.0), usage("b", 2.0, goes_on=True)), now=0.0)
    again = charged(once, (usage("b", 2.0, goes_on=True),), now=3600.0)
    assert again == {"a": {"cpu": 1.0}, "b": {"cpu": 3.0}}
    assert charged(again, (), now=9e9) == again


def test_an_account_stays_small_and_loses_nothing() -> None:
    """Of a trial that is interrupted without end, pods that are long gone are added up."""
    account: dict[str, Any] = {}
    for i in range(3 * PODS):
        account = charged(account, (usage(f"pod-{i}", 0.5),), now=0.0)
    assert len(account) <= PODS + 1
    assert total(account.values()) == {"cpu": pytest.approx(1.5 * PODS)}
    assert f"pod-{3 * PODS - 1}" in account
    assert EARLIER in account
