"""Greedy: the best assignment so far with one parameter changed. Small, and a whole strategy."""

import math

from pydantic import BaseModel, ConfigDict

from hypersweep.core.errors import Problem
from hypersweep.core.space import Space
from hypersweep.core.strategies import random
from hypersweep.core.strategies.points import tried
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment, Outcome


class Settings(BaseModel):
    """What a sweep may set."""

    model_config = ConfigDict(extra="forbid")
    patience: int = 16  # changes that are looked at before one is drawn at random


settings = Settings


def problems(space: Space) -> list[Problem]:
    """It would not know what to change of a parameter called `secret`."""
    return [Problem(d.path, "Greedy searches no secrets") for d in space.dimensions if d.name == "secret"]


def suggest(question: Question) -> Assignment | None:
    """The best known assignment, one parameter drawn anew."""
    space, sign = question.space, -1 if question.goal == "Maximize" else 1
    seen = tried(space, (*question.history, *question.pending))
    good = [t for t in question.history if t.outcome is Outcome.SUCCEEDED and math.isfinite(t.value or math.nan)]
    best = min(good, key=lambda t: (sign * (t.value or 0.0), t.index), default=None)
    for redraw in range(question.settings["patience"] if best else 0):
        drawn = random.draw(space, seed=question.seed, trial=question.trial, redraw=redraw)
        changed = space.dimensions[(question.trial + redraw) % len(space.dimensions)].name
        mixed = {n: v for n, v in (drawn | dict(best.parameters)).items() if n != changed}
        mixed |= {n: v for n, v in drawn.items() if n == changed}
        candidate = {n: mixed[n] for n in space.active(mixed) if n in mixed}
        if not space.problems(candidate) and space.key(candidate) not in seen:
            return candidate
    return random.unseen(space, seen=seen, seed=question.seed, trial=question.trial)
