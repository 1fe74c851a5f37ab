"""Learning-rate range tests of a sweep: which there are, what each is told, and what its answer means.

A range test is a Job like a trial's, with a run like a trial's, that comes before trial 0: one for each value of the
optimizer, since their rates differ by orders of magnitude. Its index lies beyond every trial's, so that names, labels,
attempts and the ledger are those of trials; it is in no tally and in no history. Owns the reading of what a trainer
answers; what follows for the search is in `narrowing.py`, what it trains with in `strategies/rehearsal.py`. Pure.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypersweep.core.domain import domain
from hypersweep.core.spec import Parameter, SweepSpec
from hypersweep.core.trial import Outcome, Result, Trial

FIRST = 1_000_000  # the first one's index; trials.max ends far below
ANSWER = "hypersweep.lrRange"  # tag of its run, set by the trainer: JSON with `verdict`, `reason` and `suggestion`
FOUND = "hypersweep.learningRateRangeTest"  # tags of the parent run, numbered: JSON, as in the status
VARIABLE = "HYPERSWEEP_RANGE_TEST"  # tells the trainer to do it
WIDEST = (1e-7, 1.0)  # rates that it looks at, and whatever the user's bounds have beyond
LONGEST_REASON = 600  # characters
_SHOWN = 300  # of them in a status, which may have 16


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a range test found. `suggestion` is None: nothing to go by."""

    verdict: str
    reason: str
    suggestion: tuple[float, float] | None

    @property
    def text(self) -> str:
        """As the ledger keeps it, and `read` reads it back."""
        bounds = self.suggestion and dict(zip(("min", "max"), self.suggestion, strict=True))
        return json.dumps({"verdict": self.verdict, "suggestion": bounds, "reason": self.reason}, ensure_ascii=False)


def is_range_test(index: int) -> bool:
    """Whether that index is a range test's, not a trial's."""
    return index >= FIRST


def rate(spec: SweepSpec) -> Parameter | None:
    """The parameter that the range tests are about; None: none are asked for."""
    asked = spec.learning_rate_range_test
    return next((p for p in spec.parameters if asked is not None and p.name == asked.parameter), None)


def optimizer(spec: SweepSpec) -> Parameter | None:
    """The parameter whose values are tested one by one."""
    asked = spec.learning_rate_range_test
    return next((p for p in spec.parameters if asked is not None and p.name == asked.optimizer), None)


def cases(spec: SweepSpec) -> Mapping[int, str | None]:
    """Index -> the optimizer's value, of each range test of the sweep; None where the sweep has one optimizer."""
    tested, chooses = rate(spec), optimizer(spec)
    if tested is None:
        return {}
    if chooses is None:
        return {FIRST: None}
    allowed = next((w.values for w in tested.when if w.parameter == chooses.name), chooses.values) or []
    return {FIRST + i: value for i, value in enumerate(chooses.values or []) if value in allowed}


def run_name(spec: SweepSpec, index: int) -> str:
    """The name that the run of that range test has for people."""
    return f"learning-rate range test {cases(spec)[index] or ''}".strip()


def request(spec: SweepSpec) -> str:
    """The value of `VARIABLE`."""
    tested = rate(spec)
    bounds = [b for b in (tested.min, tested.max) if b is not None and b > 0] if tested else []
    return json.dumps({"min": min([WIDEST[0], *bounds]), "max": max([WIDEST[1], *bounds])})


def read(text: str) -> Finding:
    """What a trainer answered. ValueError: what is wrong with it."""
    try:
        said = json.loads(text)
    except ValueError:
        raise ValueError(f"it is no JSON: {text[:100]}") from None
    if not isinstance(said, dict) or not isinstance(said.get("verdict"), str):
        raise ValueError('it needs a "verdict", a "reason" and a "suggestion", which is {"min": …, "max": …} or null')  # noqa: TRY004
    reason = str(said.get("reason") or "")[:LONGEST_REASON]
    return Finding(verdict=said["verdict"][:63], reason=reason, suggestion=_bounds(said.get("suggestion")))


def _bounds(said: Any) -> tuple[float, float] | None:
    if said is None:
        return None
    ends = [said.get(end) for end in ("min", "max")] if isinstance(said, dict) else []
    numbers = [_number(end) for end in ends if isinstance(end, int | float) and not isinstance(end, bool)]
    if len(numbers) != 2 or not 0 < numbers[0] < numbers[1] < math.inf:
        raise ValueError(f"its suggestion is {json.dumps(said)[:100]}; allowed: null, or numbers with 0 < min < max")
    return numbers[0], numbers[1]


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # JSON's integers have no end
        return math.inf


def found(spec: SweepSpec, tests: Iterable[Trial]) -> dict[str | None, Finding]:
    """The optimizer's value -> what its range test found, of those that ended well."""
    known = cases(spec)
    pairs = ((known[test.index], finding_of(test)) for test in tests if test.index in known)
    return {value: finding for value, finding in pairs if finding is not None}


def finding_of(test: Trial) -> Finding | None:
    """What an ended range test found: its message, which the ledger keeps. None: it failed, or a stranger changed the tag."""
    if test.outcome is not Outcome.SUCCEEDED:
        return None
    try:
        return read(test.message)
    except ValueError:
        return None


def report(spec: SweepSpec, tests: Iterable[Trial]) -> list[dict[str, Any]]:
    """What the status says of each that has ended."""
    return [_line(spec, test) for test in sorted(tests, key=lambda t: t.index)]


def _line(spec: SweepSpec, test: Trial) -> dict[str, Any]:
    value, finding = cases(spec).get(test.index), finding_of(test)
    line: dict[str, Any] = {"run": {"id": test.run}, **({"optimizer": value} if value is not None else {})}
    if finding is None:
        return {**line, "verdict": str(test.outcome), "reason": f"{test.reason}: {test.message}"[:_SHOWN]}
    line |= {"verdict": finding.verdict, "reason": finding.reason[:_SHOWN]}
    bounds = narrowed_bounds(spec, finding)
    if bounds is not None:
        return {**line, "min": bounds[0], "max": bounds[1]}
    if finding.suggestion is not None:
        line["reason"] = f"beyond your bounds, which stay as they are: {line['reason']}"[:_SHOWN]
    return line


def noted(spec: SweepSpec, test: Trial, result: Result) -> dict[str, str]:
    """Tags of the parent run that say what a range test found."""
    ended = replace(test, outcome=result.outcome, reason=result.reason, message=result.message)
    return {f"{FOUND}.{test.index - FIRST}": json.dumps(report(spec, [ended])[0], ensure_ascii=False)}


def narrowed_bounds(spec: SweepSpec, finding: Finding) -> tuple[float, float] | None:
    """The found interval within the user's bounds; None: they have none of it in common, or nothing was found."""
    tested = rate(spec)
    if finding.suggestion is None or tested is None:
        return None
    whole = domain(tested)
    low, high = (float(whole.near(end)) for end in (0.0, 1.0))
    low, high = max(low, finding.suggestion[0]), min(high, finding.suggestion[1])
    return (low, high) if low < high else None
