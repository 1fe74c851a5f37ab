"""The words of the engine as data: attempts, trials, results, and what is observed of them. Nothing here decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Value = str | float | int | bool
Assignment = Mapping[str, Value]  # active parameters only


class Phase(StrEnum):
    """Where an attempt (one Job, or one local process) stands."""

    PENDING = "Pending"  # exists, nothing runs yet: `reason` says what it waits for
    QUEUED = "Queued"  # held back by a queue (Kueue); none of its clocks runs
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def ended(self) -> bool:
        return self in (Phase.SUCCEEDED, Phase.FAILED)


class Outcome(StrEnum):
    """How a trial ended, for good. Open: it has not."""

    OPEN = "Open"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    INFEASIBLE = "Infeasible"


class Reason(StrEnum):
    """Why an attempt or a trial ended or waits; CamelCase, as in conditions and Events."""

    # attempts: how they end
    CRASHED = "Crashed"  # exit code other than 0
    OUT_OF_MEMORY = "OutOfMemory"  # host (OOMKilled) or CUDA
    NON_FINITE = "NonFinite"  # the objective is NaN or ±inf, or the trainer says that its loss is
    BAD_SETTINGS = "BadSettings"  # the trainer refused its settings or data
    WRONG_EXPERIMENT = "WrongExperiment"  # the script chose another MLflow experiment than the sweep's
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    NO_PROGRESS = "NoProgress"
    INTERRUPTED = "Interrupted"  # exit 143, preempted, drained: costs no attempt
    IMAGE_NOT_PULLED = "ImageNotPulled"
    CONTAINER_NOT_CREATED = "ContainerNotCreated"  # a missing Secret, ConfigMap, or command
    # attempts: what they wait for
    UNSCHEDULABLE = "Unschedulable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    QUEUED = "Queued"
    STARTING = "Starting"
    # trials
    OBJECTIVE_MISSING = "ObjectiveMissing"
    LAUNCH_REFUSED = "LaunchRefused"
    LAUNCH_DELAYED = "LaunchDelayed"  # the API server said: not now
    NAME_CONFLICT = "NameConflict"  # a Job that is not ours has the name
    SWEEP_ENDED = "SweepEnded"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One Job of a trial, as the world shows it. Times are seconds since the epoch."""

    trial: int
    number: int  # 1, 2, …
    phase: Phase
    reason: str = ""
    message: str = ""  # a failed one: its last words; a waiting one: why
    exit_code: int | None = None
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    run: str = ""  # the MLflow run that the Job was given
    where: str = ""  # pod name, or log file: where a person looks next
    waiting_since: float | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What the ledger says of a finished attempt's objective. `value` is None: the metric was never logged."""

    value: float | None
    logged: tuple[str, ...] = ()  # names of the metrics that were
    elsewhere: tuple[str, ...] = ()  # with no value: other runs that the trial made, by name
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One assignment and what has become of it."""

    index: int
    run: str  # MLflow run id
    parameters: Assignment
    name: str = ""  # of an initial trial
    attempt: int = 1  # number of the newest attempt that was (about to be) launched
    charged: int = 0  # attempts used up: crashes, not disruptions
    retry: str = ""  # the retry token under which it was planned
    outcome: Outcome = Outcome.OPEN
    value: float | None = None  # frozen objective; None unless it was measured
    reason: str = ""
    message: str = ""
    where: str = ""
    ended: float | None = None
    progress: float | None = None  # when the newest metric was logged (running trials)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What commit writes: the end of a trial."""

    outcome: Outcome
    value: float | None = None
    reason: str = ""
    message: str = ""
    where: str = ""  # example pod or log
    ended: float = 0.0
