"""The analysis of a sweep's trials: `analyze` gathers what the other files find. Pure, deterministic, in any order of trials.

Takes a second for thousands of trials (the effects are fitted to a bounded number); the caller keeps it off an event loop.
"""

from collections import Counter
from collections.abc import Sequence

from hypersweep.core.analysis import coverage, importance
from hypersweep.core.analysis.effects import Effect, Effects, effects
from hypersweep.core.analysis.evidence import Evidence
from hypersweep.core.analysis.failures import blames
from hypersweep.core.analysis.findings import Best, Objective, Parameter, Point, Report, Together
from hypersweep.core.analysis.lessons import lessons
from hypersweep.core.analysis.levels import levels_of
from hypersweep.core.analysis.observations import observations, worse_end
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Trial


def analyze(spec: SweepSpec, trials: Sequence[Trial]) -> Report:
    """What these trials (open ones included) teach of the spec's space and objectives."""
    space = Space.of(spec)
    known = tuple(sorted(trials, key=lambda t: (t.index, t.run)))
    seen = observations(spec, known)
    levels = levels_of(space)
    assignments = [t.parameters for t in seen]
    failures = tuple(blames(levels, known))
    tried = tuple(coverage.tried(levels, assignments))
    unseen = tuple(coverage.unseen(levels, assignments))
    found = [
        _objective(Evidence(space=space, metric=o.metric, goal=o.goal, trials=seen, which=i))
        for i, o in enumerate(spec.objectives)
    ]
    return Report(
        trials=len(known),
        counts=dict(sorted(Counter(str(t.outcome) for t in known).items())),
        objectives=tuple(lessons(each, failures=failures, tried=tried, unseen=unseen) for each in found),
        failures=failures,
        tried=tried,
        unseen=unseen,
    )


def _objective(evidence: Evidence) -> Objective:
    missing = evidence.missing()
    base = Objective(
        metric=evidence.metric,
        goal=evidence.goal,
        results=len(evidence.measured),
        best=_best(evidence),
        missing=missing,
        missing_pairs=missing or evidence.missing_of_pairs(),
    )
    lacks = {each.name: missing or evidence.missing_of(each) for each in evidence.levels}
    told = [each for each in evidence.levels if not lacks[each.name]]
    unknown = tuple(Parameter(name=name, missing=why, ordered=True) for name, why in lacks.items() if why)
    if not told:
        return _with(base, parameters=unknown)
    shares = importance.shares(evidence, told)
    order = list(shares)
    ranked = sorted(told, key=lambda each: order.index(each.name))
    at = {each.name: each.of([t.parameters for t in evidence.measured]) for each in ranked}
    minimize = evidence.goal == "Minimize"
    model = effects(ranked, at, evidence.values, minimize=minimize, pairs=not base.missing_pairs)
    known = [_parameter(model.of[each.name], shares[each.name]) for each in ranked]
    return _fitted(base, model, (*sorted(known, key=lambda p: not p.certain), *unknown))  # sure ones first


def _fitted(base: Objective, model: Effects, parameters: tuple[Parameter, ...]) -> Objective:
    return _with(
        base,
        parameters=parameters,
        together=tuple(Together(pair=i.pair, share=i.share, chance=i.chance) for i in model.interactions),
        pairs=model.pairs,
        explained=model.explained,
        noise=model.noise,
    )


def _with(base: Objective, **changes: object) -> Objective:
    return Objective(**{**vars(base), **changes})


def _best(evidence: Evidence) -> tuple[Best, ...]:
    """The two best trials that met everything that was asked of them."""
    sign = 1 if evidence.goal == "Minimize" else -1
    won = [t for t in evidence.measured if t.outcome == "Succeeded"]
    ranked = sorted(won, key=lambda t: (worse_end(t, sign * (evidence.value(t) or 0.0)), t.index))
    return tuple(
        Best(trial=t.index, run=t.run, value=evidence.value(t) or 0.0, parameters=dict(t.parameters))
        for t in ranked[:2]
    )


def _parameter(effect: Effect, share: float) -> Parameter:
    levels = effect.levels
    return Parameter(
        name=levels.name,
        importance=share,
        share=effect.share,
        chance=effect.chance,
        certain=effect.certain,
        ordered=levels.ordered,
        effect=tuple(
            Point(
                value=levels.label(i),
                place=float(levels.places[i]),
                expected=float(effect.expected[i]),
                low=float(effect.low[i]),
                high=float(effect.high[i]),
                trials=int(effect.count[i]),
            )
            for i in range(levels.count)
        ),
    )
