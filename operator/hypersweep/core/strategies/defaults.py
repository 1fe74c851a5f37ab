"""The trial of the defaults: the first after the initial ones, where any parameter has a `default`.

Each active parameter that has a default takes it; the others are drawn as Random would. A function of the space and the
seed, so that it is the same trial whenever it is asked for.
"""

from collections.abc import Hashable
from collections.abc import Set as AbstractSet

from hypersweep.core.errors import Problem
from hypersweep.core.space import Space
from hypersweep.core.strategies import random
from hypersweep.core.trial import Assignment


def assignment(space: Space, *, seen: AbstractSet[Hashable], seed: int, trial: int) -> Assignment | None:
    """The defaults, filled. None: there are none, they are among `seen`, or no way to fill them meets the constraints."""
    fixed = {d.name: d.domain.canonical(d.default) for d in space.dimensions if d.default is not None}
    if not fixed:
        return None
    for redraw in range(random.REDRAWS):
        found = random.draw(space, seed=seed, trial=trial, redraw=redraw, fixed=fixed)
        if space.meets(found) and space.key(found) not in seen:
            return found
    return None


def problems(space: Space) -> list[Problem]:
    """Defaults that their parameters cannot have, or that break a constraint among themselves."""
    found = [
        Problem(f"{d.path}.default", wrong)
        for d in space.dimensions
        if d.default is not None and (wrong := d.domain.problem(d.default)) is not None
    ]
    if found:
        return found
    defaults = {d.name: d.default for d in space.dimensions if d.default is not None}
    active = space.active(defaults)
    return space.unmet({name: defaults[name] for name in active if name in defaults}, path="spec.parameters")
