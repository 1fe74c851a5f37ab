"""The parts of the chart that come from elsewhere are up to date: CRD, table of values, schema of values, versions."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, Object, render
from tests.cluster import paths

REPOSITORY = CHART.parents[1]
CRD = REPOSITORY / "crds" / "hypersweep.dev_hyperparametersweeps.yaml"


def keys(values: object, path: str = "") -> Iterator[str]:
    """The paths of all values, without those of user-written mappings' members."""
    if isinstance(values, dict) and values and not path.endswith(("podSecurityContext", "resources")):
        for key, value in values.items():
            yield from keys(value, f"{path}.{key}")
    else:
        yield path


def schema_keys(node: Object, definitions: Object, path: str = "") -> Iterator[str]:
    """The paths of all values that the schema knows by name."""
    node = definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    if "properties" in node and not path.endswith(("podSecurityContext", "resources")):
        for key, value in node["properties"].items():
            yield from schema_keys(value, definitions, f"{path}.{key}")
    else:
        yield path


def test_the_charts_crd_is_the_repositorys() -> None:
    """`make crds` writes both."""
    assert (CHART / "files" / "crd.yaml").read_text() == CRD.read_text()


@pytest.mark.api
@pytest.mark.parametrize("keep", [True, False])
def test_the_crd_is_rendered_whole(keep: bool) -> None:
    """Helm adds labels, and the order to keep it; every number, rule and word is the file's."""
    (rendered,) = render({"crds": {"keep": keep}}).of_kind("CustomResourceDefinition")
    metadata: dict[str, Any] = rendered["metadata"]
    assert metadata.pop("annotations", {}).get("helm.sh/resource-policy") == ("keep" if keep else None)
    assert metadata.pop("labels")["app.kubernetes.io/part-of"] == "hypersweep"
    assert rendered == yaml.safe_load(CRD.read_text())


def test_the_table_of_values_is_up_to_date() -> None:
    """`make docs` writes it from values.yaml, where each value is told."""
    command = [sys.executable, "scripts/chart_docs.py", "--check"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_schema_knows_the_values_and_no_others() -> None:
    """A value without a schema could not be set; a schema without a value is a promise that nothing keeps."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = set(schema_keys(schema, schema["definitions"])) - {".global"}
    assert known == set(keys(yaml.safe_load((CHART / "values.yaml").read_text())))


def test_the_schema_is_strict_at_every_object() -> None:
    """Every object with named members refuses others."""

    def objects(node: object) -> Iterator[Object]:
        if isinstance(node, dict):
            if "properties" in node and "type" in node:
                yield node
            for value in node.values():
                yield from objects(value)
        elif isinstance(node, list):
            for value in node:
                yield from objects(value)

    found = list(objects(json.loads((CHART / "values.schema.json").read_text())))
    assert found
    assert [node for node in found if node.get("additionalProperties") is not False] == []


def test_chart_and_project_have_one_version() -> None:
    """The chart's appVersion is the tag of its images."""
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["appVersion"], chart["version"]) == (version, version)
    assert set(re.findall(r"^ARG VERSION=(.*)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)) == {version}


@pytest.mark.api
def test_helm_finds_nothing_to_lint() -> None:
    """Strictly: a warning fails."""
    render({})  # builds helm where it is missing
    command = [paths.binary("helm"), "lint", "--strict", str(CHART), "--set=mlflow.enabled=true"]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
