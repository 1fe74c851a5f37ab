"""The local reader: what a manifest's text means, and where its fields stand."""

import json
import math
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from hypersweep.core.errors import SpecError
from hypersweep.core.goyaml import documents, dump
from hypersweep.core.manifest import parse, read_one
from tests.corpus.yaml_values import REFUSED, TEXTS, VALUES


def read(text: str) -> Any:
    """The value of `x` in the first document, or REFUSED."""
    try:
        return next(iter(documents(text))).content["x"]
    except SpecError:
        return REFUSED


def same(found: Any, expected: Any) -> bool:
    """Equal in value and in type, as JSON knows types; beyond 64 bits, as floats."""
    if isinstance(expected, dict | list):
        return found is not REFUSED and json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)
    if isinstance(expected, int | float) and not isinstance(expected, bool):
        return type(found) is type(expected) and math.isclose(
            found, expected, rel_tol=0 if abs(expected) < 2**63 else 1e-15
        )
    return type(found) is type(expected) and found == expected


@pytest.mark.parametrize("text", VALUES)
def test_a_scalar_means_what_kubectl_makes_of_it(text: str) -> None:
    """`on`, `1e5`, `0o17` and the rest have the value that the table says."""
    assert same(read(f"x: {text}\n"), VALUES[text]), read(f"x: {text}\n")


@pytest.mark.parametrize("name", TEXTS)
def test_a_document_means_what_kubectl_makes_of_it(name: str) -> None:
    """Merges, anchors, doubled keys and tabs have the value that the table says."""
    text, expected = TEXTS[name]
    assert same(read(text), expected), read(text)


@pytest.mark.parametrize("text", VALUES)
def test_text_is_written_so_that_it_is_read_as_text(text: str) -> None:
    """`hypersweep run … --export` of a choice named y, 1e5 or 0o17 must not become a boolean or a number."""
    assert read(dump({"x": [text, {text: text}]})) == [text, {text: text}]


def test_numbers_are_written_so_that_they_are_read_as_they_were() -> None:
    """The shortest form that reads back, in kubectl's YAML too."""
    numbers = [1e-5, 0.1, 1e21, 1.7976931348623157e308, 5e-324, 2**53, -1, True, None]
    assert read(dump({"x": numbers})) == numbers


# ---- files -----------------------------------------------------------------------------------------------------------

SWEEP = """\
apiVersion: hypersweep.dev/v1alpha1
kind: HyperparameterSweep
metadata: {name: digits}
spec:
  objectives: [{metric: loss, goal: Minimize}]
  parameters:
  - name: lr
    type: Float
    min: 0.001
    max: 0.1
  job: {template: {spec: {template: {spec: {containers: [{name: train, image: a}]}}}}}
"""
OTHER = "apiVersion: v1\nkind: Namespace\nmetadata: {name: research}\n"


def refused(call: Callable[[], Any]) -> list[str]:
    """The problems that a call is refused with."""
    with pytest.raises(SpecError) as raised:
        call()
    return [str(problem) for problem in raised.value.problems]


def test_a_sweep_is_found_among_other_kinds(tmp_path: Path) -> None:
    """Comments, empty documents and other kinds beside it are left aside."""
    path = tmp_path / "all.yaml"
    path.write_text(f"# first\n---\n{OTHER}---\n---   # second\n{SWEEP}---\n")
    assert read_one(path)["metadata"]["name"] == "digits"


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path) -> None:
    """Editors on Windows write one; kubectl does not mind."""
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SWEEP.encode())
    assert read_one(path)["kind"] == "HyperparameterSweep"


def test_json_is_read_as_json(tmp_path: Path) -> None:
    """Tabs and escapes that YAML does not know are fine in JSON, and numbers are as in YAML."""
    path = tmp_path / "sweep.json"
    content = next(iter(documents(SWEEP))).content
    path.write_text(json.dumps(content, indent="\t").replace("0.001", "1.0").replace('"a"', '"a\\/b"'))
    found = read_one(path)
    assert found["spec"]["parameters"][0]["min"] == 1
    assert isinstance(found["spec"]["parameters"][0]["min"], int)
    assert found["spec"]["job"]["template"]["spec"]["template"]["spec"]["containers"][0]["image"] == "a/b"


def test_standard_input_is_a_file_named_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads what is piped in."""
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(SWEEP.encode())))
    assert read_one("-")["metadata"]["name"] == "digits"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "one HyperparameterSweep is expected; found none"),
        (OTHER.encode(), "one HyperparameterSweep is expected; found none"),
        (f"{SWEEP}---\n{SWEEP}".encode(), 'found "digits", "digits"'),
        (b"a: \xff", "is not UTF-8: byte 3 is 0xff"),
        (b"a: 1\nb: [1\n", "file.yaml:3:1: while parsing a flow sequence"),
        (b"a: 1\n\tb: 1\n", "file.yaml:2:"),
        (
            b"---\na: 1\n---\nb: 1\nc: .inf\n",
            "file.yaml:5:4: found .inf; JSON, and so Kubernetes, has only finite numbers",
        ),
        (b"a: 1\n--- b\n", "file.yaml:2:4: found 'b' after ---"),
        (b"a: 1\nb: x\x01y\n", "file.yaml:2:5: found a character that YAML does not allow: #x0001"),
        (b"a: *b\n", "file.yaml:1:4: found undefined alias 'b'"),
        (b"~: 1\n", "file.yaml:1:1: found a key that is null"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path, content: bytes, says: str) -> None:
    """File, line and column as an editor counts them, and what was found there."""
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    (problem,) = refused(lambda: read_one(path))
    assert says in problem


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """The path, and why it cannot be read."""
    assert refused(lambda: read_one(tmp_path / "none.yaml")) == [
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory"
    ]


def test_a_field_is_found_on_its_line() -> None:
    """A path leads to the line of its key; one that is not there, to the nearest around it."""
    _, second = documents(f"{OTHER}---\n{SWEEP}", source="a.yaml")
    assert second.place("spec.parameters[0].max") == "a.yaml:14"
    assert second.place("spec.parameters[0].scale") == "a.yaml:11"
    assert second.place("spec.parameters[3].scale") == "a.yaml:10"
    assert second.place("status") == "a.yaml:5"


def test_doubled_keys_are_warned_of() -> None:
    """kubectl takes the last one without a word; the reader does too, with one."""
    (document,) = documents("a: 1\nb:\n  c: 1\n  c: 2\n")
    assert document.content == {"a": 1, "b": {"c": 2}}
    assert [str(w) for w in document.warnings] == [
        "b.c: found a second time (first in line 3); kubectl takes the last one"
    ]


def test_an_alias_bomb_is_not_unfolded_without_end() -> None:
    """Aliases of aliases of aliases: refused before they fill the memory, as kubectl refuses them."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    (problem,) = refused(lambda: list(documents("\n".join(lines))))
    assert "aliases" in problem


# ---- parse -----------------------------------------------------------------------------------------------------------


def test_parse_reports_everything_that_is_wrong_at_once() -> None:
    """One round of corrections, not one per mistake: envelope, unknown fields, types and bounds together."""
    text = SWEEP.replace("/v1alpha1", "/v2").replace("max: 0.1", "maxx: 0.1").replace("min: 0.001", "min: low")
    problems = refused(lambda: parse(next(iter(documents(text))).content))
    assert [problem.split(":")[0] for problem in problems] == [
        "apiVersion",
        "spec.parameters[0].maxx",
        "spec.parameters[0].min",
    ]


def test_parse_keeps_what_stands_in_open_fields() -> None:
    """Nulls and all in `job.template`: what it means is not ours to say."""
    text = SWEEP.replace("{name: train, image: a}", "{name: train, image: a, tty: ~}")
    _, spec = parse(next(iter(documents(text))).content)
    assert spec.job is not None
    assert spec.job.template["spec"]["template"]["spec"]["containers"] == [{"name": "train", "image": "a", "tty": None}]


def test_an_object_from_a_cluster_parses() -> None:
    """What the API server adds (defaults, status, metadata of its own) is no mistake."""
    content = next(iter(documents(SWEEP))).content
    content["metadata"] |= {
        "uid": "u",
        "generation": 3,
        "resourceVersion": "7",
        "creationTimestamp": "t",
        "managedFields": [],
    }
    content["status"] = {"observedGeneration": -1}
    content["spec"] |= {"suspend": False, "retry": "", "initialTrials": [], "tracking": {"server": "default"}}
    metadata, spec = parse(content)
    assert metadata["uid"] == "u"
    assert spec.parameters[0].max == 0.1
