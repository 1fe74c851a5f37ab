"""How a trial is written down: MLflow tags to Trial, Result, Parent, and back. Pure; the only place that knows tag names.

The assignment is a typed JSON tag (params are text, and belong to the trainer until the trial ends). A trial's end is
the outcome tag together with the result tag; `Open` is a value of the former, so that one small query finds open trials.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypersweep.core import range_test
from hypersweep.core.environment import text
from hypersweep.core.errors import TrackingRefused
from hypersweep.core.resources import Spent
from hypersweep.core.stoppers import Mark, Marks
from hypersweep.core.trial import Assignment, Outcome, Result, Trial
from hypersweep.tracking.base import PARAM_LIMIT, TAG_LIMIT, Run
from hypersweep.tracking.identity import Identity, Owner, Parent

ID, KIND = "hypersweep.id", "hypersweep.kind"
SWEEP, SEARCH = "hypersweep.sweep", "hypersweep.search"
TRIAL, NAME, PARAMETERS = "hypersweep.trial", "hypersweep.name", "hypersweep.parameters"
ATTEMPT, CHARGED, RETRY = "hypersweep.attempt", "hypersweep.charged", "hypersweep.retry"
OUTCOME, RESULT = "hypersweep.outcome", "hypersweep.result"
REASON, MESSAGE, WHERE = "hypersweep.reason", "hypersweep.message", "hypersweep.where"
RUNGS, CURVE, RUNG = "hypersweep.rungs", "hypersweep.curveSince", "hypersweep.rung"
LIKENESS, SOURCE = "hypersweep.likeness", "hypersweep.source"  # what an equal trial is found by; whose result was taken
OWNER, SUPERSEDED_BY = "hypersweep.owner", "hypersweep.supersededBy"
RESOURCES = "hypersweep.resourceHours"
RUN_NAME = "mlflow.runName"
PARENT_RUN = "mlflow.parentRunId"  # MLflow's own: its pages show trials below their sweep

KIND_SWEEP, KIND_TRIAL, KIND_WARM_START, SUPERSEDED = "Sweep", "Trial", "WarmStart", "Superseded"
MESSAGE_LIMIT, NAME_LIMIT = 4000, 200  # characters

_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}  # numbers that JSON has no word for


class MalformedError(ValueError):
    """A run has our tags, but they say nothing that we could have written."""


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A run that was left out, and why."""

    run: str
    reason: str


def identity_tags(identity: Identity, kind: str) -> dict[str, str]:
    return {ID: identity.key, KIND: kind, SWEEP: identity.sweep, SEARCH: identity.search}


def planned_tags(index: int, parameters: Assignment, *, name: str, retry: str, parent: str) -> dict[str, str]:
    """What a trial's run says from its first moment. TrackingRefused when the assignment does not fit in a tag."""
    text = json.dumps(dict(parameters), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if len(text) > TAG_LIMIT:
        raise TrackingRefused(
            f"the assignment of trial {index} takes {len(text)} characters as JSON; MLflow keeps {TAG_LIMIT} in a tag: "
            "use shorter names or values"
        )
    tags = {PARENT_RUN: parent, TRIAL: str(index), PARAMETERS: text, OUTCOME: str(Outcome.OPEN), RETRY: retry}
    return tags | attempt_tags(1, 0) | ({NAME: clean(name, NAME_LIMIT)} if name else {})


def attempt_tags(attempt: int, charged: int) -> dict[str, str]:
    return {ATTEMPT: str(attempt), CHARGED: str(charged)}


def rung_tags(trial: Trial) -> dict[str, str]:
    """What early stopping saw of a trial's curve; none where it looked at nothing."""
    rungs, since = trial.rungs, trial.curve_since
    curve = {CURVE: repr(since)} if since is not None else {}
    said = {str(budget): [number_out(mark.value), mark.time] for budget, mark in sorted(rungs.items())}
    return curve | ({RUNGS: json.dumps(said, allow_nan=False, separators=(",", ":"))} if said else {})


def resource_tags(spent: Spent) -> dict[str, str]:
    """What each pod of a trial has used; none while nothing was."""
    return {RESOURCES: json.dumps(spent, separators=(",", ":"))} if spent else {}


def reopened_tags(*, attempt: int, retry: str) -> dict[str, str]:
    return attempt_tags(attempt, 0) | {
        RETRY: retry,
        OUTCOME: str(Outcome.OPEN),
        RESULT: "",
        REASON: "",
        MESSAGE: "",
        WHERE: "",
    }


def paused_tags(result: Result, *, rung: int, charged: int) -> dict[str, str]:
    """A trial waits at a rung: told like an end, but for the outcome."""
    return {RUNG: str(rung), CHARGED: str(charged)} | committed_tags(result)


def promoted_tags(trial: Trial) -> dict[str, str]:
    """It goes on from there."""
    opened = reopened_tags(attempt=trial.attempt + 1, retry=trial.retry)
    return opened | attempt_tags(trial.attempt + 1, trial.charged)


def committed_tags(result: Result) -> dict[str, str]:
    """The end of a trial: written in one request, after everything else."""
    said: dict[str, Any] = {"value": number_out(result.value), "ended": result.ended}
    if len(result.values) > 1:
        said["values"] = [number_out(value) for value in result.values]
    if result.violation:
        said["violation"] = number_out(result.violation)
    return {
        RESULT: json.dumps(said, allow_nan=False),
        REASON: result.reason,
        MESSAGE: clean(result.message, MESSAGE_LIMIT),
        WHERE: clean(result.where, MESSAGE_LIMIT),
        **resource_tags(result.spent),
        OUTCOME: str(result.outcome),
    }


def trial_of(run: Run) -> Trial:
    """The trial that a run records. MalformedError says what is wrong with it."""
    tags = run.tags
    try:
        outcome = Outcome(tags[OUTCOME])
        ended = {} if outcome is Outcome.OPEN else _result(tags[RESULT])
        rung, rungs = int(tags.get(RUNG) or 0), _rungs(tags.get(RUNGS, "{}"))
        if outcome is Outcome.PAUSED and rung not in rungs:
            raise MalformedError(f"the trial is paused at budget {rung}, and {RUNGS} has no value there")
        return Trial(
            index=_index(tags[TRIAL]),
            run=run.id,
            parameters=_assignment(tags[PARAMETERS]),
            name=tags.get(NAME, ""),
            attempt=int(tags[ATTEMPT]),
            charged=int(tags[CHARGED]),
            retry=tags.get(RETRY, ""),
            outcome=outcome,
            **ended,
            reason=tags.get(REASON, ""),
            message=tags.get(MESSAGE, ""),
            where=tags.get(WHERE, ""),
            progress=max((m.timestamp for m in run.metrics.values()), default=None),
            spent=json.loads(tags.get(RESOURCES, "{}")),
            source=tags.get(SOURCE, ""),
            rungs=rungs,
            rung=rung,
            curve_since=float(tags[CURVE]) if tags.get(CURVE) else None,
        )
    except KeyError as error:
        raise MalformedError(f"the tag {error} is missing") from None
    except (ValueError, TypeError) as error:
        raise MalformedError(str(error)) from None


def is_range_test(run: Run) -> bool:
    """Whether it is the run of a sweep's learning-rate range test, which is written down as a trial's is."""
    number = run.tags.get(TRIAL, "")
    return run.tags.get(KIND) == KIND_TRIAL and number.isdecimal() and range_test.is_range_test(int(number))


def trials_of(runs: Iterable[Run]) -> tuple[list[tuple[Trial, Run]], list[Skipped]]:
    """The trials among these runs, and the runs that are none but should be."""
    found: list[tuple[Trial, Run]] = []
    skipped: list[Skipped] = []
    for run in runs:
        if run.tags.get(KIND) != KIND_TRIAL:
            continue
        try:
            found.append((trial_of(run), run))
        except MalformedError as error:
            skipped.append(Skipped(run=run.id, reason=str(error)))
    return found, skipped


def chosen(rivals: Sequence[tuple[Trial, Run]], *, preferred: str | None, known: str | None) -> tuple[Trial, Run]:
    """Which run of an index is its trial: the committed one, else a Job's, else the one we know, else the earliest."""

    def rank(rival: tuple[Trial, Run]) -> tuple[bool, bool, bool, float, str]:
        trial, run = rival
        return trial.outcome is Outcome.OPEN, run.id != preferred, run.id != known, run.started, run.id

    return min(rivals, key=rank)


def owner_tag(owner: Owner, *, now: float, released: bool = False) -> dict[str, str]:
    return {OWNER: json.dumps({"operator": owner.operator, "sweep": owner.sweep, "time": now, "released": released})}


def parent_of(run: Run) -> Parent:
    """The sweep's own run; an owner that cannot be read is none."""
    parent = Parent(run=run.id, experiment=run.experiment, started=run.started)
    try:
        said = json.loads(run.tags[OWNER])
        owner = Owner(operator=str(said["operator"]), sweep=str(said["sweep"]))
        return replace(parent, owner=owner, heartbeat=float(said["time"]), released=bool(said["released"]))
    except (KeyError, TypeError, ValueError):
        return parent


def missing_params(trial: Trial, run: Run) -> dict[str, str]:
    """Params that the trainer did not log itself, in the spelling that reads back as the same number."""
    return {
        name: clean(text(value), PARAM_LIMIT)
        for name, value in sorted(trial.parameters.items())
        if name not in run.params
    }


def clean(text: str, limit: int) -> str:
    """`text` as every database takes it: no NUL, no lone surrogates, at most `limit` characters (the end matters most)."""
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    if len(text) <= limit:
        return text
    head = limit // 4
    return f"{text[:head]}…{text[len(text) - (limit - head - 1) :]}"


def _index(text: str) -> int:
    index = int(text)
    if index < 0:
        raise ValueError(f"{index} is no trial's index")
    return index


def _assignment(text: str) -> Mapping[str, str | float | int | bool]:
    parameters = json.loads(text)
    if not isinstance(parameters, dict) or not all(
        isinstance(value, str | float | int) for value in parameters.values()
    ):
        raise ValueError(f"no assignment: {text[:100]}")
    return parameters


def _result(text: str) -> dict[str, Any]:
    """What `committed_tags` said of a trial's end, by the names of Trial's fields."""
    said: dict[str, Any] = json.loads(text)
    ended = said.get("ended")
    return {
        "value": number_in(said.get("value")),
        "values": tuple(number_in(value) for value in said.get("values", ())),
        "violation": number_in(said.get("violation")) or 0.0,
        "ended": None if ended is None else float(ended),
    }


def _rungs(text: str) -> Marks:
    said: dict[str, list[Any]] = json.loads(text)
    return {int(budget): Mark(number_in(value) or 0.0, float(time)) for budget, (value, time) in said.items()}


def number_out(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def number_in(value: Any) -> float | None:
    if value is None:
        return None
    return _SPELLED[value] if isinstance(value, str) else float(value)
