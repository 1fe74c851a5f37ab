"""The world of a cluster on a real API server, Job controller and scheduler, with simulated nodes: Jobs come and go."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from hypersweep.cluster.cache import JobCache
from hypersweep.cluster.client import connect
from hypersweep.cluster.world import ClusterWorld
from hypersweep.core.errors import LaunchConflict, LaunchDelayed, LaunchError, LaunchRefused
from hypersweep.core.trial import Phase
from tests.api.worlds import Stage, becomes, hold_to, launched, pod_template, staged
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kwok import scenario
from tests.cluster_unit.waiting import until
from tests.core.builders import make_trial

pytestmark = pytest.mark.api


@pytest.fixture
async def stage(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Stage]:
    async with staged(control_plane, namespace) as it:
        yield it


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
