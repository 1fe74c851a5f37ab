"""How many trials have not improved the best: a function of the set of trials."""

from hypothesis import given
from hypothesis import strategies as st

from hypersweep.core.aim import Aim
from hypersweep.core.hypervolume import hypervolume
from hypersweep.core.improvement import Improvement
from hypersweep.core.tally import Tally
from hypersweep.core.trial import Outcome, Reason, Trial
from tests.core.builders import ended

Told = tuple[float, float | None]
"""When a trial ended, and its value."""

told = st.tuples(st.integers(0, 20).map(float), st.none() | st.integers(-5, 5).map(float))


def counted(trials: list[tuple[int, Told]]) -> Improvement:
    """These trials, told in this order."""
    found = Improvement()
    for index, (end, value) in trials:
        found.add((end, index), value)
    return found


def by_definition(trials: list[tuple[int, Told]], tolerance: float) -> int:
    """The newest trials, as many as leave a best among the others that is within the tolerance of the best of all."""
    ordered = [value for _, value in sorted(((end, index), value) for index, (end, value) in trials)]
    values = [value for value in ordered if value is not None]
    for count in range(len(ordered), 0, -1):
        earlier = [value for value in ordered[: len(ordered) - count] if value is not None]
        if earlier and min(earlier) <= min(values) + tolerance:
            return count
    return 0


@given(
    st.lists(told, max_size=12).map(lambda ts: list(enumerate(ts))), st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.data()
)
def test_the_count_is_the_definition_s_in_any_order_of_arrival(
    trials: list[tuple[int, Told]], tolerance: float, data: st.DataObject
) -> None:
    """Late arrivals, ties and trials without a value included."""
    arrived = data.draw(st.permutations(trials))
    assert counted(arrived).trials_since(tolerance) == by_definition(trials, tolerance)


def test_creeping_adds_up() -> None:
    """Steps that are each below the tolerance improve the best once their sum is above it."""
    creeping = counted([(i, (float(i), 1.0 - 0.4 * i)) for i in range(4)])
    assert [creeping.trials_since(tolerance) for tolerance in (0.0, 0.5, 1.0, 2.0)] == [0, 1, 2, 3]


def since(goal: str, *trials: Trial) -> int:
    """What the tally of these trials says, told one by one and read anew alike."""
    one_by_one = Tally(Aim(goals=(goal,)))  # type: ignore[arg-type]
    for trial in reversed(trials):
        one_by_one.add(trial)
    anew = Tally.of(Aim(goals=(goal,)), trials)  # type: ignore[arg-type]
    assert one_by_one.unimproved(0.0) == anew.unimproved(0.0)
    return anew.unimproved(0.0)


def test_what_counts_as_a_trial_without_improvement() -> None:
    """Worse ones, stopped and infeasible ones do; crashes, and what the sweep's end cut off, do not."""
    best = ended(0, 0.1)
    assert since("Minimize", best, ended(1, 0.2)) == 1
    assert since("Maximize", best, ended(1, 0.2)) == 0
    assert since("Minimize", best, ended(1, outcome=Outcome.INFEASIBLE, value=float("nan"))) == 1
    assert since("Minimize", best, ended(1, outcome=Outcome.STOPPED, value=0.0)) == 1
    assert since("Minimize", best, ended(1, outcome=Outcome.FAILED)) == 0
    assert since("Minimize", best, ended(1, outcome=Outcome.STOPPED, reason=Reason.SWEEP_ENDED)) == 0


point = st.tuples(st.integers(0, 4).map(float), st.integers(0, 4).map(float))


@given(st.lists(point, min_size=1, max_size=10), st.data())
def test_of_several_objectives_the_hypervolume_tells(points: list[tuple[float, ...]], data: st.DataObject) -> None:
    """The newest trials, as many as leave the volume as it is: in any order of arrival."""
    trials = [ended(i, values[0], values=values) for i, values in enumerate(points)]
    tally = Tally(Aim(goals=("Minimize", "Minimize")))
    for trial in data.draw(st.permutations(trials)):
        tally.add(trial)
    volumes = [hypervolume(points[: i + 1], (9.0, 9.0)) for i in range(len(points))]
    assert tally.unimproved(0.0) == sum(volume == volumes[-1] for volume in volumes) - 1


def repeated(*results: tuple[str, float]) -> Tally:
    """Trials of assignments by name, one after the other; three seeds each at most."""
    tally = Tally(Aim(goals=("Minimize",), repeats=3))
    for index, (name, value) in enumerate(results):
        tally.add(ended(index, value, parameters={"x": name}))
    return tally


def test_with_repeats_a_better_assignment_counts_and_a_lucky_seed_does_not() -> None:
    """Further seeds of the best are no improvement either."""
    surely = [("a", 0.30), ("a", 0.31), ("b", 0.50), ("b", 0.51)]
    assert repeated(*surely).unimproved(0.0) == 3
    assert repeated(*surely, ("a", 0.29)).unimproved(0.0) == 4
    lucky = [*surely, ("c", 0.29), ("c", 0.60)]  # the best single value; its mean is not
    assert repeated(*lucky).unimproved(0.0) == 5
    better = [*surely, ("c", 0.10), ("c", 0.11)]
    assert repeated(*better).unimproved(0.0) == 1
    assert repeated(*better).unimproved(0.5) == 5
