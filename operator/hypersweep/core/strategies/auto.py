"""Auto: the strategy for whoever does not want to choose one; picks by the space and by how much is known.

Owns nothing but the choice; when it changes over is in `phases.py`. The strategies know nothing of it.

| ended trials | space | at work |
|---|---|---|
| fewer than 8, or none measured | any | Sobol |
| fewer than 200 | any | GP and TPE in turn, by the trial's number |
| more | all Float | CMAES, begun from what the first 200 have found |
| more | any other | TPE |

With several objectives: TPE, once 8 trials have ended.

The runs of a warm start count as the first 8, but not among the 200: those are of this very sweep.
"""

from dataclasses import replace

from hypersweep.core.strategies import cmaes, gp, phases, sobol, tpe
from hypersweep.core.strategies.merit import informs
from hypersweep.core.strategies.question import Question
from hypersweep.core.trial import Assignment


def suggest(question: Question) -> Assignment | None:
    """What the strategy at work proposes. None: the space is exhausted."""
    startup = question.settings.get("startup", phases.STARTUP)
    asked = replace(question, settings={"startup": startup})
    if not informs(question.history):
        return sobol.suggest(asked)
    before = question.before
    ended = len(question.history) - before
    match phases.phase(question.space, ended, before=before, startup=startup, objectives=len(question.goals)):
        case "Sobol":
            return sobol.suggest(asked)
        case "GP and TPE":
            return tpe.suggest(asked) if question.trial % 2 else gp.suggest(asked)
        case "CMAES":
            return cmaes.suggest(asked, source=phases.EARLY)
    return tpe.suggest(asked)
