"""The world that trials run in, as the loop sees it: Jobs in a cluster (cluster/), processes on a laptop (local/).

Owns the protocol only. `attempts` answers from a cache and never blocks; everything else is one idempotent request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hypersweep.core.events import Event
from hypersweep.core.trial import Attempt, Trial


@dataclass(frozen=True, kw_only=True)
class TrackingTarget:
    """What a trial needs in order to log: where, and into which experiment. The run is its own."""

    uri: str
    experiment: str


class World(Protocol):
    """Where attempts run."""

    def attempts(self) -> Sequence[Attempt]:
        """Every attempt of this sweep that exists now, from a cache."""
        ...

    def image(self) -> str:
        """The image that trials run in now, for their lineage; empty where there is none."""
        ...

    async def check(self) -> None:
        """Raise LaunchRefused when trial 0 could never be launched (strict server-side dry run)."""
        ...

    async def launch(self, trial: Trial, *, tracking: TrackingTarget) -> None:
        """Start `trial.attempt` of the trial; done already is success. LaunchRefused, LaunchConflict, LaunchDelayed."""
        ...

    async def remove(self, attempt: Attempt) -> None:
        """Stop the attempt if it runs, and forget it; gone already is success."""
        ...

    async def report(self, status: Mapping[str, Any], events: Sequence[Event]) -> None:
        """Write the status (only if changed) and events."""
        ...
