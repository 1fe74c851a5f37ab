"""What a loop needs from whoever runs it: the operator (operator.py) or the command line (local/). Protocols only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hypersweep.controller.world import World
from hypersweep.core.spec import SweepSpec
from hypersweep.tracking.ledger import Ledger, Owner


@dataclass(frozen=True, kw_only=True)
class Source:
    """The sweep as its owner states it now."""

    generation: int
    status: Mapping[str, Any]  # as last read; what a restart knows of the past


class Host(Protocol):
    """The sweep's surroundings."""

    @property
    def world(self) -> World: ...

    @property
    def owner(self) -> Owner: ...

    @property
    def ui(self) -> str:
        """Base address of MLflow's pages; empty when there are none."""
        ...

    @property
    def trial_uri(self) -> str:
        """Where trials log to."""
        ...

    def source(self) -> Source:
        """The newest generation and status."""
        ...

    def admit(self) -> SweepSpec:
        """The newest generation's spec. SpecError when it can't be run."""
        ...

    def ledger(self, spec: SweepSpec) -> Ledger:
        """The ledger of a sweep that was admitted."""
        ...

    def alive(self, uid: str) -> bool:
        """Whether this host runs another sweep object of that UID now."""
        ...


class Observer(Protocol):
    """Who is told how a loop fares, for metrics. Times are in seconds."""

    def looked(self, took: float) -> None: ...

    def acted(self, action: str, took: float) -> None: ...

    def ended(self, outcome: str) -> None: ...


class Nobody:
    """No metrics on a laptop."""

    def looked(self, took: float) -> None: ...

    def acted(self, action: str, took: float) -> None: ...

    def ended(self, outcome: str) -> None: ...
