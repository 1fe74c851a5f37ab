"""How the resource presents itself on a real API server: explain, columns, the status at first, selection."""

import json
import re
from typing import Any

import pytest

from hypersweep.core import crd
from tests.api.resource import install
from tests.cluster.clients import Kubectl
from tests.corpus.cases import manifest

pytestmark = pytest.mark.api

STATUS = {
    "observedGeneration": 1,
    "phase": "Running",
    "progress": "3/20",
    "trials": {"created": 4, "running": 1, "failed": 2},
    "best": {"trial": 1, "value": "0.061", "objectives": {"loss": 0.0612345}, "parameters": {"lr": 0.01}},
}


@pytest.fixture
def server(kubectl: Kubectl, namespace: str) -> Kubectl:
    """`kubectl` in a namespace of its own, on a server that knows the resource."""
    install(kubectl)
    return kubectl.within(namespace)


def fields(schema: dict[str, Any], path: str = "hps") -> dict[str, dict[str, Any]]:
    """Every field that the definition declares, by its path."""
    found = {}
    for name, below in schema.get("properties", {}).items():
        found[f"{path}.{name}"] = below
        found |= fields(below.get("items", below), f"{path}.{name}")
    return found


def test_explain_documents_every_field(server: Kubectl) -> None:
    """`kubectl explain hps --recursive` lists each field, and each says what it is."""
    root = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    listed = set(re.findall(r"^ +(\w+)\t<", server("explain", "hps", "--recursive"), re.MULTILINE))
    for path in fields(root):
        assert path.rsplit(".", 1)[-1] in listed, path
    told = server("explain", "hps.spec.parameters.scale")
    assert "Linear" in told
    assert "over several decades" in told.replace("\n    ", " ")


def test_columns_tell_a_sweep_at_a_glance(server: Kubectl) -> None:
    """STRATEGY PHASE PROGRESS RUNNING FAILED BEST AGE, from the status that the operator writes."""
    server.apply(manifest("digits", "strategy: {name: Random}"))
    server("patch", "hps", "digits", "--subresource=status", "--type=merge", "-p", json.dumps({"status": STATUS}))
    head, row = (line.split() for line in server("get", "hps").splitlines())
    assert head == ["NAME", "STRATEGY", "PHASE", "PROGRESS", "RUNNING", "FAILED", "BEST", "AGE"]
    assert row[:-1] == ["digits", "Random", "Running", "3/20", "1", "2", "0.061"]


def test_a_brand_new_sweep_is_not_ready_to_kstatus(server: Kubectl) -> None:
    """`observedGeneration: -1` from the schema: the tools that wait see that nobody has looked at it yet."""
    server.apply(manifest("digits", ""))
    assert server.json("get", "hps", "digits")["status"] == {"observedGeneration": -1}


def test_defaults_are_shown_but_never_inside_lists(server: Kubectl) -> None:
    """What a user left out of an object is there; items of lists stay as they were written, or Argo CD would differ."""
    server.apply(manifest("digits", ""))
    spec = server.json("get", "hps", "digits")["spec"]
    assert spec["trials"] == {"max": 20, "parallel": 1, "maxFailed": 5, "attempts": 2}
    assert spec["strategy"] == {"name": "Auto", "seed": 0, "settings": {}}
    assert spec["objectives"] == [{"metric": "loss", "goal": "Minimize"}]
    assert spec["parameters"] == [{"name": "lr", "type": "Float", "min": 0.001, "max": 0.1}]


def test_the_status_keeps_what_the_schema_knows_and_no_more(server: Kubectl) -> None:
    """What the operator writes comes back; an assignment in it may hold anything."""
    server.apply(manifest("digits", ""))
    patch = json.dumps({"status": {**STATUS, "nonsense": 1}})
    server("patch", "hps", "digits", "--subresource=status", "--type=merge", "-p", patch)
    assert server.json("get", "hps", "digits")["status"] == STATUS


def test_sweeps_are_selected_by_phase_and_strategy(server: Kubectl) -> None:
    """Field selectors work on what is declared selectable."""
    server.apply(manifest("a", "strategy: {name: Random}"), manifest("b", ""))
    assert server("get", "hps", "--field-selector=spec.strategy.name=Random", "-o", "name").split() == [
        "hyperparametersweep.hypersweep.dev/a"
    ]


def test_a_spec_edit_raises_the_generation_and_a_status_edit_does_not(server: Kubectl) -> None:
    """Whoever waits for observedGeneration counts specs, not reports."""
    server.apply(manifest("digits", ""))
    server("patch", "hps", "digits", "--subresource=status", "--type=merge", "-p", json.dumps({"status": STATUS}))
    assert server.json("get", "hps", "digits")["metadata"]["generation"] == 1
    server.apply(manifest("digits", "trials: {max: 30}"))
    assert server.json("get", "hps", "digits")["metadata"]["generation"] == 2
