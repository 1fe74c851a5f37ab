"""What an analysis found, as plain data: numbers, strings, tuples. Ready for JSON; computes nothing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hypersweep.core.analysis.coverage import Tried, Unseen
from hypersweep.core.analysis.failures import Blame

FORMAT = 1  # of the JSON; it only grows


@dataclass(frozen=True, kw_only=True)
class Point:
    """The expected objective at one value (or range) of a parameter, with a 95 % interval, the others at their average."""

    value: str
    place: float  # 0 … 1, on the parameter's scale
    expected: float
    low: float
    high: float
    trials: int


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What is known of one parameter. `missing` says why nothing is; then all else is empty."""

    name: str
    missing: str = ""
    importance: float | None = None  # PED-ANOVA: part of what decides whether a trial is among the best
    share: float | None = None  # of the differences between results, its interactions included
    chance: float | None = None  # of so large an effect where there is none
    certain: bool = False
    ordered: bool = True
    effect: tuple[Point, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Together:
    """Two parameters whose effect together is more than the sum of theirs."""

    pair: tuple[str, str]
    share: float
    chance: float


@dataclass(frozen=True, kw_only=True)
class Best:
    """A trial among the best."""

    trial: int
    run: str
    value: float
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The findings for one objective. `missing`: why nothing can be said of any parameter."""

    metric: str
    goal: str
    results: int  # finite
    best: tuple[Best, ...] = ()  # at most two
    missing: str = ""
    missing_pairs: str = ""
    parameters: tuple[Parameter, ...] = ()
    together: tuple[Together, ...] = ()
    pairs: int = 0  # that were looked at
    explained: float | None = None  # part of the differences that the model foretells of trials it has not seen
    noise: float | None = None  # what is left, in the objective's unit
    lessons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that is said of some trials."""

    trials: int
    counts: Mapping[str, int]  # by outcome
    objectives: tuple[Objective, ...]
    failures: tuple[Blame, ...]
    tried: tuple[Tried, ...]
    unseen: tuple[Unseen, ...]

    def json(self) -> dict[str, Any]:
        """For machines."""
        return {"format": FORMAT, **asdict(self)}
