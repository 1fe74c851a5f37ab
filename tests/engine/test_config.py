"""The operator's configuration: what is wrong with it is said before any sweep rests on it."""

import json
import re
from pathlib import Path

import pytest

from hypersweep.controller.config import load
from hypersweep.core.errors import SpecError

SCHEMA = Path(__file__).resolve().parents[2] / "charts" / "hypersweep" / "values.schema.json"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://me:hush@mlflow.example.com", "carries no credentials"),
        ("mlflow:5000", "http://HOST[:PORT]"),
        ("ftp://mlflow.example.com", "http://HOST[:PORT]"),
        ("http://mlflow.example.com:five", "port"),
    ],
)
def test_an_address_that_is_none_is_refused_at_once(tmp_path: Path, uri: str, said: str) -> None:
    """It would end the loop of each sweep that names the server. A password is not repeated."""
    (tmp_path / "config.yaml").write_text(json.dumps({"trackingServers": [{"name": "default", "uri": uri}]}))
    with pytest.raises(SpecError) as error:
        load(tmp_path / "config.yaml")
    assert str(error.value).startswith("trackingServers.0.uri: ")
    assert said in str(error.value)
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("http://mlflow.mlops.svc:5000", True),
        ("https://example.com/mlflow/@team", True),
        ("http://[::1]:5000", True),
        ("http://me:hush@mlflow.example.com", False),
        ("mlflow:5000", False),
    ],
)
def test_the_chart_refuses_the_same(tmp_path: Path, uri: str, *, allowed: bool) -> None:
    """Before the operator does."""
    pattern = json.loads(SCHEMA.read_text())["definitions"]["serverUrl"]["pattern"]
    assert bool(re.search(pattern, uri)) == allowed
    if allowed:
        (tmp_path / "config.yaml").write_text(json.dumps({"trackingServers": [{"uri": uri}]}))
        assert load(tmp_path / "config.yaml").tracking_servers[0].uri == uri
