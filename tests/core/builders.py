"""Builders for tests of the engine: a sweep, its trials and a look at them, in a line each."""

from dataclasses import replace
from typing import Any

from hypersweep.core.aim import Aim
from hypersweep.core.snapshot import Action, Commit, Health, Launch, OpenTrial, Pause, Remove, Retry, Snapshot
from hypersweep.core.spec import SweepSpec
from hypersweep.core.tally import Tally
from hypersweep.core.trial import Attempt, Measurement, Outcome, Phase, Trial

NOW = 1_000_000.0


def make_spec(**changes: Any) -> SweepSpec:
    """A small valid spec; changes by field, in the manifest's spelling (`trials={"max": 3}`)."""
    document: dict[str, Any] = {
        "objectives": [{"metric": "loss", "goal": "Minimize"}],
        "parameters": [{"name": "lr", "type": "Float", "min": 1e-5, "max": 1e-1, "scale": "Log"}],
        "strategy": {"name": "Random"},
        "trials": {"max": 4, "parallel": 2, "attempts": 2, "maxFailed": 2},
        "job": {
            "template": {
                "spec": {"template": {"spec": {"containers": [{"name": "train", "image": "i", "command": ["true"]}]}}}
            }
        },
    }
    for key, value in changes.items():
        document[key] = (
            {**document[key], **value} if isinstance(document.get(key), dict) and isinstance(value, dict) else value
        )
    return SweepSpec.model_validate(document)


def make_trial(index: int, **changes: Any) -> Trial:
    """An open trial."""
    return replace(Trial(index=index, run=f"run-{index}", parameters={"lr": 0.01}), **changes)


def ended(index: int, value: float | None = None, *, outcome: Outcome = Outcome.SUCCEEDED, **changes: Any) -> Trial:
    """A trial that has ended, `index` seconds ago counted from the start."""
    return make_trial(index, outcome=outcome, value=value, ended=NOW - 1000 + index, **changes)


def make_attempt(trial: int, phase: Phase = Phase.RUNNING, **changes: Any) -> Attempt:
    """A trial's first attempt, begun 100 s ago; one that has ended did so 20 s ago."""
    end = NOW - 20 if phase.ended else None
    base = Attempt(
        trial=trial,
        number=1,
        phase=phase,
        created=NOW - 110,
        started=NOW - 100,
        ended=end,
        run=f"run-{trial}",
        where=f"pod-{trial}",
    )
    return replace(base, **changes)


def view(
    index: int,
    phase: Phase | None = Phase.RUNNING,
    *,
    measured: float | tuple[float, ...] | None = None,
    logged: tuple[str, ...] | None = None,
    constrained: dict[str, float] | None = None,
    trial: dict[str, Any] | None = None,
    **attempt: Any,
) -> OpenTrial:
    """An open trial with its attempt; `measured` is the objective that was read (or each of several), `constrained` the
    metrics of constraints, `logged` the metrics where one of these is missing.
    """
    found = None
    if measured is not None or logged is not None:
        values = measured if isinstance(measured, tuple) else () if measured is None else (measured,)
        found = Measurement(
            value=values[0] if values else None, values=values, constrained=constrained or {}, logged=logged or ()
        )
    return OpenTrial(
        trial=make_trial(index, **(trial or {})),
        attempt=make_attempt(index, phase, **attempt) if phase else None,
        measured=found,
    )


def look(
    *open_trials: OpenTrial, spec: SweepSpec | None = None, history: tuple[Trial, ...] = (), **changes: Any
) -> Snapshot:
    """A snapshot of these open trials after this history."""
    spec = spec or make_spec()
    tally = Tally.of(Aim.of(spec), [*history, *(v.trial for v in open_trials)])
    base = Snapshot(spec=spec, started=NOW - 1000, tally=tally, open=open_trials, health=Health())
    return replace(base, **changes)


def two_hours(resource: str = "cpu") -> SweepSpec:
    """A sweep that may use two hours of a resource."""
    return make_spec(stopWhen={"resourceHours": [{"resource": resource, "max": 2}]})


def brief(actions: tuple[Action, ...]) -> list[str]:
    """Actions as short text, for tables."""
    found = []
    for action in actions:
        match action:
            case Commit(index=i, result=r):
                found.append(f"commit {i} {r.outcome}" + (f" {r.reason}" if r.reason else ""))
            case Retry(index=i, attempt=a, charged=c):
                found.append(f"retry {i} as {a}, charged {c}")
            case Launch(index=i, attempt=a):
                found.append(f"launch {i}.{a}")
            case Pause(index=i, rung=b, charged=c):
                found.append(f"pause {i} at {b}, charged {c}")
            case Remove(attempt=a):
                found.append(f"remove {a.trial}.{a.number}")
            case _:
                found.append(f"{type(action).__name__.lower()} {action.index}")
    return found
