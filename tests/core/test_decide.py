"""What `decide` answers to each situation: a table whose rows have names."""

import math
from dataclasses import replace

import pytest

from hypersweep.core.decide import decide
from hypersweep.core.resources import Usage
from hypersweep.core.snapshot import (
    Commit,
    Ending,
    Fault,
    Health,
    Launch,
    OpenTrial,
    Plan,
    Remove,
    Retry,
    Snapshot,
)
from hypersweep.core.spec import SweepSpec
from hypersweep.core.steps import CONFLICT_GRACE, NEVER_STARTS, OBJECTIVE_GRACE
from hypersweep.core.stoppers import Verdict
from hypersweep.core.trial import Outcome, Phase, Reason
from tests.core.builders import NOW, brief, ended, look, make_attempt, make_spec, make_trial, two_hours, view

F, S, P, Q = Phase.FAILED, Phase.SUCCEEDED, Phase.PENDING, Phase.QUEUED
CONSTRAINED = make_spec(constraints=[{"metric": "ms", "max": 20}])
STOPPING = make_spec(earlyStopping={"type": "ASHA"})
RULE = {"type": "ASHA", "asha": {"mode": "Promote"}}
PROMOTING = make_spec(earlyStopping=RULE)
VERDICT = Verdict("ASHA", 3, 0.9, "stopped at budget 3", NOW - 9)
TWO = [{"metric": "loss", "goal": "Minimize"}, {"metric": "ms", "goal": "Minimize"}]
DOWN = Health(tracking=Fault(reason="TrackingUnavailable", message="down", since=NOW - 5))

GONE = Usage(id="gone", amounts=(("cpu", 4.0),), since=NOW - 3600, until=NOW - 2700)  # one core hour
GOES_ON = Usage(id="on", amounts=(("cpu", 2.0),), since=NOW - 900)  # half of one


def waiting(
    *open_: OpenTrial,
    promotable: tuple[int, ...] | None = (),
    spec: SweepSpec = PROMOTING,
    most: int = 4,
    failed: bool = False,
) -> Snapshot:
    """Trials 0 and 1 are paused; perhaps trial 2 has failed."""
    paused = {i: make_trial(i, outcome=Outcome.PAUSED, value=0.5, rung=1, reason="ASHA", ended=NOW - 9) for i in (0, 1)}
    history = (ended(2, outcome=Outcome.FAILED),) if failed else ()
    spec = spec.model_copy(update={"trials": spec.trials.model_copy(update={"max": most})})
    found = look(*open_, history=history, spec=spec)
    for index in paused:
        found.tally.take(index)
    return replace(found, paused=paused, promotable=promotable)


def doubtful(index: int) -> OpenTrial:
    """Nobody knows whether it was launched."""
    return replace(view(index, None), fault=Fault(reason=Reason.LAUNCH_DELAYED, message="timed out", since=NOW - 5))


ROWS: dict[str, tuple[Snapshot, list[str]]] = {
    "an empty sweep fills its slots": (look(), ["plan 0", "plan 1"]),
    "planned trials are launched before new ones are planned": (
        look(view(0, None), view(1, None)),
        ["launch 0.1", "launch 1.1"],
    ),
    "a launch that may have taken effect keeps its slot from one that waits": (
        look(view(0, None), doubtful(1), view(2)),
        ["launch 1.1"],
    ),
    "more of those than may run do not block each other": (
        look(doubtful(0), doubtful(1), doubtful(2)),
        ["launch 0.1", "launch 1.1"],
    ),
    "a launch under way has its slot": (
        replace(look(view(0, None), view(1, None), view(2)), busy={1: Launch(index=1, attempt=1)}),
        [],
    ),
    "a running trial is left alone and the free slot filled": (look(view(0)), ["plan 1"]),
    "a verdict is written down, and its slot is free": (
        look(replace(view(0), verdict=VERDICT), view(1), spec=STOPPING),
        ["commit 0 Stopped ASHA", "plan 2"],
    ),
    "a verdict stands though the attempt has ended well": (
        look(replace(view(0, S, measured=0.1), verdict=VERDICT), view(1), spec=STOPPING),
        ["commit 0 Stopped ASHA", "plan 2"],
    ),
    "an attempt that ended is measured only when all curves were read since": (
        look(replace(view(0, S), judged=False), view(1), spec=STOPPING),
        ["judge 0", "plan 2"],
    ),
    "a crash is judged before it is repeated": (
        look(replace(view(0, F, reason="Crashed"), judged=False), view(1), spec=STOPPING),
        ["judge 0"],
    ),
    "nothing is judged and no verdict written while MLflow is away": (
        look(replace(view(0), verdict=VERDICT), replace(view(1, S), judged=False), spec=STOPPING, health=DOWN),
        [],
    ),
    "a stopped trial's Job goes, and only then another takes its place": (
        look(
            view(1), view(2, None), strays=((make_attempt(0), ended(0, 0.9, outcome=Outcome.STOPPED)),), spec=STOPPING
        ),
        ["remove 0.1"],
    ),
    "no more trials than trials.max": (look(view(3), history=(ended(0, 1.0), ended(1, 2.0), ended(2, 3.0))), []),
    "parallel 0 drains": (look(view(0), spec=make_spec(trials={"parallel": 0})), []),
    "a lowered parallel stops nothing": (look(view(0), view(1), spec=make_spec(trials={"parallel": 1})), []),
    "a lowered parallel launches no more than it allows": (
        look(view(0), view(1, None), spec=make_spec(trials={"parallel": 1})),
        [],
    ),
    "a verdict pauses where trials are promoted": (
        look(replace(view(0), verdict=VERDICT), view(1), spec=PROMOTING),
        ["pause 0 at 3, charged 0", "plan 2"],
    ),
    "a whole training counts, though it would have been paused": (
        look(replace(view(0, S, measured=0.5), verdict=VERDICT), view(1), spec=PROMOTING),
        ["commit 0 Succeeded", "plan 2"],
    ),
    "a crash at the rung is paused, and charged": (
        look(replace(view(0, F, reason="Crashed"), verdict=VERDICT), view(1), spec=PROMOTING),
        ["pause 0 at 3, charged 1", "plan 2"],
    ),
    "who may go on comes before new trials": (waiting(view(2), promotable=(1, 0)), ["promote 1"]),
    "nobody goes on, and nothing is planned, until curves were read": (waiting(view(2), promotable=None), []),
    "who waits is stopped once nothing can promote him": (
        waiting(most=2),
        ["commit 0 Stopped ASHA", "commit 1 Stopped ASHA"],
    ),
    "who waits is stopped when promotion is switched off": (
        waiting(view(2), spec=STOPPING),
        ["plan 3", "commit 0 Stopped ASHA", "commit 1 Stopped ASHA"],
    ),
    "who waits, waits while another runs": (waiting(view(2), view(3), most=4), []),
    "a suspended sweep promotes nobody": (
        waiting(promotable=(0,), spec=make_spec(suspend=True, earlyStopping=RULE)),
        [],
    ),
    "nor does it give anybody up": (waiting(most=2, spec=make_spec(suspend=True, earlyStopping=RULE)), []),
    "who waits, waits for what a retry may bring": (
        waiting(most=3, failed=True, spec=make_spec(retry="again", earlyStopping=RULE)),
        ["reopen 2"],
    ),
    "who waits is stopped with the sweep": (
        replace(waiting(), ended=Ending(reason="TargetReached", message="m", complete=True, stops=True)),
        ["commit 0 Stopped ASHA", "commit 1 Stopped ASHA"],
    ),
    "gaps in the indices are filled first": (look(history=(ended(0, 1.0), ended(2, 1.0))), ["plan 1", "plan 3"]),
    "a finished attempt is measured, and its slot is free": (look(view(0, S), view(1)), ["measure 0", "plan 2"]),
    "a measured trial is committed": (look(view(0, S, measured=0.5), view(1)), ["commit 0 Succeeded", "plan 2"]),
    "NaN is infeasible": (
        look(view(0, S, measured=float("nan")), view(1)),
        ["commit 0 Infeasible NonFinite", "plan 2"],
    ),
    "infinity is infeasible": (
        look(view(0, S, measured=float("-inf")), view(1)),
        ["commit 0 Infeasible NonFinite", "plan 2"],
    ),
    "a missing metric is asked for again within its grace": (
        look(view(0, S, logged=("los",)), view(1)),
        ["measure 0", "plan 2"],
    ),
    "a missing metric fails the trial after its grace": (
        look(view(0, S, logged=("los",), ended=NOW - OBJECTIVE_GRACE), view(1)),
        ["commit 0 Failed ObjectiveMissing", "plan 2"],
    ),
    "a crash is retried, charged": (look(view(0, F, reason=Reason.CRASHED), view(1)), ["retry 0 as 2, charged 1"]),
    "a fresh crash waits before it is retried": (look(view(0, F, reason=Reason.CRASHED, ended=NOW - 1), view(1)), []),
    "the last attempt's crash fails the trial": (
        look(view(0, F, reason=Reason.CRASHED, trial={"charged": 1}), view(1)),
        ["commit 0 Failed Crashed", "plan 2"],
    ),
    "a disruption is retried at once, uncharged": (
        look(view(0, F, reason=Reason.INTERRUPTED, ended=NOW, trial={"charged": 1}), view(1)),
        ["retry 0 as 2, charged 1"],
    ),
    "endless disruptions end": (
        look(view(0, F, reason=Reason.INTERRUPTED, number=32, trial={"attempt": 32, "charged": 1}), view(1)),
        ["commit 0 Failed Interrupted", "plan 2"],
    ),
    "out of memory is infeasible and not repeated": (
        look(view(0, F, reason=Reason.OUT_OF_MEMORY), view(1)),
        ["commit 0 Infeasible OutOfMemory", "plan 2"],
    ),
    "a result within its constraints wins": (
        look(view(0, S, measured=1.0, constrained={"ms": 20.0}), view(1), spec=CONSTRAINED),
        ["commit 0 Succeeded", "plan 2"],
    ),
    "a result beyond a constraint is infeasible, and not tried again": (
        look(view(0, S, measured=1.0, constrained={"ms": 21.0}), view(1), spec=CONSTRAINED),
        ["commit 0 Infeasible ConstraintViolated", "plan 2"],
    ),
    "an objective that is no number says more than its constraints": (
        look(view(0, S, measured=math.nan, constrained={"ms": 21.0}), view(1), spec=CONSTRAINED),
        ["commit 0 Infeasible NonFinite", "plan 2"],
    ),
    "three beyond a constraint from the start end nothing: the search is told where to look": (
        look(
            view(3),
            spec=CONSTRAINED,
            history=tuple(
                ended(i, 1.0, outcome=Outcome.INFEASIBLE, reason="ConstraintViolated", violation=0.5) for i in range(3)
            ),
        ),
        [],
    ),
    "a deadline is not tried again": (
        look(view(0, F, reason=Reason.DEADLINE_EXCEEDED), view(1)),
        ["commit 0 Failed DeadlineExceeded", "plan 2"],
    ),
    "bad settings are not tried again": (
        look(view(0, F, reason=Reason.BAD_SETTINGS), view(1)),
        ["commit 0 Failed BadSettings", "plan 2"],
    ),
    "a script that chose another experiment is not tried again": (
        look(view(0, F, reason=Reason.WRONG_EXPERIMENT), view(1)),
        ["commit 0 Failed WrongExperiment", "plan 2"],
    ),
    "an image that does not come is waited for": (
        look(view(0, P, reason=Reason.IMAGE_NOT_PULLED, waiting_since=NOW - 9), view(1)),
        [],
    ),
    "an image that never comes costs an attempt": (
        look(view(0, P, reason=Reason.IMAGE_NOT_PULLED, waiting_since=NOW - NEVER_STARTS), view(1)),
        ["retry 0 as 2, charged 1"],
    ),
    "a pod that finds no node is waited for without end": (
        look(view(0, P, reason=Reason.UNSCHEDULABLE, waiting_since=NOW - 9e4), view(1)),
        [],
    ),
    "a queued Job is waited for without end": (
        look(view(0, Q, reason=Reason.QUEUED, waiting_since=NOW - 9e5), view(1)),
        [],
    ),
    "no progress for too long costs an attempt": (
        look(view(0, trial={"progress": NOW - 61}), view(1), spec=make_spec(trials={"noProgress": "60s"})),
        ["retry 0 as 2, charged 1", "retry 1 as 2, charged 1"],
    ),
    "progress keeps a trial": (
        look(
            view(0, trial={"progress": NOW - 5}), view(1, started=NOW - 5), spec=make_spec(trials={"noProgress": "60s"})
        ),
        [],
    ),
    "no progress on the last attempt fails": (
        look(view(0, trial={"charged": 1}), view(1, started=NOW), spec=make_spec(trials={"noProgress": "60s"})),
        ["commit 0 Failed NoProgress", "plan 2"],
    ),
    "an older attempt must be gone before the next is launched": (
        look(
            replace(view(0, None, trial={"attempt": 2}), older_active=True),
            view(1),
            strays=((make_attempt(0), view(0).trial),),
        ),
        ["remove 0.1"],
    ),
    "a refused launch fails the trial": (
        look(replace(view(0, None), fault=Fault(reason=Reason.LAUNCH_REFUSED, message="no")), view(1)),
        ["commit 0 Failed LaunchRefused", "plan 2"],
    ),
    "a delayed launch is tried again": (
        look(
            replace(view(0, None), fault=Fault(reason=Reason.LAUNCH_DELAYED, message="quota", since=NOW - 9e4)), view(1)
        ),
        ["launch 0.1"],
    ),
    "a name conflict fails after its grace": (
        look(
            replace(
                view(0, None), fault=Fault(reason=Reason.NAME_CONFLICT, message="x", since=NOW - CONFLICT_GRACE - 1)
            ),
            view(1),
        ),
        ["commit 0 Failed NameConflict", "plan 2"],
    ),
    "suspension removes what runs and launches nothing": (
        look(view(0), view(1, None), spec=make_spec(suspend=True)),
        ["remove 0.1"],
    ),
    "suspension still commits what has ended": (
        look(view(0, S, measured=1.0), view(1), spec=make_spec(suspend=True)),
        ["commit 0 Succeeded", "remove 1.1"],
    ),
    "with MLflow down nothing is planned, measured or committed, and nothing is failed": (
        look(view(0, S), view(1, F, reason=Reason.CRASHED), health=DOWN),
        [],
    ),
    "with MLflow down a planned trial is still launched": (look(view(0, None), view(1), health=DOWN), ["launch 0.1"]),
    "a refused spec launches nothing but commits what ended": (
        look(view(0, S, measured=1.0), view(1, None), health=Health(refused=Fault(reason="SpecRefused", message="no"))),
        ["commit 0 Succeeded"],
    ),
    "what another runs is not touched": (
        look(
            view(0, S, measured=1.0),
            view(1, None),
            health=Health(elsewhere=Fault(reason="OwnedElsewhere", message="o")),
        ),
        [],
    ),
    "a target stops what runs": (
        look(
            view(1),
            view(2, None),
            history=(ended(0, 0.1),),
            spec=make_spec(stopWhen={"targets": [{"metric": "loss", "value": 0.1}]}),
        ),
        ["commit 1 Stopped SweepEnded", "commit 2 Stopped SweepEnded"],
    ),
    "a target lets running trials finish, and starts nothing": (
        look(
            view(1),
            view(2, None),
            view(3, P, reason=Reason.UNSCHEDULABLE),
            view(4, F, reason=Reason.CRASHED),
            history=(ended(0, 0.1),),
            spec=make_spec(
                stopWhen={"targets": [{"metric": "loss", "value": 0.1}], "runningTrials": "Finish"}, trials={"max": 9}
            ),
        ),
        ["commit 2 Stopped SweepEnded", "commit 3 Stopped SweepEnded", "commit 4 Stopped SweepEnded"],
    ),
    "time that is up lets running trials finish": (
        look(view(1), view(2, None), spec=make_spec(stopWhen={"duration": "10m", "runningTrials": "Finish"})),
        ["commit 2 Stopped SweepEnded"],
    ),
    "a pod that was replaced is accounted for at once": (look(view(0, usage=(GONE, GOES_ON)), view(1)), ["account 0"]),
    "what the account holds already is not written again": (
        look(view(0, usage=(GONE, GOES_ON), trial={"spent": {"gone": {"cpu": 1.0}}}), view(1)),
        [],
    ),
    "a pod that has just ended waits for its Job to say so": (look(view(0, usage=(GONE,)), view(1)), []),
    "a pod that is gone while its trial is queued is accounted for": (
        look(view(0, Q, reason=Reason.QUEUED, usage=(GONE,)), view(1)),
        ["account 0"],
    ),
    "with MLflow down nothing is accounted for": (look(view(0, usage=(GONE, GOES_ON)), view(1), health=DOWN), []),
    "resource hours that are spent stop what runs": (
        look(view(3, usage=(GOES_ON,)), history=(ended(0, 0.1, spent={"a": {"cpu": 1.5}}),), spec=two_hours()),
        ["commit 3 Stopped SweepEnded"],
    ),
    "resource hours of another resource do not": (
        look(view(3, usage=(GOES_ON,)), view(4), spec=two_hours("nvidia.com/gpu")),
        [],
    ),
    "without improvement running trials are stopped": (
        look(
            view(3),
            history=(ended(0, 0.1), ended(1, 0.2), ended(2, 0.3)),
            spec=make_spec(stopWhen={"noImprovement": {"trials": 2}}),
        ),
        ["commit 3 Stopped SweepEnded"],
    ),
    "a front that has not grown ends a sweep of several objectives": (
        look(
            history=(
                ended(0, 0.1, values=(0.1, 0.2)),
                ended(1, 0.2, values=(0.2, 0.3)),
                ended(2, 0.3, values=(0.3, 0.2)),
            ),
            spec=make_spec(objectives=TWO, stopWhen={"noImprovement": {"trials": 2}}),
        ),
        [],
    ),
    "a front that has grown goes on": (
        look(
            history=(
                ended(0, 0.1, values=(0.1, 0.2)),
                ended(1, 0.2, values=(0.2, 0.3)),
                ended(2, 0.3, values=(0.3, 0.1)),
            ),
            spec=make_spec(objectives=TWO, stopWhen={"noImprovement": {"trials": 2}}, trials={"parallel": 1}),
        ),
        ["plan 3"],
    ),
    "little is expected of any further trial": (
        look(
            view(3),
            history=(ended(0, 0.3),),
            expected_improvement=0.009,
            spec=make_spec(stopWhen={"expectedImprovementBelow": 0.01}),
        ),
        ["commit 3 Stopped SweepEnded"],
    ),
    "enough is expected to go on": (
        look(
            history=(ended(0, 0.3),),
            expected_improvement=0.011,
            spec=make_spec(stopWhen={"expectedImprovementBelow": 0.01}, trials={"parallel": 1}),
        ),
        ["plan 1"],
    ),
    "an improvement that is more than the tolerance goes on": (
        look(
            history=(ended(0, 0.3), ended(1, 0.2), ended(2, 0.1)),
            spec=make_spec(stopWhen={"noImprovement": {"trials": 2, "tolerance": 0.15}}),
        ),
        ["plan 3"],
    ),
    "a result that has come is kept when the sweep stops": (
        look(
            view(1, S, measured=0.05),
            view(2),
            history=(ended(0, 0.1),),
            spec=make_spec(stopWhen={"targets": [{"metric": "loss", "value": 0.1}]}),
        ),
        ["commit 1 Succeeded", "commit 2 Stopped SweepEnded"],
    ),
    "one failure more than allowed stops all": (
        look(
            view(3),
            history=tuple(ended(i, outcome=Outcome.FAILED, reason="Crashed", message="abc"[i]) for i in range(3)),
        ),
        ["commit 3 Stopped SweepEnded"],
    ),
    "three alike in a row stop all": (
        look(
            view(4),
            spec=make_spec(trials={"maxFailed": 9, "max": 9}),
            history=(
                ended(0, 1.0),
                *(ended(i, outcome=Outcome.FAILED, reason="Crashed", message="ImportError: x") for i in (1, 2, 3)),
            ),
        ),
        ["commit 4 Stopped SweepEnded"],
    ),
    "three first out of memory stop all": (
        look(view(3), history=tuple(ended(i, outcome=Outcome.INFEASIBLE, reason="OutOfMemory") for i in range(3))),
        ["commit 3 Stopped SweepEnded"],
    ),
    "out of memory later on is a region of the space": (
        look(
            view(4),
            view(5),
            spec=make_spec(trials={"max": 6}),
            history=(ended(0, 1.0), *(ended(i, outcome=Outcome.INFEASIBLE, reason="OutOfMemory") for i in (1, 2, 3))),
        ),
        [],
    ),
    "a retry token reopens failed trials that ran under another": (
        look(
            view(2),
            view(3),
            spec=make_spec(retry="b"),
            history=(ended(0, outcome=Outcome.FAILED, retry="a"), ended(1, outcome=Outcome.FAILED, retry="b")),
        ),
        ["reopen 0"],
    ),
    "an orphan Job is removed": (look(view(0), view(1), strays=((make_attempt(7), None),)), ["remove 7.1"]),
    "an orphan is not judged while MLflow is down": (
        look(view(0), view(1), strays=((make_attempt(7), None),), health=DOWN),
        [],
    ),
    "a committed trial's running Job goes at once": (
        look(view(1), view(2), strays=((make_attempt(0), ended(0, outcome=Outcome.STOPPED)),)),
        ["remove 0.1"],
    ),
    "a succeeded Job is kept for its time": (look(view(1), view(2), strays=((make_attempt(0, S), ended(0, 1.0)),)), []),
    "a succeeded Job goes after its time": (
        look(view(1), view(2), strays=((make_attempt(0, S, ended=NOW - 601), ended(0, 1.0)),)),
        ["remove 0.1"],
    ),
    "a failed Job is kept for longer": (
        look(view(1), view(2), strays=((make_attempt(0, F, ended=NOW - 601), ended(0, outcome=Outcome.FAILED)),)),
        [],
    ),
    "nothing is planned for an exhausted space": (look(view(0), exhausted=True), []),
    "what has an action under way is left alone": (
        look(view(0, None), view(1, None), busy={0: Launch(index=0, attempt=1), 1: Launch(index=1, attempt=1)}),
        [],
    ),
    "a commit under way frees its slot": (
        look(view(0, S, measured=1.0), view(1), busy={0: Commit(index=0, result=None)}),
        ["plan 2"],
    ),  # type: ignore[arg-type]
    "a plan under way takes its slot": (look(view(0), busy={1: Plan(index=1)}), []),
    "before the ledger is read nothing is decided": (look(loaded=False, strays=((make_attempt(0), None),)), []),
    "before the ledger is read a suspension is still obeyed": (
        look(loaded=False, strays=((make_attempt(0), None),), spec=make_spec(suspend=True)),
        ["remove 0.1"],
    ),
    "after its end a sweep only cleans up": (
        look(
            loaded=False,
            ended=Ending(reason="MaxTrialsReached", message="", complete=True),
            strays=((make_attempt(0, S, ended=NOW - 601), None),),
        ),
        ["remove 0.1"],
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_actions(name: str) -> None:
    """Each row's situation is answered with exactly its actions."""
    snapshot, expected = ROWS[name]
    assert brief(decide(snapshot, NOW).actions) == expected


def test_a_sweep_with_open_trials_is_not_finished() -> None:
    """The end is decided first, and reached once every trial is committed."""
    snapshot, _ = ROWS["a target stops what runs"]
    decision = decide(snapshot, NOW)
    assert decision.ending is not None
    assert not decision.finished


def test_looks_again_when_something_falls_due() -> None:
    """The next look is at the earliest deadline, here the retry of a crash."""
    decision = decide(look(view(0, F, reason=Reason.CRASHED, ended=NOW - 4), view(1)), NOW)
    assert decision.look_again == pytest.approx(6.0)


def test_looks_again_when_a_resource_will_be_spent() -> None:
    """Two cores, and half an hour of one core is left."""
    history = (ended(0, 0.1, spent={"a": {"cpu": 1.495}}),)
    decision = decide(look(view(1, usage=(GOES_ON,)), view(2), history=history, spec=two_hours()), NOW)
    assert decision.look_again == pytest.approx(0.005 * 3600 / 2)


def test_what_a_trial_used_is_part_of_its_end_and_of_its_next_attempt() -> None:
    """The account of earlier attempts and the pods of this one, up to now."""
    spent = {"gone": {"cpu": 1.0}, "on": {"cpu": 0.5}}
    usage = {"usage": (GONE, GOES_ON)}
    [commit] = decide(look(view(3, S, measured=0.5, **usage), spec=make_spec(trials={"max": 1})), NOW).actions
    assert isinstance(commit, Commit)
    assert commit.result.spent == spent
    [retry] = decide(look(view(3, F, reason=Reason.CRASHED, **usage), spec=make_spec(trials={"max": 1})), NOW).actions
    assert isinstance(retry, Retry)
    assert retry.spent == spent
    [remove] = decide(look(view(3, **usage), spec=make_spec(suspend=True)), NOW).actions
    assert isinstance(remove, Remove)
    assert remove.spent == spent


def test_says_what_attempts_wait_for() -> None:
    """Grouped by reason, with one message."""
    waiting = view(0, P, reason=Reason.UNSCHEDULABLE, message="0/3 nodes: no GPU")
    decision = decide(look(waiting, replace(waiting, trial=view(1).trial)), NOW)
    assert decision.waiting == {"Unschedulable": (2, "0/3 nodes: no GPU")}
