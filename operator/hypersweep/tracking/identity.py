"""Whose ledger it is: the identity of a sweep, which outlives its object, and who may write to it now. Pure.

A sweep in the ledger is its name and the hash of its frozen search (DESIGN §3). An owner shows a heartbeat on the
sweep's parent run; whoever finds another's fresh heartbeat keeps its hands off.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypersweep.core.spec import SweepSpec

HEARTBEAT_LASTS = 180.0  # seconds after which an owner that shows no heartbeat is taken for gone
FROZEN = {
    "objectives",
    "read_at",
    "constraints",
    "parameters",
    "parameter_constraints",
    "strategy",
    "repeats",
    "initial_trials",
    "learning_rate_range_test",
    "warm_start",
    "reuse",
}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A sweep in the ledger. `search` is `search_hash` of its spec; `experiment` is the MLflow experiment's name."""

    sweep: str
    search: str
    experiment: str

    @property
    def key(self) -> str:
        """One tag value that stands for sweep and search, of letters and digits only, so that any filter can say it."""
        return hashlib.sha256(f"{self.sweep}\0{self.search}".encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who works on a sweep: the installation of the operator (or a laptop's folder), and the UID of the object."""

    operator: str
    sweep: str


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The sweep's own run. `heartbeat` is when `owner` last showed itself, in seconds since the epoch."""

    run: str
    experiment: str  # its id
    started: float
    owner: Owner | None = None
    heartbeat: float = 0.0
    released: bool = False


def owned_elsewhere(parent: Parent, owner: Owner, alive: Callable[[str], bool], now: float) -> str | None:
    """Why `owner` must keep off, or None when the sweep is its own or free. `alive`: is that object's UID alive here?"""
    other = parent.owner
    if other is None or parent.released or now - parent.heartbeat > HEARTBEAT_LASTS or other.sweep == owner.sweep:
        return None
    age = f"{max(0.0, now - parent.heartbeat):.0f} s ago"
    if other.operator != owner.operator:
        return (
            f"operator {other.operator} works on this sweep (heartbeat {age}); "
            "another tracking.sweep starts a sweep of its own"
        )
    if alive(other.sweep):
        return "another object of this installation is the same sweep in the ledger; give one of them another tracking.sweep"
    return None


def search_hash(spec: SweepSpec) -> str:
    """12 hexadecimal digits of what the sweep searches.

    Equal for documents that mean the same: 1 or 1.0, defaults spelled out or left out, parameters or constraints in
    another order (but not objectives: the first is the one that is shown). Fields that are added later change nothing
    while unset; those whose default may change one day are always spelled out.
    """
    frozen = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=FROZEN)
    frozen["objectives"] = [{"reduction": "Last", **objective} for objective in frozen["objectives"]]
    frozen["parameters"] = sorted((_parameter(p) for p in frozen["parameters"]), key=lambda p: str(p["name"]))
    if constraints := frozen.pop("parameterConstraints", None):
        frozen["parameterConstraints"] = sorted(c["expression"].strip() for c in constraints)
    if "constraints" in frozen:
        frozen["constraints"] = sorted(frozen["constraints"], key=lambda c: str(c["metric"]))
    frozen["strategy"] = {**frozen.get("strategy", {}), "name": spec.strategy.name, "seed": spec.strategy.seed}
    text = json.dumps(_plain(frozen), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    """Without what changes nothing: a linear scale, an Integer's step of 1, the order of conditions."""
    known = {k: v for k, v in parameter.items() if v is not None and not (k == "scale" and v == "Linear")}
    if known["type"] == "Integer" and known.get("step") == 1:
        del known["step"]
    if "when" in known:
        known["when"] = sorted(
            ({**w, "values": sorted(w["values"])} if "values" in w else w for w in known["when"]),
            key=lambda w: str(w["parameter"]),
        )
    return known


def _plain(value: Any) -> Any:
    """JSON with whole numbers as integers."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
