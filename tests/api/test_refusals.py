"""Sweeps that the API server takes and the operator refuses: what cannot work is said at once, in the user's own terms."""

import json
from typing import Any

import pytest

from tests.api.conftest import Stage
from tests.api.sweeps import Sweep, manifest, parent_runs

pytestmark = pytest.mark.api

LOOP = [
    {"name": name, "type": "Categorical", "values": ["a", "b"], "when": [{"parameter": other, "values": ["a"]}]}
    for name, other in (("one", "two"), ("two", "one"))
]
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {  # name -> spec, reason, words of the message
    "circle": ({"parameters": LOOP}, "SpecRefused", "spec.parameters"),
    "elsewhere": ({"tracking": {"server": "other"}}, "SpecRefused", "no server 'other'"),
    "misspelled": ({"container": {"imag": "example.com/train:1"}}, "JobRefused", 'unknown field "spec.template.spec'),
    "oversized": ({"container": {"resources": {"limits": {"cpu": "lots"}}}}, "JobRefused", "quantities must match"),
}


@pytest.fixture(scope="module", autouse=True)
def _applied(shared: Stage) -> None:
    for name, (spec, _, _) in REFUSED.items():
        shared.apply(name, **spec)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_sweep_says_so_and_why(shared: Stage, name: str) -> None:
    """Not accepted, and stalled, which is how Helm, Flux and kstatus see it; a Warning event; no Job, no trial."""
    _, reason, words = REFUSED[name]
    sweep = Sweep(shared.kubectl, name)
    status = sweep.wait("Stalled")
    verdicts = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert verdicts["Accepted"] == ("False", reason)
    assert verdicts["Stalled"] == ("True", reason)
    assert verdicts["Reconciling"][0] == "False"
    assert status["observedGeneration"] == 1
    assert status["phase"] == "Refused"
    for kind in ("Accepted", "Stalled"):
        assert words in sweep.condition(kind)["message"]
    assert reason in sweep.events()
    assert not sweep.jobs()
    assert not shared.runs(sweep)


def test_a_refused_job_is_mended_while_suspended_and_runs(shared: Stage) -> None:
    """The verdict is taken back with the edit, in every condition."""
    sweep = Sweep(shared.kubectl, "misspelled")
    sweep.wait("Stalled")
    sweep.edit(suspend=True)
    shared.kubectl.apply(manifest("misspelled", suspend=True))
    sweep.wait("Accepted")
    assert sweep.wait("Suspended")
    sweep.edit(suspend=False)
    status = sweep.wait("Complete")
    assert {c["type"] for c in status["conditions"] if c["status"] == "True"} == {
        "Accepted",
        "TrackingAvailable",
        "Finished",
        "Complete",
    }
    assert len(parent_runs(shared.mlflow, f"{shared.namespace}/misspelled")) == 1
    assert "refused" not in json.dumps(status)
