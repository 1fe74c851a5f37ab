"""When a sweep is over: one small pure rule a reason, asked in order. To add a way to end, add a rule."""

from collections.abc import Callable

from hypersweep.core import account, strategies
from hypersweep.core.snapshot import Ending, Snapshot
from hypersweep.core.spec import seconds
from hypersweep.core.strategies.points import LOOKS
from hypersweep.core.trial import Outcome

ALIKE = 3  # bad ends in a row that need no fourth

Rule = Callable[[Snapshot, float], Ending | None]


def repeated_failure(snapshot: Snapshot, now: float) -> Ending | None:  # noqa: ARG001
    """The newest trials all failed for the same reason: nobody wants the same ImportError thirty times."""
    tally = snapshot.tally
    if tally.streak < ALIKE:
        return None
    group = tally.streak_group
    what = f"{group.reason}: {group.message[-300:]}" if group else "see status.failures"
    message = f"{tally.streak} trials in a row ended alike; mend it, then change spec.retry. {what}"
    return Ending(reason="RepeatedFailure", message=message, complete=False, stops=True)


def too_many_failures(snapshot: Snapshot, now: float) -> Ending | None:  # noqa: ARG001
    """More trials failed than trials.maxFailed bears."""
    failed, allowed = snapshot.tally.counts[Outcome.FAILED], snapshot.spec.trials.max_failed
    if failed <= allowed:
        return None
    message = f"{failed} trials failed, trials.maxFailed is {allowed}; raise it to go on"
    return Ending(reason="TooManyFailures", message=message, complete=False, stops=True)


def target_reached(snapshot: Snapshot, now: float) -> Ending | None:  # noqa: ARG001
    """A finished trial's objective is as good as a target."""
    places = {objective.metric: place for place, objective in enumerate(snapshot.spec.objectives)}
    for target in snapshot.spec.stop_when.targets:
        place = places[target.metric]
        if (trial := snapshot.tally.leaders.reached(place, target.value)) is not None:
            value = trial.values[place]
            message = f"trial {trial.index} reached {target.metric} {value:g} (target {target.value:g})"
            return Ending(reason="TargetReached", message=message, complete=True, stops=_stops(snapshot))
    return None


def no_improvement(snapshot: Snapshot, now: float) -> Ending | None:  # noqa: ARG001
    """The newest trials have not improved the best, or the front. One that runs on (`Finish`) and does lets the sweep go on."""
    wanted, best = snapshot.spec.stop_when.no_improvement, snapshot.tally.best
    if wanted is None or best is None or best.value is None:
        return None
    since = snapshot.tally.unimproved(wanted.tolerance)
    if since < wanted.trials:
        return None
    by = f" by more than {wanted.tolerance:g}" if wanted.tolerance else ""
    several = len(snapshot.spec.objectives) > 1
    lead = "Pareto front" if several else f"best{by}: {best.value:g} (trial {best.index})"
    message = f"the newest {since} trials have not improved the {lead}"
    return Ending(reason="NoImprovement", message=message, complete=True, stops=_stops(snapshot))


def improvement_unlikely(snapshot: Snapshot, now: float) -> Ending | None:  # noqa: ARG001
    """A further trial promises less than stopWhen.expectedImprovementBelow."""
    wanted, expected = snapshot.spec.stop_when.expected_improvement_below, snapshot.expected_improvement
    if wanted is None or expected is None or expected >= wanted:
        return None
    message = f"a further trial is expected to improve the best by {expected:.3g}, less than {wanted:g}"
    return _with_or_without_result(snapshot, "ImprovementUnlikely", message, stops=_stops(snapshot))


def duration_over(snapshot: Snapshot, now: float) -> Ending | None:
    """The sweep ran for as long as it may."""
    allowed = snapshot.spec.stop_when.duration
    if allowed is None or now - snapshot.started < seconds(allowed):
        return None
    return _with_or_without_result(snapshot, "DurationExceeded", f"ran for {allowed}", stops=_stops(snapshot))


def resource_hours_spent(snapshot: Snapshot, now: float) -> Ending | None:
    """The pods of all trials have used as much of a resource as they may."""
    reached = account.limit_reached(snapshot, now)
    if reached is None:
        return None
    limit, spent = reached
    message = f"used {spent:.4g} {limit.resource} hours of {limit.max:g}"
    return _with_or_without_result(snapshot, "ResourceHoursSpent", message, stops=_stops(snapshot))


def all_tried(snapshot: Snapshot, now: float) -> Ending | None:  # noqa: ARG001
    """trials.max trials have ended."""
    most = snapshot.spec.trials.max
    if snapshot.open or snapshot.busy or snapshot.tally.ended < most:
        return None
    return _with_or_without_result(
        snapshot, "MaxTrialsReached", f"{snapshot.tally.ended} trials ended, trials.max is {most}"
    )


def space_exhausted(snapshot: Snapshot, now: float) -> Ending | None:  # noqa: ARG001
    """Every assignment has been tried."""
    if (
        snapshot.open
        or snapshot.paused
        or snapshot.busy
        or not snapshot.exhausted
        or strategies.gives_up(snapshot.spec)
    ):
        return None
    which = "assignments that meet parameterConstraints" if snapshot.spec.parameter_constraints else "assignments"
    ended, repeated = snapshot.tally.ended, snapshot.spec.repeats.count > 1
    told = f"all {which} were tried, in {ended} trials" if repeated else f"all {ended} {which} were tried"
    return _with_or_without_result(snapshot, "SpaceExhausted", told)


def constraints_unmet(snapshot: Snapshot, now: float) -> Ending | None:  # noqa: ARG001
    """Not every point can be looked at, and among many no new one met the constraints: searching on would be for ever."""
    if (
        snapshot.open
        or snapshot.paused
        or snapshot.busy
        or not snapshot.exhausted
        or not strategies.gives_up(snapshot.spec)
    ):
        return None
    message = (
        f"none of {LOOKS:,} more points is new and meets parameterConstraints; {snapshot.tally.ended} trials ended"
    )
    return Ending(reason="ConstraintsUnmet", message=message, complete=snapshot.tally.best is not None)


RULES: tuple[Rule, ...] = (
    repeated_failure,
    too_many_failures,
    target_reached,
    no_improvement,
    improvement_unlikely,
    duration_over,
    resource_hours_spent,
    all_tried,
    space_exhausted,
    constraints_unmet,
)
_UNLESS_RETRIED = {repeated_failure, too_many_failures, all_tried, space_exhausted, constraints_unmet}


def ending(snapshot: Snapshot, now: float) -> Ending | None:
    """The end that the first rule to speak gives, or the one that this generation already reached."""
    if snapshot.ended is not None or not snapshot.loaded:
        return snapshot.ended
    rules = [rule for rule in RULES if rule not in _UNLESS_RETRIED] if snapshot.to_retry else RULES
    return next((found for rule in rules if (found := rule(snapshot, now)) is not None), None)


def _stops(snapshot: Snapshot) -> bool:
    """Whether running trials are stopped for an end that `stopWhen` asks for."""
    return snapshot.spec.stop_when.running_trials == "Stop"


def _with_or_without_result(snapshot: Snapshot, reason: str, message: str, *, stops: bool = False) -> Ending:
    """A sweep that ran its course is complete if any trial has a result; with none there is nothing to be glad of."""
    if snapshot.tally.best is not None or snapshot.open:
        return Ending(reason=reason, message=message, complete=snapshot.tally.best is not None, stops=stops)
    wanted = "finite result" + (" that meets the constraints" if snapshot.spec.constraints else "")
    return Ending(reason="NoResult", message=f"{message}, and none has a {wanted}", complete=False, stops=stops)
