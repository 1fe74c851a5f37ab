"""The health checks that the documentation offers, run on statuses that the operator writes."""

from pathlib import Path
from typing import Any

import celpy
import lupa
import pytest
import yaml

from hypersweep.core.decide import decide
from hypersweep.core.snapshot import Fault, Snapshot
from hypersweep.core.status import Context, build, refused
from hypersweep.core.trial import Outcome
from tests.core.builders import NOW, ended, look, make_spec, view

DOCS = Path(__file__).parents[2] / "docs" / "gitops"


def status_of(snapshot: Snapshot, generation: int = 3) -> dict[str, Any]:
    """The status that the operator would write at this look."""
    return build(Context(generation=generation, previous={}), snapshot, decide(snapshot, NOW), NOW)


FAILED = look(history=tuple(ended(i, outcome=Outcome.FAILED, reason="Crashed", message="x") for i in range(3)))
STATUSES: dict[str, tuple[dict[str, Any], str, str]] = {  # name -> status, Argo CD's health, Flux's verdict
    "brand new": ({"observedGeneration": -1}, "Progressing", "inProgress"),
    "edited, not seen yet": (status_of(look(view(0)), generation=2), "Progressing", "inProgress"),
    "running": (status_of(look(view(0))), "Progressing", "inProgress"),
    "suspended": (status_of(look(spec=make_spec(suspend=True))), "Suspended", "inProgress"),
    "complete": (status_of(look(history=tuple(ended(i, 1.0) for i in range(4)))), "Healthy", "current"),
    "failed": (status_of(FAILED), "Degraded", "failed"),
    "refused": (
        refused(generation=3, previous={}, fault=Fault(reason="SpecRefused", message="no"), now=NOW),
        "Degraded",
        "failed",
    ),
}


@pytest.mark.parametrize("name", STATUSES)
def test_argo_cd_health(name: str) -> None:
    """Each state has the health that Argo CD's users expect."""
    status, expected, _ = STATUSES[name]
    lua = lupa.LuaRuntime()
    lua.globals().obj = lua.table_from({"metadata": {"generation": 3}, "status": status}, recursive=True)
    assert lua.execute((DOCS / "health.lua").read_text()).status == expected


@pytest.mark.parametrize("name", STATUSES)
def test_flux_health(name: str) -> None:
    """Flux asks the expressions in the order inProgress, failed, current; the first that holds is its verdict."""
    status, _, expected = STATUSES[name]
    document = celpy.json_to_cel({"metadata": {"generation": 3}, "status": {"conditions": [], **status}})
    expressions = yaml.safe_load((DOCS / "flux-health.yaml").read_text())[0]
    environment = celpy.Environment()
    verdicts = {
        name: environment.program(environment.compile(expressions[name])).evaluate(dict(document))
        for name in ("inProgress", "failed", "current")
    }
    assert next(name for name, holds in verdicts.items() if holds) == expected
