"""A real kubectl against the table that the local reader is held to. No server is asked: the table is about reading."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.clients import Kubectl, ToolError
from tests.core.test_manifest import same
from tests.corpus.yaml_values import REFUSED, TEXTS, VALUES

pytestmark = pytest.mark.api

HEAD = "apiVersion: hypersweep.dev/v1alpha1\nkind: HyperparameterSweep\nmetadata: {name: a}\n"


@pytest.fixture(scope="session")
def reads(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What kubectl makes of `x` in a text, or REFUSED."""
    path: Path = tmp_path_factory.mktemp("reader") / "manifest.yaml"

    def read(text: str) -> Any:
        path.write_bytes((HEAD + text).encode())
        try:
            return json.loads(kubectl("label", "--local", "-f", str(path), "a=b", "-o", "json"))["x"]
        except ToolError:
            return REFUSED

    return read


@pytest.mark.parametrize("text", VALUES)
def test_kubectl_reads_a_scalar_as_the_table_says(reads: Any, text: str) -> None:
    """The table of scalars is true of a real kubectl."""
    assert same(found := reads(f"x: {text}\n"), VALUES[text]), found


@pytest.mark.parametrize("name", TEXTS)
def test_kubectl_reads_a_document_as_the_table_says(reads: Any, name: str) -> None:
    """The table of documents is true of a real kubectl."""
    text, expected = TEXTS[name]
    assert same(found := reads(text), expected), found
