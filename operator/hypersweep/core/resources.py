"""What a pod reserves, and for how long it did: amounts, usage, hours. Pure.

Owns Kubernetes' rule for a pod's effective request, its quantities, and the account of one trial, in which a pod's hours
stand under the pod's own name: whatever is counted again after a restart replaces what was counted before. Units: cpu
in cores; memory, ephemeral-storage and hugepages in GiB; all else as it is counted (`nvidia.com/gpu: 1`).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Amounts = tuple[tuple[str, float], ...]
"""Resource and amount, in the order of their names."""

Hours = Mapping[str, float]
"""Resource → hours of one unit of it."""

Spent = Mapping[str, Hours]
"""The account of a trial: pod → resource → hours."""

PODS = 64  # that an account tells apart; those that are long gone are added up
EARLIER = "earlier"  # under this name
_GIB = Decimal(2**30)
_IN_BYTES = re.compile(r"memory|ephemeral-storage|hugepages-.*")
_POD_LEVEL = re.compile(r"cpu|memory|hugepages-.*")  # what a pod may say for all of its containers together (KEP-2837)
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)([numkMGTPE]|[KMGTPE]i)?")
_SUFFIXES = {
    **{suffix: Decimal(1000) ** power for suffix, power in zip("num", (-3, -2, -1), strict=True)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """One pod (on a laptop: process) of an attempt. Times are seconds since the epoch; `until` is None while it goes on."""

    id: str
    amounts: Amounts
    since: float
    until: float | None = None

    def hours(self, now: float) -> dict[str, float]:
        """Amount times time, to six digits, so that what is written down reads back the same."""
        passed = max(0.0, (now if self.until is None else self.until) - self.since) / 3600
        return {resource: float(f"{amount * passed:.6g}") for resource, amount in self.amounts}


# ---- hours -----------------------------------------------------------------------------------------------------------


def charged(spent: Spent, usage: Sequence[Usage], now: float) -> dict[str, Hours]:
    """The account with this usage up to now. Usage that the account holds already is brought up to date."""
    account: dict[str, Hours] = {**spent, **{u.id: u.hours(now) for u in usage if u.amounts}}
    current = {u.id for u in usage}
    gone = [pod for pod in account if pod not in current and pod != EARLIER][: max(0, len(account) - PODS)]
    if gone:
        account[EARLIER] = total([account.get(EARLIER, {}), *(account.pop(pod) for pod in gone)])
    return account


def total(hours: Iterable[Hours]) -> dict[str, float]:
    """The sum, by resource."""
    found: dict[str, float] = defaultdict(float)
    for each in hours:
        for resource, count in each.items():
            found[resource] += count
    return dict(sorted(found.items()))


# ---- amounts ---------------------------------------------------------------------------------------------------------


def requested(pod: Mapping[str, Any], *, otherwise: Mapping[str, float] = {}) -> Amounts:
    """What a pod's spec reserves on its node; `otherwise` of what it says nothing about. ValueError: no quantity.

    All containers and sidecars run together; before them, one at a time, those that initialize, each beside the sidecars
    that were started before it. The larger counts (k8s.io/component-helpers, resource.PodRequests; KEP-753). What the
    pod says for itself wins (KEP-2837), and its RuntimeClass's overhead is added.
    """
    together = _sum(_requests(container) for container in pod.get("containers") or ())
    sidecars: dict[str, Decimal] = {}
    initializing: dict[str, Decimal] = {}
    for container in pod.get("initContainers") or ():
        asked = _requests(container)
        if container.get("restartPolicy") == "Always":
            sidecars = _sum((sidecars, asked))
            asked = sidecars
        else:
            asked = _sum((sidecars, asked))
        initializing = _larger(initializing, asked)
    whole = _larger(_sum((together, sidecars)), initializing)
    whole |= {resource: n for resource, n in _requests(pod).items() if _POD_LEVEL.fullmatch(resource)}
    overhead = {resource: quantity(n) for resource, n in (pod.get("overhead") or {}).items()}
    return tuple(sorted({**otherwise, **dict(_in_units(_sum((whole, overhead))))}.items()))


def quantity(text: str | float) -> Decimal:
    """A Kubernetes quantity such as 500m, 2, 1.5Gi or 1e3. ValueError: it is none."""
    found = _QUANTITY.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f"found {text!r}, which is no quantity such as 2, 500m or 1.5Gi")
    return Decimal(found[1]) * _SUFFIXES.get(found[2], Decimal(1))


def _requests(part: Mapping[str, Any]) -> dict[str, Decimal]:
    """A limit without a request is one."""
    resources = part.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {resource: quantity(amount) for resource, amount in asked.items()}


def _sum(parts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for part in parts:
        for resource, amount in part.items():
            found[resource] += amount
    return dict(found)


def _larger(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    nothing = Decimal(0)
    return {resource: max(one.get(resource, nothing), other.get(resource, nothing)) for resource in {**one, **other}}


def _in_units(amounts: Mapping[str, Decimal]) -> Iterator[tuple[str, float]]:
    for resource, amount in amounts.items():
        if amount > 0:
            yield resource, float(amount / _GIB if _IN_BYTES.fullmatch(resource) else amount)
