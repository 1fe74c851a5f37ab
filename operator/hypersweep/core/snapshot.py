"""What `decide` sees and what it answers. Plain data: no kopf, no Kubernetes, no MLflow, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypersweep.core.resources import Spent
from hypersweep.core.spec import SweepSpec
from hypersweep.core.stoppers import Verdict
from hypersweep.core.tally import Tally
from hypersweep.core.trial import Attempt, Measurement, Result, Trial


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something outside the sweep that is not as it should be: a condition's reason and message, and since when."""

    reason: str
    message: str
    since: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Health:
    """What keeps the sweep from going on as it should; None where all is well."""

    refused: Fault | None = None  # the spec, or the Job's dry run
    tracking: Fault | None = None  # MLflow
    elsewhere: Fault | None = None  # another operator or object runs this sweep


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Why a sweep is over. `stops`: running attempts are stopped for it, else they had all ended."""

    reason: str
    message: str
    complete: bool
    stops: bool = False


@dataclass(frozen=True, kw_only=True)
class OpenTrial:
    """A trial that has no outcome yet, with what is known of its newest attempt."""

    trial: Trial
    attempt: Attempt | None = None  # of number trial.attempt; None: no such Job exists
    measured: Measurement | None = None
    fault: Fault | None = None  # why the last launch did not happen
    verdict: Verdict | None = None  # early stopping wants it to end
    judged: bool = True  # an attempt that ended: curves were read since, or no rule asks for them
    older_active: bool = False  # an older attempt has not gone yet
    owed: bool = False  # what it has used is not in the ledger yet, and nothing but its account tells of it


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One look at a sweep: the open trials, a tally of the others, and what is wrong."""

    spec: SweepSpec
    started: float  # seconds since the epoch; the ledger knows it, so it outlives the object
    tally: Tally
    open: tuple[OpenTrial, ...] = ()
    range_tests: tuple[Trial, ...] = ()  # those that have ended
    strays: tuple[
        tuple[Attempt, Trial | None], ...
    ] = ()  # attempts that are no open trial's newest, and whose they are
    paused: Mapping[int, Trial] = field(default_factory=dict)  # trials that wait at a rung
    spent_by_paused: Mapping[str, float] = field(default_factory=dict)  # their hours of each resource
    promotable: tuple[int, ...] | None = ()  # those of them that may go on, in this order; None: it is not known yet
    busy: Mapping[int, "Action"] = field(default_factory=dict)  # trials that an action is under way for
    exhausted: bool = False  # the strategy has nothing more to propose
    expected_improvement: float | None = None  # that a further trial promises; None: not asked since a trial ended
    loaded: bool = True  # the ledger's history has been read
    ended: Ending | None = None  # the end that this generation already reached: terminal is terminal
    health: Health = field(default_factory=Health)

    @property
    def to_retry(self) -> list[int]:
        """Trials that failed, or ran out of memory, under another retry token than the spec's: they are tried again."""
        token = self.spec.retry
        return [index for index, ran_under in self.tally.failed.items() if ran_under != token] if token else []


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something to do for one trial. Doing it twice does no harm."""

    index: int


@dataclass(frozen=True, kw_only=True)
class Plan(Action):
    """Ask the strategy for this trial's assignment and write it to the ledger."""


@dataclass(frozen=True, kw_only=True)
class Launch(Action):
    """Create the Job of the trial's newest attempt."""

    attempt: int


@dataclass(frozen=True, kw_only=True)
class Retry(Action):
    """Write the next attempt's number to the ledger; its Job comes with the look after."""

    attempt: int
    charged: int
    spent: Spent = field(default_factory=dict, compare=False)


@dataclass(frozen=True, kw_only=True)
class Reopen(Action):
    """Give a failed trial another chance under this retry token."""

    retry: str


@dataclass(frozen=True, kw_only=True)
class Judge(Action):
    """Read the curves of all open trials, so that early stopping has all that was logged before this attempt's end."""


@dataclass(frozen=True, kw_only=True)
class Measure(Action):
    """Read the objective of an attempt that succeeded, or with `source` of an equal trial's run."""

    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Commit(Action):
    """Write the trial's end to the ledger."""

    result: Result


@dataclass(frozen=True, kw_only=True)
class Pause(Action):
    """Write to the ledger that the trial waits at this rung; its Job goes after that."""

    rung: int
    charged: int
    result: Result


@dataclass(frozen=True, kw_only=True)
class Promote(Action):
    """Open a paused trial again, with its next attempt."""


@dataclass(frozen=True, kw_only=True)
class Account(Action):
    """Write to the ledger what a trial has used so far: a pod of it is gone, and only we have seen it."""

    spent: Spent = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class Remove(Action):
    """Delete an attempt's Job. `spent`: what its trial has used, if that is to be in the ledger before."""

    attempt: Attempt
    spent: Spent | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to do now, whether the sweep is over, and in how many seconds to look again at the latest."""

    actions: tuple[Action, ...] = ()
    ending: Ending | None = None  # decided; the sweep is finished once no trial is open
    finished: bool = False
    waiting: Mapping[str, tuple[int, str]] = field(
        default_factory=dict
    )  # reason -> how many attempts wait for it, an example
    look_again: float = 60.0
