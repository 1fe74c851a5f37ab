"""The world of a cluster on a real API server, Job controller and scheduler, with simulated nodes."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient

from hypersweep.cluster import waits
from hypersweep.cluster.cache import JobCache
from hypersweep.cluster.client import ApiError, connect
from hypersweep.cluster.world import ClusterWorld
from hypersweep.core.errors import LaunchConflict, LaunchDelayed, LaunchError, LaunchRefused
from hypersweep.core.events import Event
from hypersweep.core.manifest import parse
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Attempt, Phase, Trial
from tests.cluster.clients import Kubectl, ToolError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kwok import scenario
from tests.cluster.waiting import eventually
from tests.cluster_unit.waiting import until
from tests.core.builders import make_spec, make_trial

pytestmark = pytest.mark.api

CRDS = Path(__file__).parents[2] / "crds"
GPU = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}


@dataclass(frozen=True)
class Target:
    uri: str = "http://mlflow:5000"
    experiment: str = "1"


@dataclass(frozen=True)
class Identity:
    search: str = "ab12"


class Host:
    """A sweep that keeps its newest copy, as the operator's host does."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body

    @property
    def spec(self) -> SweepSpec:
        return parse(self.body)[1]

    def identity(self, spec: SweepSpec) -> Identity:
        return Identity()

    def see(self, body: Mapping[str, Any]) -> bool:
        old, self.body = self.body, body
        return bool(old["metadata"]["generation"] != body["metadata"]["generation"])


def pod_template(*, annotations: dict[str, str] | None = None, **container: Any) -> dict[str, Any]:
    """A `job` of a sweep whose pods go through this scenario."""
    containers = [{"name": "train", "image": "none", "command": ["train"], **container}]
    pod = {"metadata": {"annotations": annotations or {}}, "spec": {"containers": containers}}
    return {"template": {"spec": {"template": pod}}}


class Stage:
    """A namespace with a sweep, its world, a cache that runs, and what was asked of the API server."""

    def __init__(self, api: ApiClient, kubectl: Kubectl, asked: Counter[str]) -> None:
        self.api, self.kubectl, self.asked = api, kubectl, asked
        self.woken: Counter[str] = Counter()
        assert kubectl.namespace is not None
        self.namespace = kubectl.namespace
        self.cache = JobCache(api, namespaces=[self.namespace], wake=lambda uid: self.woken.update([uid]))

    def sweep(self, name: str = "digits", **spec: Any) -> tuple[Host, ClusterWorld]:
        """A sweep as the API server has it, and its world."""
        document = make_spec(**spec).model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        kind = {"apiVersion": "hypersweep.dev/v1alpha1", "kind": "HyperparameterSweep", "metadata": {"name": name}}
        self.kubectl.apply({**kind, "spec": document})
        host = Host(self.kubectl.json("get", "hps", name))
        return host, self.world(host)

    def world(self, host: Host) -> ClusterWorld:
        return ClusterWorld(self.api, cache=self.cache, host=host, trainer_image="trainer:1")

    def jobs(self) -> list[dict[str, Any]]:
        return self.kubectl.json("get", "jobs")["items"]

    def events(self) -> list[dict[str, Any]]:
        return self.kubectl.json("get", "events.events.k8s.io", "--field-selector=reportingController!=x")["items"]


@pytest.fixture
async def stage(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Stage]:
    control_plane.kubectl("apply", "--server-side", "-f", str(CRDS))
    control_plane.kubectl("wait", "--for=condition=Established", "crd/hyperparametersweeps.hypersweep.dev")
    asked: Counter[str] = Counter()
    api = await connect(
        str(control_plane.kubeconfig), observe=lambda verb, what, _, code: asked.update([f"{verb} {what} {code}"])
    )
    it = Stage(api, control_plane.kubectl.within(namespace), asked)
    running = asyncio.create_task(it.cache.run())
    try:
        async with asyncio.timeout(20):
            await it.cache.synced()
        yield it
        assert not running.done(), "the cache ended by itself"
    finally:
        running.cancel()
        await asyncio.wait([running])
        await api.close()
        await all_closed()


async def all_closed() -> None:
    """Wait until the connections of closed clients are closed too: TLS takes another round trip for that."""
    known = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]
    await until(lambda: not [t for t in known.values() if t._sock is not None], what="the connections to close")


async def becomes(world: ClusterWorld, phase: Phase, reason: str = "", *, seconds: float = 30.0) -> Attempt:
    """The world's only attempt, once it stands there."""

    def there() -> bool:
        return [(attempt.phase, attempt.reason) for attempt in world.attempts()] == [(phase, reason)]

    try:
        await until(there, what=f"{phase} {reason}", seconds=seconds)
    except TimeoutError as error:
        raise TimeoutError(f"{error}; attempts: {world.attempts()}") from None
    return world.attempts()[0]


async def launched(world: ClusterWorld, trial: Trial | None = None) -> None:
    await world.launch(trial or make_trial(0), tracking=Target())


def hold_to(stage: Stage, **hard: str) -> None:
    """Give the namespace a quota, and wait until it holds."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": hard}}
    stage.kubectl.apply(quota)
    in_force = ("get", "quota", "none", "-o", "jsonpath={.status.hard}")
    eventually(lambda: stage.kubectl(*in_force), what="the quota to hold")


# ---- launch ----------------------------------------------------------------------------------------------------------


async def test_a_trial_runs_from_launch_to_its_end(stage: Stage) -> None:
    """A Job is made, its attempt is followed to the end, and the sweep is woken on the way."""
    host, world = stage.sweep(job=pod_template(annotations=scenario(duration="500ms")))
    await launched(world, make_trial(3, attempt=2))
    ended = await becomes(world, Phase.SUCCEEDED)
    assert (ended.trial, ended.number, ended.run, ended.exit_code) == (3, 2, "run-3", 0)
    assert ended.created <= (ended.started or 0) <= (ended.ended or 0)
    assert stage.woken[host.body["metadata"]["uid"]] >= 3


async def test_a_crash_arrives_with_its_last_words(stage: Stage) -> None:
    """Exit code and termination message, with no right to read logs."""
    how = scenario("fail", exit_code="3", message="ValueError: lr", duration="100ms")
    _, world = stage.sweep(job=pod_template(annotations=how))
    await launched(world)
    ended = await becomes(world, Phase.FAILED, "Crashed")
    assert (ended.exit_code, ended.message) == (3, "ValueError: lr")
    assert ended.where.startswith(stage.jobs()[0]["metadata"]["name"])


async def test_a_launch_is_known_at_once_and_done_once(stage: Stage) -> None:
    """Launched again (the answer was lost, or the view was stale), the Job that is there is the one."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world)
    assert len(world.attempts()) == 1, "without waiting for the watch"
    await launched(world)
    assert len(stage.jobs()) == len(world.attempts()) == 1
    assert stage.asked["create jobs 201"] == stage.asked["create jobs 409"] == 1


async def test_a_new_process_finds_what_the_old_one_launched(stage: Stage) -> None:
    """Nothing but the API server's objects is needed to go on."""
    host, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world)
    await becomes(world, Phase.RUNNING)
    cache = JobCache(stage.api, namespaces=[stage.namespace], wake=lambda _: None)
    running = asyncio.create_task(cache.run())
    try:
        await cache.synced()
        again = ClusterWorld(stage.api, cache=cache, host=host, trainer_image="")
        assert again.attempts() == world.attempts()
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_someone_elses_job_of_our_name_is_a_conflict(stage: Stage) -> None:
    """It is neither taken for ours nor touched; the message says whose it is."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world)
    name = stage.jobs()[0]["metadata"]["name"]
    _, other = stage.sweep(name="other", job=pod_template())
    other._name = "digits"  # as a sweep of the same name and search that was deleted and made again
    with pytest.raises(LaunchConflict, match=f"Job {name} exists already, and belongs to HyperparameterSweep digits"):
        await launched(other)
    assert other.attempts() == []
    assert len(stage.jobs()) == 1


async def test_a_job_of_another_run_is_a_conflict_while_it_runs_and_goes_once_it_has_ended(stage: Stage) -> None:
    """The trial's run was lost and planned anew: a result in the old run counts no more."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world)
    running = await becomes(world, Phase.RUNNING)
    anew = replace(make_trial(0), run="another")
    with pytest.raises(LaunchConflict, match="logs to run run-0, not another"):
        await launched(world, anew)
    stage.kubectl("annotate", "pod", running.where, "--overwrite", "test.hypersweep.dev/outcome=succeed")
    await becomes(world, Phase.SUCCEEDED)
    with pytest.raises(LaunchDelayed, match="is being deleted"):
        await launched(world, anew)
    await until(lambda: not stage.jobs(), what="the old Job to go")
    await launched(world, anew)
    assert [attempt.run for attempt in world.attempts()] == ["another"]


async def test_a_job_that_is_being_deleted_delays_the_next_of_its_name(stage: Stage) -> None:
    """A finalizer (a queue's, say) holds it; its name is not free yet."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world)
    name = stage.jobs()[0]["metadata"]["name"]
    stage.kubectl("patch", "job", name, "--type=merge", '-p={"metadata":{"finalizers":["example.com/held"]}}')
    await world.remove(world.attempts()[0])
    assert len(world.attempts()) == 1, "it exists, and so is shown"
    with pytest.raises(LaunchDelayed, match="is being deleted"):
        await launched(world)
    stage.kubectl("patch", "job", name, "--type=merge", '-p={"metadata":{"finalizers":null}}')
    await until(lambda: not world.attempts(), what="the attempt to be gone")
    await launched(world)


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"ports": [{"containerPort": 0}]}, r"containers\[0\]\.ports\[0\]\.containerPort: Required value"),
        ({"resources": {"limits": {"memory": "lots"}}}, "quantities must match"),
        ({"env": [{"name": "MLFLOW_RUN_ID", "value": "x"}]}, r"containers\[0\]\.env\[0\]\.name: found MLFLOW_RUN_ID"),
    ],
)
async def test_a_job_that_can_never_be_made_is_refused(stage: Stage, container: dict[str, Any], message: str) -> None:
    """At the check and at the launch, in the API server's words or ours."""
    _, world = stage.sweep(job=pod_template(**container))
    with pytest.raises(LaunchRefused, match=message):
        await world.check()
    with pytest.raises(LaunchRefused, match=message):
        await launched(world)


async def test_a_quota_on_jobs_is_a_delay(stage: Stage) -> None:
    """The same launch may succeed later."""
    _, world = stage.sweep(job=pod_template())
    hold_to(stage, **{"count/jobs.batch": "0"})
    await world.check()  # which is about what the Job is, not about how many there are
    with pytest.raises(LaunchDelayed, match="exceeded quota"):
        await launched(world)


# ---- the dry run -----------------------------------------------------------------------------------------------------


async def test_a_check_makes_nothing(stage: Stage) -> None:
    """And passes again while Jobs of the sweep exist."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await world.check()
    assert stage.jobs() == []
    await launched(world)
    await world.check()
    assert len(stage.jobs()) == 1


async def test_a_misspelled_field_is_refused_by_name(stage: Stage) -> None:
    """A plain create would drop it in silence: the check is strict."""
    _, world = stage.sweep(job=pod_template(resorces={"limits": {}}))
    with pytest.raises(LaunchRefused, match=r'unknown field "spec\.template\.spec\.containers\[0\]\.resorces"'):
        await world.check()


async def test_a_check_has_values_for_any_space(stage: Stage) -> None:
    """Of every type, conditional ones left out, and as arguments."""
    space = [
        {"name": "lr", "type": "Float", "min": 0.1, "max": 1},
        {"name": "layers", "type": "Integer", "min": 1, "max": 3},
        {"name": "batch", "type": "Discrete", "numbers": [16, 32]},
        {"name": "opt", "type": "Categorical", "values": ["sgd", "adam"]},
        {"name": "nesterov", "type": "Boolean"},
        {"name": "momentum", "type": "Float", "min": 0, "max": 1, "when": [{"parameter": "opt", "values": ["sgd"]}]},
    ]
    _, world = stage.sweep(parameters=space, job={**pod_template(), "arguments": "Flags"})
    await world.check()


# ---- what is filled in, and what keeps a trial waiting ---------------------------------------------------------------


async def test_a_restricted_namespace_takes_a_plain_template(stage: Stage) -> None:
    """`pod-security.kubernetes.io/enforce: restricted`: the pod is made and runs, with no word of it in the template."""
    stage.kubectl("label", "namespace", stage.namespace, "pod-security.kubernetes.io/enforce=restricted")
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world)
    await becomes(world, Phase.RUNNING)


async def test_a_trial_finds_its_logs_by_label(stage: Stage) -> None:
    """As documented: `-l hypersweep.dev/sweep=digits,hypersweep.dev/trial=23`."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world, make_trial(23))
    running = await becomes(world, Phase.RUNNING)
    selector = "-l=hypersweep.dev/sweep=digits,hypersweep.dev/trial=23"
    assert stage.kubectl("get", "pods", selector, "-o", "name") == f"pod/{running.where}\n"


async def test_an_unschedulable_trial_says_what_is_missing(stage: Stage) -> None:
    """The scheduler's own words."""
    _, world = stage.sweep(job=pod_template(**GPU))
    await launched(world)
    waiting = await becomes(world, Phase.PENDING, "Unschedulable")
    assert "Insufficient nvidia.com/gpu" in waiting.message
    assert waiting.waiting_since is not None


async def test_an_image_that_cannot_be_pulled_is_told(stage: Stage) -> None:
    """The kubelet's own words."""
    how = scenario("wait", reason="ImagePullBackOff", message='Back-off pulling image "none"')
    _, world = stage.sweep(job=pod_template(annotations=how))
    await launched(world)
    assert (await becomes(world, Phase.PENDING, "ImageNotPulled")).message == 'Back-off pulling image "none"'


async def test_a_queue_holds_a_trial_and_lets_it_go(stage: Stage) -> None:
    """As Kueue does it: suspended Jobs are queued, not failed, and run later."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world)
    await becomes(world, Phase.RUNNING)
    name = stage.jobs()[0]["metadata"]["name"]
    stage.kubectl("patch", "job", name, "--type=merge", '-p={"spec":{"suspend":true}}')
    await becomes(world, Phase.QUEUED, "Queued")
    stage.kubectl("patch", "job", name, "--type=merge", '-p={"spec":{"suspend":false}}')
    await becomes(world, Phase.RUNNING)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are asked for at once and often."""
    monkeypatch.setattr(waits, "PATIENCE", 0.0)
    monkeypatch.setattr(waits, "EVERY", 0.2)


@pytest.mark.usefixtures("impatient")
async def test_a_quota_that_holds_a_pod_back_is_told(stage: Stage) -> None:
    """Neither the Job nor any pod says so: only an Event of the Job does."""
    hold_to(stage, pods="0")
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world)
    waiting = await becomes(world, Phase.PENDING, "QuotaExceeded")
    assert "exceeded quota: none" in waiting.message


@pytest.mark.usefixtures("impatient")
async def test_a_pod_that_may_not_exist_is_told(stage: Stage) -> None:
    """A service account that is not there: nothing will start, and the message names it."""
    template = pod_template()
    template["template"]["spec"]["template"]["spec"]["serviceAccountName"] = "absent"
    _, world = stage.sweep(job=template)
    await launched(world)
    waiting = await becomes(world, Phase.PENDING, "ContainerNotCreated")
    assert 'serviceaccount "absent" not found' in waiting.message


@pytest.mark.usefixtures("impatient")
async def test_a_volume_that_is_missing_is_told(stage: Stage) -> None:
    """The kubelet says so in an Event of the pod, here posted for it."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("wait", reason="ContainerCreating")))
    await launched(world)
    waiting = await becomes(world, Phase.PENDING, "Starting")
    await until(lambda: world.attempts()[0].where != stage.jobs()[0]["metadata"]["name"], what="the pod")
    pod = stage.kubectl.json("get", "pod", world.attempts()[0].where)["metadata"]
    message = 'MountVolume.SetUp failed for volume "s" : secret "absent" not found'
    stage.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "a.1", "namespace": stage.namespace},
            "involvedObject": {"kind": "Pod", "name": pod["name"], "namespace": stage.namespace, "uid": pod["uid"]},
            "reason": "FailedMount",
            "message": message,
            "type": "Warning",
        }
    )
    waiting = await becomes(world, Phase.PENDING, "ContainerNotCreated")
    assert waiting.message == message


# ---- remove ----------------------------------------------------------------------------------------------------------


async def test_removing_a_running_trial_ends_its_pod_and_then_the_attempt(stage: Stage) -> None:
    """The attempt lasts while the pod shuts down, so that no other of its trial starts beside it."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold", terminating_for="2s")))
    await launched(world)
    running = await becomes(world, Phase.RUNNING)
    await world.remove(running)
    assert stage.jobs() == []
    assert [attempt.phase for attempt in world.attempts()] == [Phase.RUNNING], "its pod is shutting down"
    await world.remove(world.attempts()[0])
    await until(lambda: not world.attempts(), what="the attempt to be gone")
    assert stage.kubectl.json("get", "pods")["items"] == []
    assert stage.asked["delete jobs 200"] == 1


async def test_removing_what_is_gone_already_is_success(stage: Stage) -> None:
    """Someone else deleted the Job, and the watch has not told yet: the answer is taken for it."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world)
    attempt = world.attempts()[0]
    stage.kubectl("delete", "job", "--all", "--cascade=foreground")
    await world.remove(attempt)
    await world.remove(attempt)
    await until(lambda: not world.attempts(), what="the attempt to be gone")


async def test_deleting_the_sweep_takes_its_jobs_along(stage: Stage) -> None:
    """By owner reference, whether or not anyone of ours is looking."""
    _, world = stage.sweep(job=pod_template(annotations=scenario("hold")))
    await launched(world)
    await becomes(world, Phase.RUNNING)
    stage.kubectl("delete", "hps", "digits", "--wait=true")
    # The garbage collector learns of a new kind within half a minute.
    await until(lambda: not world.attempts(), what="the garbage collector", seconds=90)
    assert stage.jobs() == []


# ---- report ----------------------------------------------------------------------------------------------------------


def status(**fields: Any) -> dict[str, Any]:
    return {"observedGeneration": 1, "phase": "Running", "progress": "0/4", "summary": "s", **fields}


def seen(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.kubectl.json("get", "hps", "digits")
    return found


async def test_a_status_is_written_once_and_fields_no_longer_said_go(stage: Stage) -> None:
    """Nothing is written that is there already; server-side apply removes what is left out."""
    _, world = stage.sweep(job=pod_template())
    await world.report(status(eta="2026-11-23T01:00:00Z"), [])
    await world.report(status(eta="2026-11-23T01:00:00Z"), [])
    assert seen(stage)["status"]["eta"] == "2026-11-23T01:00:00Z"
    await world.report(status(), [])
    assert "eta" not in seen(stage)["status"]
    writes = sum(count for what, count in stage.asked.items() if what.startswith("patch hyperparametersweeps"))
    assert writes == 2


async def test_a_status_from_before_is_not_written_again(stage: Stage) -> None:
    """A new process compares with what the object says."""
    host, world = stage.sweep(job=pod_template())
    await world.report(status(), [])
    again = stage.world(Host(seen(stage)))
    await again.report(dict(host.body["status"]), [])
    assert stage.asked["patch hyperparametersweeps/status 200"] == 1


async def test_an_edit_between_two_reports_is_noticed_and_kept(stage: Stage) -> None:
    """The write on a stale version conflicts, the newest copy is read, the sweep is woken, and the status written."""
    host, world = stage.sweep(job=pod_template())
    stage.kubectl("patch", "hps", "digits", "--type=merge", '-p={"spec":{"trials":{"max":9}}}')
    await world.report(status(), [])
    assert (seen(stage)["spec"]["trials"]["max"], seen(stage)["status"]["phase"]) == (9, "Running")
    assert host.spec.trials.max == 9
    assert stage.woken[host.body["metadata"]["uid"]] == 1


async def test_a_namesakes_status_is_left_alone(stage: Stage) -> None:
    """Deleted and made again: the object of that name is not the one that the status tells of."""
    _, world = stage.sweep(job=pod_template())
    stage.kubectl("delete", "hps", "digits")
    stage.sweep(job=pod_template())
    with pytest.raises(ApiError) as caught:
        await world.report(status(), [Event(reason="Started", message="m")])
    assert caught.value.not_found
    assert seen(stage)["status"] == {"observedGeneration": -1}
    assert "Started" not in [event["reason"] for event in stage.events()]


async def test_events_are_what_describe_shows(stage: Stage) -> None:
    """At 3 in the morning: the reason and the message, under the sweep."""
    _, world = stage.sweep(job=pod_template())
    message = "trial 3: Crashed: ModuleNotFoundError: No module named 'x'"
    await world.report(status(), [Event(reason="TrialFailed", message=message, type="Warning")])
    told = stage.kubectl("describe", "hps", "digits").split("Events:")[1]
    assert "Warning" in told
    assert "TrialFailed" in told
    assert message in told
    assert "hypersweep.dev/operator" in told


async def test_the_same_event_is_counted_not_repeated(stage: Stage) -> None:
    """Also by a process that has just started and does not know that it was told."""
    host, world = stage.sweep(job=pod_template())
    event = Event(reason="TrackingUnavailable", message="down", type="Warning")
    await world.report(status(), [event, event])
    await stage.world(host).report(status(), [event])
    await world.report(status(), [replace(event, message="m" * 5000)])
    told = [e for e in stage.events() if e["reason"] == "TrackingUnavailable"]
    assert sorted(e.get("series", {}).get("count", 1) for e in told) == [1, 2]


async def test_too_many_events_are_dropped_not_queued(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A sweep gone mad floods nobody."""
    _, world = stage.sweep(job=pod_template())
    await world.report(status(), [Event(reason="Again", message=str(number)) for number in range(40)])
    assert 30 <= len([e for e in stage.events() if e["reason"] == "Again"]) <= 32
    assert "an Event too many" in caplog.text


async def test_events_that_cannot_be_told_do_not_stop_a_sweep(
    stage: Stage, control_plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    """The status says the same; here the operator lacks the right to post Events, and to make Jobs."""
    host, _ = stage.sweep(job=pod_template())
    stage.kubectl("create", "serviceaccount", "weak")
    rules = [{"apiGroups": ["hypersweep.dev"], "resources": ["hyperparametersweeps/status"], "verbs": ["patch"]}]
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "weak"}}
    subjects = [{"kind": "ServiceAccount", "name": "weak", "namespace": stage.namespace}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "weak"}
    stage.kubectl.apply({**rbac, "kind": "Role", "rules": rules})
    stage.kubectl.apply({**rbac, "kind": "RoleBinding", "subjects": subjects, "roleRef": reference})
    token = stage.kubectl("create", "token", "weak").strip()
    path = control_plane.state / f"{stage.namespace}.weak.kubeconfig"
    api = await connect(str(control_plane.write_kubeconfig(path, {"token": token}, namespace=stage.namespace)))
    try:
        weak = ClusterWorld(api, cache=stage.cache, host=host, trainer_image="")
        await weak.report(status(), [Event(reason="Started", message="m")])
        assert "an Event could not be told" in caplog.text
        with pytest.raises(LaunchDelayed, match='cannot create resource "jobs"'):
            await launched(weak)
    finally:
        await api.close()
    assert seen(stage)["status"]["phase"] == "Running"


async def test_a_server_that_is_away_delays(stage: Stage) -> None:
    """No answer is no refusal."""
    host, _ = stage.sweep(job=pod_template())
    broken = stage.kubectl.kubeconfig.parent / f"{stage.namespace}.broken.kubeconfig"
    config = json.loads(stage.kubectl("config", "view", "--raw", "-o", "json"))
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    broken.write_text(json.dumps(config))
    api = await connect(str(broken))
    try:
        away = ClusterWorld(api, cache=stage.cache, host=host, trainer_image="")
        for ask in (away.check(), launched(away)):
            with pytest.raises(LaunchError) as caught:
                await ask
            assert isinstance(caught.value, LaunchDelayed)
    finally:
        await api.close()


def test_the_schema_knows_the_status_that_these_tests_write(kubectl: Kubectl) -> None:
    """Guards the tests above: an unknown field would be pruned, and they would prove nothing."""
    try:
        kubectl("explain", "hps.status.eta")
        kubectl("explain", "hps.status.progress")
    except ToolError as error:
        pytest.fail(str(error))
