"""Broken: proposes what is none of the space, and for trial 13 nothing at all."""

from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment


def suggest(question: Question) -> Assignment | None:
    """Never a good answer."""
    if question.trial == 13:
        raise RuntimeError("no luck")
    return {"no such parameter": 1}
