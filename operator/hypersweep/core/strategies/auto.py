"""Auto: the strategy for whoever does not want to choose one; picks by the space and by how much is known.

Owns nothing but the choice; when it changes over is in `phases.py`. The strategies know nothing of it.

| ended trials | space | at work |
|---|---|---|
| fewer than 8, or none measured | any | the middle of the space, then Sobol |
| fewer than 200 | any | GP and TPE in turn, by the trial's number; every second turn of GP's is greedy |
| more | all Float | CMAES, begun from what the first 200 have found |
| more | any other | TPE |

With several objectives: TPE, once 8 trials have ended. Where there are initial trials or defaults, the first of them takes
the place of the middle. What the middle and greed bring: docs/search-benchmark.md.

The runs of a warm start count as the first 8, but not among the 200: those are of this very sweep.
"""

from dataclasses import replace

import numpy as np

from hypersweep.core.strategies import cmaes, gp, phases, sobol, tpe
from hypersweep.core.strategies.acquisition import greedy
from hypersweep.core.strategies.cube import Cube
from hypersweep.core.strategies.merit import informs
from hypersweep.core.strategies.points import tried
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment


def suggest(question: Question) -> Assignment | None:
    """What the strategy at work proposes. None: the space is exhausted."""
    startup = question.settings.get("startup", phases.STARTUP)
    asked = replace(question, settings={"startup": startup})
    if not informs(question.history):
        return _spread(asked)
    before = question.before
    ended = len(question.history) - before
    match phases.phase(question.space, ended, before=before, startup=startup, objectives=len(question.goals)):
        case "Sobol":
            return _spread(asked)
        case "GP and TPE":
            return _in_turn(asked)
        case "CMAES":
            return cmaes.suggest(asked, source=phases.EARLY)
    return tpe.suggest(asked)


def _spread(question: Question) -> Assignment | None:
    """The middle of the space first: whoever gives ranges has put what is likely there. Then evenly spread points."""
    if question.trial == 0:
        cube = Cube(question.space)
        middle = cube.assignment(np.full(cube.size, 0.5))
        seen = tried(question.space, (*question.history, *question.pending))
        if question.space.key(middle) not in seen and question.space.meets(middle):
            return middle
    return sobol.suggest(question)


def _in_turn(question: Question) -> Assignment | None:
    match question.trial % 4:
        case 0:
            return gp.suggest(question)
        case 2:
            return gp.suggest(question, acquisition=greedy)
    return tpe.suggest(question)
