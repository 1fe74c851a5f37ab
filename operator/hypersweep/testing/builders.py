"""Builders for tests of strategies: sweeps, histories of every kind, and what holds of every answer."""

import json
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from hypersweep.core import strategies
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.strategies import grid, random
from hypersweep.core.trial import Assignment, Outcome, Trial
from hypersweep.testing.spaces import CONSTRAINTS, SPACES, Json, every


def sweep(
    name: str,
    made: Sequence[Json] | str,
    *,
    seed: int = 7,
    goal: str = "Minimize",
    initial: Sequence[Json] = (),
    settings: Json | None = None,
) -> SweepSpec:
    """A sweep of that strategy over these parameters, or over the space of that name."""
    return SweepSpec.model_validate(
        {
            "objectives": [{"metric": "loss", "goal": goal}],
            "parameters": SPACES[made] if isinstance(made, str) else made,
            "strategy": {"name": name, "seed": seed, "settings": settings or {}},
            "initialTrials": [{"parameters": p} for p in initial],
            "parameterConstraints": [{"expression": e} for e in CONSTRAINTS.get(made, ())]
            if isinstance(made, str)
            else [],
        }
    )


def space_of(spec: SweepSpec) -> Space:
    return Space.of(spec)


def ended(index: int, parameters: Assignment, value: float | None, outcome: Outcome = Outcome.SUCCEEDED) -> Trial:
    return Trial(index=index, run=f"run-{index}", parameters=parameters, outcome=outcome, value=value)


def drawn(spec: SweepSpec, count: int, *, first: int = 0) -> list[Trial]:
    """Open trials with random assignments, all different while that is possible."""
    space, trials = space_of(spec), list[Trial]()
    seen: set[Hashable] = set()
    for index in range(first, first + count):
        chosen = random.unseen(space, seen=seen, seed=99, trial=index)
        parameters = chosen if chosen is not None else random.draw(space, seed=99, trial=index)
        seen.add(space.key(parameters))
        trials.append(Trial(index=index, run="", parameters=parameters))
    return trials


def score(parameters: Assignment) -> float:
    """Some value that depends on each parameter, cheap and without meaning."""
    return sum(float(v) if isinstance(v, int | float) else len(v) for v in parameters.values()) % 10


KINDS: dict[str, Callable[[Trial], Trial]] = {
    "measured": lambda t: ended(t.index, t.parameters, score(t.parameters)),
    "all failed": lambda t: ended(t.index, t.parameters, None, Outcome.FAILED),
    "all infeasible, value NaN": lambda t: ended(t.index, t.parameters, math.nan, Outcome.INFEASIBLE),
    "all NaN": lambda t: ended(t.index, t.parameters, math.nan),
    "infinities": lambda t: ended(t.index, t.parameters, math.inf if t.index % 2 else -math.inf),
    "all beyond a constraint": lambda t: replace(
        ended(t.index, t.parameters, score(t.parameters), Outcome.INFEASIBLE), violation=(0.5, math.inf)[t.index % 2]
    ),
    "one constant": lambda t: ended(t.index, t.parameters, 1.0),
    "huge values": lambda t: ended(t.index, t.parameters, (-1) ** t.index * 1.7e308),
    "ties": lambda t: ended(t.index, t.parameters, t.index // 4),
    "all stopped": lambda t: ended(t.index, t.parameters, score(t.parameters), Outcome.STOPPED),
    "stopped without a value": lambda t: ended(t.index, t.parameters, None, Outcome.STOPPED),
    "of all kinds": lambda t: ended(
        t.index,
        t.parameters,
        (score(t.parameters), None, math.nan, math.inf)[t.index % 4],
        list(Outcome)[1 + t.index // 4 % 4],
    ),
}


def made_history(spec: SweepSpec, count: int, *, kind: str = "measured") -> list[Trial]:
    return [KINDS[kind](t) for t in drawn(spec, count)]


def exhausted(spec: SweepSpec, trials: Sequence[Trial]) -> bool:
    """Whether these trials have had every point that the strategy may propose."""
    space = space_of(spec)
    seen = {space.key(t.parameters) for t in trials}
    if spec.parameter_constraints and not strategies.gives_up(spec):
        return all(space.key(point) in seen for point in every(space))
    if spec.strategy.name != "Grid":
        return space.cardinality is not None and len(seen) >= space.cardinality
    points = grid.points(space)
    return points.size <= len(seen) and all(space.key(points.at(rank)) in seen for rank in range(points.size))


def check(spec: SweepSpec, answer: Assignment | None, *, after: Sequence[Trial]) -> None:
    """What holds of every answer: allowed, exact, complete, new; or None, when nothing new is left."""
    space = space_of(spec)
    assert (answer is None) == exhausted(spec, after)
    if answer is None:
        return
    again = json.loads(json.dumps(answer))
    assert space.problems(again) == []
    assert again == answer
    assert [type(v) for v in again.values()] == [type(v) for v in answer.values()]
    assert tuple(answer) == space.active(answer)
    assert space.key(again) not in {space.key(t.parameters) for t in after}


def run(spec: SweepSpec, count: int, value: Callable[[Assignment], float] = score) -> list[Trial]:
    """A sweep, one trial at a time, until it has so many or the space is exhausted."""
    trials: list[Trial] = []
    for index in range(count):
        answer = strategies.suggest(spec, history=trials, pending=(), trial=index)
        if answer is None:
            break
        trials.append(ended(index, answer, value(answer)))
    return trials
