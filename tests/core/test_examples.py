"""The examples are accepted, planned, explained, and found by whoever looks for them."""

import json
import re
from pathlib import Path

import pytest

from hypersweep.cli.main import main
from hypersweep.cli.validate import validate
from hypersweep.core.manifest import parse, read_one
from hypersweep.core.spec import SweepSpec

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
SHOWN = {
    "constraints": {"constraints"},
    "conditional": {"when", "parameterConstraints"},
    "two-objectives": {"readAt", "constraints"},
    "repeats": {"racing"},
    "warm-start": {"warmStart"},
    "reuse": {"dataFingerprint"},
    "asha": {"asha", "targets"},
    "digits": {"initialTrials"},
    "register": {"onComplete", "choose"},
}  # fields that an example is there for


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_can_be_planned(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name is the file's; it sets what it is there for; the plan shows first trials."""
    assert validate([path]) == 0, capsys.readouterr().out
    capsys.readouterr()
    assert main(["plan", str(path), "--output", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == path.stem
    assert found["firstTrials"]
    metadata, spec = parse(read_one(path))
    written = json.dumps(spec.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    assert all(f'"{field}"' in written for field in SHOWN[path.stem]), metadata


def test_conditions_are_on_choices_on_numbers_and_nested() -> None:
    """What the example of conditions promises."""
    spec: SweepSpec = parse(read_one(FOLDER / "conditional.yaml"))[1]
    whens = {p.name: p.when for p in spec.parameters if p.when}
    assert any(when.values for given in whens.values() for when in given)
    assert any(when.min is not None for given in whens.values() for when in given)
    assert any(when.parameter in whens for given in whens.values() for when in given)


def test_the_table_names_each_example_and_its_links_lead_somewhere() -> None:
    """One table for all, which the README leads to."""
    table = (FOLDER / "README.md").read_text()
    assert sorted(re.findall(r"^\| \[([\w-]+\.yaml)\]\(\1\)", table, re.MULTILINE)) == [p.name for p in EXAMPLES]
    for page, _, heading in (link.partition("#") for link in re.findall(r"\]\((\.\./[^)]+)\)", table)):
        text = (FOLDER / page).read_text()
        anchors = [re.sub(r"[^\w -]", "", line).strip().replace(" ", "-").lower() for line in headings(text)]
        assert not heading or heading in anchors, f"{page}#{heading}"
    assert "examples/README.md" in (FOLDER.parent / "README.md").read_text()


def headings(text: str) -> list[str]:
    return [line.lstrip("#") for line in text.splitlines() if line.startswith("#")]
