"""Jobs joined with their pods, by sweep: news in any order, and what is remembered of what is gone."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hypersweep.cluster import index as index_module
from hypersweep.cluster.index import Explanation, JobIndex
from hypersweep.cluster.records import Condition, JobRecord, PodRecord, job_record, pod_record
from hypersweep.core.trial import Attempt, Phase, Reason

RECORDED = Path(__file__).parent / "recorded"
SWEEP = ("recording", "00000000-0000-4000-8000-000000000001")
CREATED = 1795395554.0  # of the recorded Job that runs


class Known(JobIndex):
    """An index with a clock that stands still, and the sweeps that it woke."""

    def __init__(self) -> None:
        self.woken: list[str] = []
        self.now = CREATED
        super().__init__(wake=self.woken.append, clock=lambda: self.now)

    def tell(self, old: JobRecord | PodRecord | None, new: JobRecord | PodRecord | None) -> None:
        """What an informer says."""
        change = self.job_changed if isinstance(old or new, JobRecord) else self.pod_changed
        record = old or new
        assert record is not None
        change((record.namespace, record.name), old, new)  # type: ignore[arg-type]

    @property
    def only(self) -> Attempt:
        (found,) = self.attempts(SWEEP)
        return found


def document(scene: str, kind: str = "job") -> dict[str, Any]:
    found = json.loads((RECORDED / f"{scene}.json").read_text())
    return found["job"] if kind == "job" else found["pods"][0]


def job(scene: str = "running") -> JobRecord:
    found = job_record(document(scene))
    assert found is not None
    return found


def pod(scene: str = "running", **changes: Any) -> PodRecord:
    found = pod_record(document(scene, "pod"))
    assert found is not None
    return replace(found, **changes)


@pytest.fixture
def known() -> Known:
    return Known()


def test_a_job_and_its_pod_are_one_attempt_whichever_is_seen_first(known):
    """Two informers give no order between them."""
    known.tell(None, pod())
    known.tell(None, job())
    assert (known.only.phase, known.only.where) == (Phase.RUNNING, pod().name)
    other = Known()
    other.tell(None, job())
    assert other.only.phase is Phase.PENDING
    other.tell(None, pod())
    assert other.only == known.only


def test_every_change_wakes_the_sweep_that_it_concerns(known):
    """And no other."""
    known.tell(None, job())
    known.tell(None, pod())
    known.tell(pod(), pod("crashed", job=pod().job, uid=pod().uid))
    known.tell(job(), None)
    assert known.woken == [SWEEP[1]] * 4


def test_sweeps_see_their_own_attempts_only(known):
    """By owner, and within their namespace: a UID that a label claims elsewhere is nobody's."""
    known.tell(None, job())
    assert known.attempts(("recording", "other")) == []
    assert known.attempts(("elsewhere", SWEEP[1])) == []
    known.tell(None, pod(sweep="other"))
    assert known.attempts(("recording", "other")) == []
    assert len(known.attempts(SWEEP)) == 1


def test_a_pod_that_is_gone_is_remembered_as_last_seen(known):
    """The Job says only that it failed; its pod had said why, and was then deleted."""
    known.tell(None, job())
    known.tell(None, pod())
    ended = pod("crashed", job=pod().job, uid=pod().uid, name=pod().name)
    known.tell(pod(), ended)
    known.tell(ended, None)
    known.tell(job(), replace(job(), failed=job("crashed").failed))
    assert (known.only.reason, known.only.exit_code) == ("Crashed", 1)


def test_pods_that_others_replaced_are_counted_for_the_time_in_which_they_held_a_node(known):
    """Three pods of one Job: one vanished long ago, one just now, one at work."""
    known.tell(None, job())
    for i in range(3):
        since = Condition(reason="", message="", since=CREATED + 100 * i)
        named = {"uid": f"{i}-of-three", "name": f"pod-{i}", "created": CREATED + 100 * i, "requests": (("cpu", 4.0),)}
        found = pod(scheduled=since, **named)
        known.tell(None, found)
        known.now = CREATED + 100 * i + 60
        if i < 2:
            known.tell(found, None)
    assert [(u.id, u.amounts, u.since - CREATED, u.until and u.until - CREATED) for u in known.only.usage] == [
        ("0", (("cpu", 4.0),), 0, 60),
        ("1", (("cpu", 4.0),), 100, 160),
        ("2", (("cpu", 4.0),), 200, None),
    ]


def test_a_pod_counts_until_its_last_container_ended_and_not_before_it_has_a_node(known):
    """Whatever the Job says later; a pod that waits for a node holds nothing."""
    known.tell(None, job())
    waiting = pod("unschedulable", job=pod().job, uid="w", requests=(("cpu", 1.0),))
    known.tell(None, waiting)
    assert known.only.usage == ()
    known.tell(waiting, None)
    ended = pod("crashed", job=pod().job, requests=(("cpu", 1.0),))
    known.tell(None, ended)
    (used,) = known.only.usage
    assert (used.since, used.until) == (ended.scheduled.since, ended.containers[0].ended)


def test_a_deadline_spent_on_waiting_is_told_though_the_pod_is_gone(known):
    """The Job deletes its pod at the deadline: the cache knows what it waited for."""
    known.tell(None, job("unschedulable"))
    known.tell(None, pod("unschedulable"))
    known.tell(pod("unschedulable"), None)
    known.tell(job("unschedulable"), replace(job("unschedulable"), failed=job("deadline").failed))
    assert "never ran: Unschedulable" in known.only.message


def test_an_attempt_lasts_until_its_pod_has_shut_down(known):
    """Its Job is deleted, but two pods must not share a checkpoint."""
    known.tell(None, job())
    known.tell(None, pod())
    known.tell(job(), None)
    assert known.only.phase is Phase.RUNNING
    known.tell(pod(), None)
    assert known.attempts(SWEEP) == []


def test_nobody_waits_for_a_pod_on_a_lost_node(known):
    """It can't be seen to end; past its grace period and some more it counts as gone."""
    known.tell(None, pod(leaves=CREATED + 30))
    assert known.only.phase is Phase.RUNNING
    known.now = CREATED + 30 + index_module.SHUTDOWN + 1
    assert known.attempts(SWEEP) == []


def test_a_pod_that_has_ended_is_nothing_without_its_job(known):
    """A cleaned-up trial leaves no attempt."""
    known.tell(None, job("crashed"))
    known.tell(None, pod("crashed"))
    known.tell(job("crashed"), None)
    assert known.attempts(SWEEP) == []


def test_a_job_that_was_just_made_is_known_at_once(known):
    """Or the loop would make it twice on a stale view."""
    known.insert(document("running"))
    assert known.only.number == 1
    known.tell(None, job())
    assert len(known.attempts(SWEEP)) == 1


def test_a_late_answer_does_not_bring_back_a_job_that_is_gone(known):
    """The watch was faster than the answer to the create: made, seen, and deleted meanwhile."""
    known.tell(None, job())
    known.tell(job(), None)
    known.insert(document("running"))
    assert known.attempts(SWEEP) == []


def test_late_news_does_not_bring_back_a_job_that_was_deleted(known):
    """The API server's answer to the delete counts; changes from before it may still arrive."""
    known.tell(None, job())
    known.forget(job().uid)
    known.tell(job(), replace(job(), started=1.0))
    assert known.attempts(SWEEP) == []


def test_a_new_job_of_the_same_name_is_another(known):
    """Deleted and made again between two looks of the informer: the UID tells."""
    again = replace(job(), uid="another")
    known.tell(None, job())
    known.tell(None, pod("crashed", job=job().uid))
    known.tell(job(), again)
    assert (known.only.phase, known.only.where) == (Phase.PENDING, again.name)


def test_a_job_that_is_never_seen_does_not_stay_for_ever(known, caplog):
    """Deleted by someone while the watch was cut: no event will ever tell."""
    known.insert(document("running"))
    known.now += index_module.CONFIRMED_WITHIN - 1
    assert len(known.attempts(SWEEP)) == 1
    known.now += 2
    assert known.attempts(SWEEP) == []
    assert "has not been seen since" in caplog.text


def test_a_job_that_was_seen_stays(known):
    """Confirmation ends the doubt."""
    known.insert(document("running"))
    known.tell(None, job())
    known.now += 10 * index_module.CONFIRMED_WITHIN
    assert len(known.attempts(SWEEP)) == 1


def test_an_explanation_is_told_until_the_attempt_moves_on(known):
    """What Events say of a Job without a pod is forgotten when the pod comes."""
    known.tell(None, job())
    ((record, found_pod, since),) = known.starting()
    assert (record, found_pod, since) == (job(), None, job().started)
    known.explain(job().uid, Explanation(Reason.QUOTA_EXCEEDED, "exceeded quota: two pods"))
    assert (known.only.reason, known.only.message) == ("QuotaExceeded", "exceeded quota: two pods")
    assert known.woken == [SWEEP[1]] * 2
    known.explain(job().uid, Explanation(Reason.QUOTA_EXCEEDED, "exceeded quota: two pods"))
    assert known.woken == [SWEEP[1]] * 2, "the same again is no news"
    known.tell(None, pod("volume-absent", job=job().uid))
    assert known.only.reason == "Starting"


def test_nothing_is_kept_of_sweeps_that_are_gone(known):
    """An operator runs for months."""
    for number in range(50):
        one = replace(job(), uid=f"job-{number}", sweep=f"sweep-{number}")
        his = pod(uid=f"pod-{number}", job=one.uid, sweep=one.sweep)
        known.tell(None, one)
        known.tell(None, his)
        known.attempts((one.namespace, one.sweep))
        known.tell(one, None)
        known.tell(his, None)
    kept = copy.copy(vars(known))
    assert not any(kept[name] for name in ("_jobs", "_pods", "_members", "_answers", "_explained", "_unconfirmed"))
