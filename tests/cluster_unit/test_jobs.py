"""The Job made of a template: what is the user's stays, what is the operator's is set, nothing is changed in place."""

import contextlib
import copy
from dataclasses import dataclass

import pytest

from hypersweep.cluster.jobs import Owner, manifest
from hypersweep.core.errors import SpecError
from tests.core.builders import make_spec, make_trial

OWNER = Owner(name="digits", namespace="team-a", uid="u-1", identity="ab12")
IGNORE_DISRUPTION = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


@dataclass(frozen=True)
class Here:
    uri: str = "http://mlflow:5000"
    experiment: str = "4"


def template(*, pod=None, job=None, metadata=None, pod_metadata=None, **container):
    """A Job template with one container named `train`, and these fields of it."""
    containers = [{"name": "train", "image": "mine:1", "command": ["python", "train.py"], **container}]
    pod_template = {
        "spec": {"containers": containers, **(pod or {})},
        **({"metadata": pod_metadata} if pod_metadata else {}),
    }
    return {"spec": {"template": pod_template, **(job or {})}, **({"metadata": metadata} if metadata else {})}


def made(given=None, *, trial=None, job=None, **changes):
    """The Job of trial 23, attempt 2."""
    spec = make_spec(job={"template": given if given is not None else template(), **(job or {})}, **changes)
    before = copy.deepcopy(spec)
    found = manifest(
        owner=OWNER, spec=spec, trial=trial or make_trial(23, attempt=2), tracking=Here(), trainer_image="trainer:1"
    )
    assert spec == before, "the spec was changed in place"
    return found


def pod_of(job):
    return job["spec"]["template"]["spec"]


def train(job):
    return pod_of(job)["containers"][0]


def variables(job):
    return {entry["name"]: entry.get("value") for entry in train(job)["env"]}


# ---- what the Job says of itself -------------------------------------------------------------------------------------


def test_a_job_can_be_found_by_its_labels_and_goes_with_its_sweep():
    """Name, labels, annotations and owner reference: all of them ours, none copied from the sweep."""
    labels = {
        "hypersweep.dev/sweep": "digits",
        "hypersweep.dev/sweep-uid": "u-1",
        "hypersweep.dev/trial": "23",
        "hypersweep.dev/attempt": "2",
    }
    job = made()
    meta = job["metadata"]
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert (meta["name"], meta["namespace"]) == (OWNER.job(23, 2), "team-a")
    assert meta["labels"] == labels
    assert job["spec"]["template"]["metadata"]["labels"] == labels
    assert meta["annotations"].keys() == {"hypersweep.dev/run", "hypersweep.dev/template", "hypersweep.dev/container"}
    assert meta["annotations"]["hypersweep.dev/run"] == "run-23"
    assert meta["ownerReferences"] == [
        {
            "apiVersion": "hypersweep.dev/v1alpha1",
            "kind": "HyperparameterSweep",
            "name": "digits",
            "uid": "u-1",
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


def test_the_templates_own_labels_and_annotations_are_kept():
    """Queues, meshes and cost reports read them."""
    job = made(
        template(
            metadata={
                "labels": {"kueue.x-k8s.io/queue-name": "gpu"},
                "annotations": {"a": "b"},
            },
            pod_metadata={"labels": {"team": "vision"}, "annotations": {"sidecar.istio.io/inject": "false"}},
        )
    )
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu"
    assert job["metadata"]["annotations"]["a"] == "b"
    assert job["spec"]["template"]["metadata"]["labels"]["team"] == "vision"
    assert job["spec"]["template"]["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"


def test_a_job_runs_one_pod_once_and_never_deletes_itself():
    """Retries, clean-up and suspension are not the Job's own business."""
    spec = made()["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (0, 1, 1)
    assert spec["podReplacementPolicy"] == "Failed"
    assert pod_of({"spec": spec})["restartPolicy"] == "Never"
    assert not {"ttlSecondsAfterFinished", "suspend", "selector", "activeDeadlineSeconds"} & spec.keys()


def test_disruptions_are_ignored_before_the_users_rules_are_asked():
    """A preempted pod is replaced within its Job, whatever the template says of exit codes."""
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    assert made()["spec"]["podFailurePolicy"]["rules"] == [IGNORE_DISRUPTION]
    with_rule = made(template(job={"podFailurePolicy": {"rules": [rule]}}))
    assert with_rule["spec"]["podFailurePolicy"]["rules"] == [IGNORE_DISRUPTION, rule]


@pytest.mark.parametrize(
    ("timeout", "own", "expected"),
    [("90s", None, 90), ("1500ms", None, 2), ("2h", 60, 60), ("30s", 60, 30), (None, 60, 60), (None, None, None)],
)
def test_the_shorter_deadline_holds(timeout, own, expected):
    """`trials.timeout` becomes the Job's deadline, in whole seconds; a template's own is not lengthened by it."""
    job = made(template(job={"activeDeadlineSeconds": own} if own else {}), trials={"timeout": timeout})
    assert job["spec"].get("activeDeadlineSeconds") == expected


def test_the_template_hash_tells_jobs_of_different_templates_apart():
    """Lineage: which template a trial ran with."""
    key = "hypersweep.dev/template"
    one, same, other = made(), made(trials={"max": 9}), made(template(image="mine:2"))
    assert (
        one["metadata"]["annotations"][key]
        == same["metadata"]["annotations"][key]
        != other["metadata"]["annotations"][key]
    )


# ---- the container that trains ---------------------------------------------------------------------------------------


def test_the_trial_is_told_what_it_is_before_the_users_own_variables():
    """Theirs can refer to ours (`$(HP_LR)`): Kubernetes expands only what stands earlier."""
    job = made(template(env=[{"name": "NOTE", "value": "lr is $(HP_LR)"}]))
    names = [entry["name"] for entry in train(job)["env"]]
    assert names[-1] == "NOTE"
    assert names.index("HP_LR") < names.index("NOTE")
    assert variables(job)["HP_LR"] == "0.01"
    assert variables(job)["HYPERSWEEP_ATTEMPT"] == "2"
    assert variables(job)["NOTE"] == "lr is $(HP_LR)"


def test_what_may_be_either_ones_is_the_users_where_they_set_it():
    """Another address of MLflow, a directory for checkpoints: once, and as the template says."""
    theirs = [
        {"name": "MLFLOW_TRACKING_URI", "value": "http://proxy"},
        {"name": "HYPERSWEEP_CHECKPOINT_DIR", "value": "/c"},
    ]
    entries = train(made(template(env=theirs)))["env"]
    assert [entry["value"] for entry in entries if entry["name"] == "MLFLOW_TRACKING_URI"] == ["http://proxy"]
    assert [entry["value"] for entry in entries if entry["name"] == "HYPERSWEEP_CHECKPOINT_DIR"] == ["/c"]


def test_no_value_can_refer_to_a_variable():
    """A parameter's value that looks like a reference stays what it is, as a variable and as an argument."""
    space = [{"name": "opt", "type": "Categorical", "values": ["$(SECRET)", "b"]}]
    job = made(parameters=space, job={"arguments": "Flags"}, trial=make_trial(23, parameters={"opt": "$(SECRET)"}))
    assert variables(job)["HP_OPT"] == "$$(SECRET)"
    assert train(job)["args"] == ["--opt=$$(SECRET)"]


def test_arguments_come_after_the_users_own():
    """The template's args are kept, each active parameter is one more."""
    job = made(template(args=["--data=/d"]), job={"arguments": "Flags"})
    assert train(job)["args"] == ["--data=/d", "--lr=0.01"]
    assert "args" not in train(made())


def test_the_named_container_trains_and_the_others_are_left_alone():
    """Sidecars get no variables of ours, and `kubectl logs` picks the one that trains."""
    sidecar = {"name": "cache", "image": "c:1"}
    job = made(template(pod={"containers": [sidecar, {"name": "main", "image": "m:1"}]}), job={"container": "main"})
    first, second = pod_of(job)["containers"]
    assert "env" not in first
    assert {"name": "HP_LR", "value": "0.01"} in second["env"]
    assert job["metadata"]["annotations"]["hypersweep.dev/container"] == "main"
    annotations = job["spec"]["template"]["metadata"]["annotations"]
    assert annotations["kubectl.kubernetes.io/default-container"] == "main"


def test_a_template_that_is_no_trials_makes_no_job():
    """What admission refuses is refused here too: nothing is overridden in silence, and nothing is a traceback."""
    with pytest.raises(SpecError, match=r"containers\[0\]\.env\[0\]\.name: found MLFLOW_RUN_ID"):
        made(template(env=[{"name": "MLFLOW_RUN_ID", "value": "x"}]))
    with pytest.raises(SpecError, match=r"spec\.job\.template\.spec\.backoffLimit: found 3"):
        made(template(job={"backoffLimit": 3}))


@pytest.mark.parametrize("junk", ["x", 5, True, [], [1], ["x"], {}, {"rules": 1}, {"name": 1}])
def test_what_has_not_its_shape_is_left_for_the_api_server_to_refuse(junk):
    """Nothing in a template becomes a traceback: each part, of each wrong shape, ends up in a Job or a SpecError."""
    parts = ["securityContext", "volumeMounts", "env", "args", "name", "image", "terminationMessagePolicy"]
    candidates = [template(**{part: junk}) for part in parts]
    candidates += [
        template(securityContext={"capabilities": junk}),
        template(securityContext={"capabilities": {"add": junk}}),
    ]
    candidates += [
        template(pod={part: junk}) for part in ("securityContext", "volumes", "os", "initContainers", "containers")
    ]
    candidates += [template(job={part: junk}) for part in ("podFailurePolicy", "activeDeadlineSeconds", "template")]
    candidates += [template(metadata={"labels": junk}), template(pod_metadata={"annotations": junk})]
    for candidate in candidates:
        with contextlib.suppress(SpecError):
            assert made(candidate, trials={"timeout": "5s"})["kind"] == "Job"


def test_the_built_in_trainer_needs_no_template():
    """With `trainer` alone the whole Job is made."""
    job = manifest(
        owner=OWNER,
        spec=make_spec(job=None, trainer={"settings": {"epochs": 2}}),
        trial=make_trial(0),
        tracking=Here(),
        trainer_image="trainer:1",
    )
    assert train(job)["image"] == "trainer:1"
    assert train(job)["command"] == ["python", "-m", "hypersweep_trainer"]
    assert variables(job)["HYPERSWEEP_SETTINGS"] == '{"epochs": 2}'


def test_the_built_in_trainer_fills_only_what_the_template_leaves():
    """Resources, another image or another command of the template stand."""
    container = {"name": "train", "image": "mine:1", "resources": {"limits": {"nvidia.com/gpu": 1}}}
    job = made(template(pod={"containers": [container]}), trainer={})
    assert train(job)["image"] == "mine:1"
    assert train(job)["resources"] == {"limits": {"nvidia.com/gpu": 1}}
    assert train(job)["command"] == ["python", "-m", "hypersweep_trainer"]
    assert train(made(trainer={}))["command"] == ["python", "train.py"]


# ---- what is filled in -----------------------------------------------------------------------------------------------


def test_a_pod_is_restricted_where_its_template_leaves_it_open():
    """What the `restricted` Pod Security Standard asks for, no token, a /tmp, and last words."""
    job = made(template(pod={"initContainers": [{"name": "fetch", "image": "f:1"}]}))
    pod = pod_of(job)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert pod["volumes"] == [{"name": "hypersweep-tmp", "emptyDir": {}}]
    for container in (*pod["containers"], *pod["initContainers"]):
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert container["volumeMounts"] == [{"name": "hypersweep-tmp", "mountPath": "/tmp"}]
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_whoever_asks_for_more_gets_it():
    """An explicit choice of the template is never overridden: root, a token, another profile, a policy for messages."""
    job = made(
        template(
            pod={
                "automountServiceAccountToken": True,
                "securityContext": {"runAsNonRoot": False, "seccompProfile": {"type": "Unconfined"}, "fsGroup": 5},
            },
            securityContext={"allowPrivilegeEscalation": True, "capabilities": {"add": ["NET_RAW"], "drop": []}},
            terminationMessagePolicy="File",
        )
    )
    pod = pod_of(job)
    assert pod["automountServiceAccountToken"] is True
    assert pod["securityContext"] == {"runAsNonRoot": False, "seccompProfile": {"type": "Unconfined"}, "fsGroup": 5}
    context = train(job)["securityContext"]
    assert context == {"allowPrivilegeEscalation": True, "capabilities": {"add": ["NET_RAW"], "drop": []}}
    assert train(job)["terminationMessagePolicy"] == "File"


def test_user_0_asked_for_is_user_0_given():
    """`runAsUser: 0` says that the image runs as root: `runAsNonRoot` beside it could never start."""
    assert pod_of(made(template(pod={"securityContext": {"runAsUser": 0}})))["securityContext"]["runAsNonRoot"] is False
    job = made(template(securityContext={"runAsUser": 0}))
    assert pod_of(job)["securityContext"]["runAsNonRoot"] is True
    assert train(job)["securityContext"]["runAsNonRoot"] is False


@pytest.mark.parametrize("context", [{"privileged": True}, {"capabilities": {"add": ["SYS_ADMIN"]}}])
def test_what_the_api_server_would_call_a_contradiction_is_not_filled_in(context):
    """A privileged container can't be told not to escalate."""
    assert "allowPrivilegeEscalation" not in train(made(template(securityContext=context)))["securityContext"]


@pytest.mark.parametrize("path", ["/tmp", "/tmp/"])
def test_a_mount_at_tmp_is_respected(path):
    """Who brings a /tmp of their own gets no other."""
    mounts = [{"name": "mine", "mountPath": path}]
    job = made(template(pod={"volumes": [{"name": "mine", "emptyDir": {}}]}, volumeMounts=mounts))
    assert pod_of(job)["volumes"] == [{"name": "mine", "emptyDir": {}}]
    assert train(job)["volumeMounts"] == mounts


def test_nulls_of_the_template_count_as_left_open():
    """YAML's `securityContext:` with nothing after it is a null, not a choice."""
    job = made(
        template(pod={"securityContext": None, "volumes": None}, securityContext=None, env=None, volumeMounts=None)
    )
    assert pod_of(job)["securityContext"]["runAsNonRoot"] is True
    assert train(job)["securityContext"]["allowPrivilegeEscalation"] is False


def test_a_windows_pod_is_not_given_what_windows_lacks():
    """The API server refuses seccomp and capabilities there."""
    job = made(template(pod={"os": {"name": "windows"}}))
    assert "securityContext" not in pod_of(job)
    assert "securityContext" not in train(job)
