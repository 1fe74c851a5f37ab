"""The exception tree of HyperSweep.

HyperSweepError
├── SpecError            the user's manifest says something that cannot be: a list of Problem
├── StrategyError        a strategy that others wrote failed, or proposed what is none of the space
├── TrackingError        MLflow
│   ├── TrackingUnavailable    down, slow, 5xx, 429, not JSON: try again later
│   └── TrackingRefused        4xx: asking again changes nothing
│       └── TrackingNotFound   the run or experiment is gone
├── LaunchError          a Job could not be made
│   ├── LaunchRefused    the API server will never take this one (invalid template, forbidden)
│   ├── LaunchConflict   something else has the name
│   └── LaunchDelayed    not now (quota, throttling, server down)
└── where they arise: cluster.client.ApiError and NoCluster, cluster.lease.LeadershipLost,
    controller.handlers.WatchEnded, local.run.AlreadyRunning
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a manifest: where, what was found, what is allowed."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class HyperSweepError(Exception):
    """Root of every error that HyperSweep raises on purpose."""


class SpecError(HyperSweepError):
    """The manifest cannot be run as it is; `problems` says each reason and its place."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(p) for p in problems))
        self.problems = problems


class StrategyError(HyperSweepError):
    """A strategy that is installed beside the operator did not do what a strategy does."""


class TrackingError(HyperSweepError):
    """MLflow did not do what was asked."""


class TrackingUnavailable(TrackingError):  # noqa: N818  (a state, not a mistake)
    """MLflow is down, slow or answers nonsense: transient, try again later."""


class TrackingRefused(TrackingError):  # noqa: N818
    """MLflow refused the request: asking again changes nothing."""


class TrackingNotFound(TrackingRefused):
    """The run or experiment does not exist (any more)."""


class LaunchError(HyperSweepError):
    """A Job could not be made."""


class LaunchRefused(LaunchError):  # noqa: N818
    """The Job will never be accepted as it is."""


class LaunchConflict(LaunchError):  # noqa: N818
    """Another object, not ours, has the Job's name."""


class LaunchDelayed(LaunchError):  # noqa: N818
    """Not now: quota, throttling, or the API server is away."""
