"""The words of the engine as data: attempts, trials, results, and what is observed of them. Nothing here decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hypersweep.core.resources import Spent, Usage
from hypersweep.core.stoppers.marks import Marks

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
    """How a trial ended, for good. Open: it has not. Paused: nor has it, and it waits at a rung to be promoted or stopped."""

    OPEN = "Open"
    PAUSED = "Paused"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    INFEASIBLE = "Infeasible"

    @property
    def over(self) -> bool:
        return self not in (Outcome.OPEN, Outcome.PAUSED)


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
    NO_ANSWER = "NoAnswer"  # of a learning-rate range test: the trainer did not say what it found
    CONSTRAINT_VIOLATED = "ConstraintViolated"  # of the spec's `constraints`: measured, and beyond its bound
    LAUNCH_REFUSED = "LaunchRefused"
    LAUNCH_DELAYED = "LaunchDelayed"  # the API server said: not now
    NAME_CONFLICT = "NameConflict"  # a Job that is not ours has the name
    SWEEP_ENDED = "SweepEnded"
    REUSED = "Reused"  # succeeded, by the result of an equal trial
    NO_CURVE = "NoCurve"  # succeeded, and early stopping could not have judged it


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
    usage: tuple[Usage, ...] = ()  # of each pod that it has had


class _Valued:
    """Has `value`, and `values` of all objectives, of which it is the first: whoever has one objective sets `value` alone."""

    value: float | None
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        values = () if self.value is None else (self.value, *self.values[1:])
        object.__setattr__(self, "values", values)


@dataclass(frozen=True, kw_only=True)
class Measurement(_Valued):
    """What the ledger says of a finished attempt's objectives and constraints. `value` is None: one cannot be read."""

    value: float | None
    values: tuple[float, ...] = ()
    constrained: Mapping[str, float] = field(default_factory=dict)  # metric of a constraint -> what was read
    missing: str = ""  # with no value: the first metric that was never logged; empty: they share no step
    logged: tuple[str, ...] = ()  # names of the metrics that were
    flat: bool = False  # its metric has a single point, and early stopping asked for a curve
    elsewhere: tuple[str, ...] = ()  # with no value: other runs that the trial made, by name
    metrics: Mapping[str, float] = field(default_factory=dict)
    answer: str = ""  # of a learning-rate range test: what its run says


@dataclass(frozen=True, kw_only=True)
class Trial(_Valued):
    """One assignment and what has become of it."""

    index: int
    run: str  # MLflow run id
    parameters: Assignment
    name: str = ""  # of an initial trial
    attempt: int = 1  # number of the newest attempt that was (about to be) launched
    charged: int = 0  # attempts used up: crashes, not disruptions
    retry: str = ""  # the retry token under which it was planned
    outcome: Outcome = Outcome.OPEN
    value: float | None = None  # frozen objective (the first of several); None unless it was measured
    values: tuple[float, ...] = ()  # of all objectives, in the spec's order
    violation: float = 0.0  # how far beyond the outcome constraints; 0: they are met, or were not measured
    reason: str = ""
    message: str = ""
    where: str = ""
    ended: float | None = None
    repeats: int = 1  # of an assignment's trials taken as one: how many its value is the mean of …
    interval: tuple[float, float] | None = None  # … and between what it lies, with 95 % confidence
    progress: float | None = None  # when the newest metric was logged (running trials)
    rungs: Marks = field(default_factory=dict)  # what early stopping has seen of its curve
    rung: int = 0  # the budget at which it was paused last; promoted from there, it is not judged up to there again
    curve_since: float | None = None  # when its metric had points at two places, as far as early stopping has seen
    spent: Spent = field(default_factory=dict)  # what its pods have used, as far as the ledger knows
    source: str = ""  # the run of an equal trial, whose result this one takes


@dataclass(frozen=True, kw_only=True)
class Result(_Valued):
    """What commit writes: the end of a trial."""

    outcome: Outcome
    value: float | None = None
    values: tuple[float, ...] = ()
    violation: float = 0.0
    reason: str = ""
    message: str = ""
    where: str = ""  # example pod or log
    ended: float = 0.0
    spent: Spent = field(default_factory=dict, compare=False)  # grows while the same end is decided again
