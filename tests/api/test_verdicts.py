"""The corpus before a real API server, by each way in which a document comes to it.

The verdicts are those of the corpus, and those of the local reader (tests/core/test_spec_corpus.py).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.resource import install
from tests.cluster.clients import Kubectl, ToolError
from tests.corpus.cases import Case, Edit, cases, edits, manifest

pytestmark = pytest.mark.api

EXAMPLES = Path(__file__).parents[2] / "examples"
WAYS = {"create": ["create"], "apply": ["apply"], "server-side": ["apply", "--server-side"]}


@pytest.fixture(scope="session")
def server(kubectl: Kubectl) -> Kubectl:
    """`kubectl` on a server that knows the resource."""
    install(kubectl)
    return kubectl


@pytest.fixture(scope="module", params=["apply", "server-side"])
def edited(server: Kubectl, request: pytest.FixtureRequest) -> Iterator[tuple[Kubectl, str]]:
    """`kubectl` in a namespace of its own for edits, and the way they are made."""
    name = f"edits-by-{request.param}"
    server("create", "namespace", name)
    yield server.within(name), request.param
    server("delete", "namespace", name, "--wait=false")


def refusal(server: Kubectl, way: str, document: str, *options: str) -> str:
    """What the server says against a document; empty: nothing."""
    try:
        server(*WAYS[way], *options, "-f", "-", stdin=document)
    except ToolError as error:
        return error.stderr
    return ""


@pytest.mark.parametrize("way", WAYS)
def test_the_api_server_takes_what_the_schema_has_nothing_against(server: Kubectl, way: str) -> None:
    """Valid documents, and those that only the operator can judge, all in one call."""
    taken = [c for c in cases("valid", "refused-by-operator") if way != "server-side" or not c.server_side]
    assert len(taken) > 80
    done = server(*WAYS[way], "--dry-run=server", "-f", "-", stdin="---\n".join(case.document for case in taken))
    assert len(done.splitlines()) == len(taken), done


@pytest.mark.parametrize("way", WAYS)
def test_the_api_server_takes_every_example(server: Kubectl, way: str) -> None:
    """As a user applies them."""
    done = server(*WAYS[way], "--dry-run=server", "-f", str(EXAMPLES))
    assert len(done.splitlines()) == len(list(EXAMPLES.glob("*.yaml"))) > 1, done


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", cases("refused-by-api"), ids=str)
def test_the_api_server_refuses_with_the_field_and_the_reason(server: Kubectl, case: Case, way: str) -> None:
    """The message names the field, what was found and what is allowed."""
    said = refusal(server, way, case.document, "--dry-run=server")
    assert said
    for fragment in case.server_side if way == "server-side" else case.server:
        assert fragment in said, said


@pytest.mark.parametrize("case", [c for c in cases("valid") if c.server_side], ids=str)
def test_a_null_is_refused_by_server_side_apply_alone(server: Kubectl, case: Case) -> None:
    """Create and apply drop it; server-side apply says which field it is."""
    said = refusal(server, "server-side", case.document, "--dry-run=server")
    assert all(fragment in said for fragment in case.server_side), said


@pytest.mark.parametrize("edit", edits(), ids=str)
def test_an_edit_is_judged_by_what_may_change_when(edited: tuple[Kubectl, str], edit: Edit) -> None:
    """The search is frozen, how trials run changes only while suspended, the budget at any time."""
    server, way = edited
    assert not refusal(server, way, edit.before)
    said = refusal(server, way, edit.after)
    assert bool(said) == bool(edit.refused), said
    for fragment in edit.refused:
        assert fragment in said, said


def test_the_largest_space_that_the_schema_admits_is_within_the_budget_of_cel(server: Kubectl, namespace: str) -> None:
    """Rules are counted again while they run: 100 parameters, the longest lists and all conditions can be created and edited."""
    here = server.within(namespace)
    longest = {"parents": 64, "wanted": 16, "whens": 4, "numbers": 128, "parameters": 100}
    values = [f"{i:03}-{'v' * 124}" for i in range(longest["parents"])]
    parents = [
        f"{{name: parent-{i}, type: Categorical, values: [{', '.join(values)}]}}" for i in range(longest["whens"])
    ]
    wanted = ", ".join(values[-longest["wanted"] :])
    whens = ", ".join(f"{{parameter: parent-{i}, values: [{wanted}]}}" for i in range(longest["whens"]))
    numbers = ", ".join(map(str, range(longest["numbers"])))
    children = [
        f"{{name: {'c' * 59}-{i:03}, type: Discrete, numbers: [{numbers}], when: [{whens}]}}"
        for i in range(longest["parameters"] - longest["whens"])
    ]
    spec = f"parameters: [{', '.join(parents + children)}]\n"
    here("create", "-f", "-", stdin=manifest("largest", spec))
    here("replace", "-f", "-", stdin=manifest("largest", spec + "trials: {max: 3}\n"))
    last = spec.replace(f"values: [{wanted}]}}]}}]", "values: [no-such-value]}]}]")
    assert last != spec
    said = refusal(here, "create", manifest("wrong", last), "--dry-run=server")
    assert "`when` may name a Categorical parameter and values that it has" in said
