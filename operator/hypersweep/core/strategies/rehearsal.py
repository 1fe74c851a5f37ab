"""The assignment that a learning-rate range test trains with.

Owns the choice: what its optimizer's first initial trial gives, else defaults and the middles of the ranges; where these
break a constraint, the rest is drawn as an initial trial's is. A function of the spec, so that a restart tests the same.
"""

from collections.abc import Mapping
from typing import Any

from hypersweep.core import range_test
from hypersweep.core.errors import SpecError
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.strategies import initial
from hypersweep.core.trial import Assignment


def assignment(spec: SweepSpec, index: int) -> Assignment:
    """Of the range test with that index."""
    space, given = Space.of(spec), _given(spec, index)
    middle = _middle(space, given)
    if not space.problems(middle):
        return space.canonical(middle)
    try:
        return initial.complete(space, given, known={}, seed=spec.strategy.seed, trial=index)
    except SpecError:  # nothing goes with this optimizer: the constraints leave it out, and the test is only a waste
        return middle


def _given(spec: SweepSpec, index: int) -> dict[str, Any]:
    chooses, value = range_test.optimizer(spec), range_test.cases(spec)[index]
    if chooses is None:
        return next((dict(t.parameters) for t in spec.initial_trials), {})
    of_it = (t.parameters for t in spec.initial_trials if t.parameters.get(chooses.name, value) == value)
    return {**next(of_it, {}), chooses.name: value}


def _middle(space: Space, given: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(given)
    for d in space.dimensions:
        if d.name not in given and d.active(values):
            values[d.name] = d.domain.near(0.5) if d.default is None else d.domain.canonical(d.default)
    return values
