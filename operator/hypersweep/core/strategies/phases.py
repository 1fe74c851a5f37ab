"""When Auto changes over, and to what: a function of the space and of the number of trials that have ended.

Light on purpose: the status asks at every change, and `hypersweep validate` wants neither numpy nor Optuna.
"""

from typing import Literal

from hypersweep.core.domain import Interval
from hypersweep.core.space import Space

STARTUP = 8  # ended trials, before any model is asked
EARLY = 200  # ended trials; from then on a model of all values costs more than it brings

Phase = Literal["Sobol", "GP and TPE", "CMAES", "TPE"]


def phase(space: Space, ended: int, *, before: int = 0, startup: int = STARTUP, objectives: int = 1) -> Phase:
    """What is at work when so many trials have ended, and a warm start has brought so many `before`."""
    if ended + before < startup:
        return "Sobol"
    if objectives > 1:
        return "TPE"
    if ended < EARLY:
        return "GP and TPE"
    return "CMAES" if continuous(space) else "TPE"


def continuous(space: Space) -> bool:
    """Whether every parameter is a Float without steps that is always there."""
    return all(isinstance(d.domain, Interval) and not d.when for d in space.dimensions)


def told(space: Space, ended: int, *, before: int = 0, startup: int = STARTUP, objectives: int = 1) -> tuple[str, str]:
    """What is at work, and why, for people."""
    effective = phase(space, ended, before=before, startup=startup, objectives=objectives)
    why = {
        "Sobol": f"the middle of the space, then evenly spread points until {startup} trials have ended",
        "GP and TPE": "in turn",
        "CMAES": f"from what the first {EARLY} trials found",
        "TPE": f"{objectives} objectives" if objectives > 1 else f"from {EARLY} trials on",
    }[effective]
    return effective, why


def kind(space: Space) -> str:
    """What a space is made of, for people."""
    count = len(space.dimensions)
    conditional = any(d.when for d in space.dimensions)
    of = "conditional" if conditional else "continuous" if continuous(space) else "mixed"
    return f"{count} {of} parameter{'' if count == 1 else 's'}"
