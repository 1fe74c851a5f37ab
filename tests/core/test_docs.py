"""What docs/space.md shows is what this version takes."""

import re
from pathlib import Path

import pytest

from hypersweep.core.admission import check
from hypersweep.core.goyaml import documents
from hypersweep.core.manifest import parse
from tests.corpus.cases import manifest

EXAMPLES = re.findall(r"```yaml\n(.*?)```", (Path(__file__).parents[2] / "docs/space.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_is_valid(example: str) -> None:
    """A reader who copies it has a sweep that is accepted."""
    (document,) = documents(manifest("example", example))
    metadata, spec = parse(document.content)
    assert check(metadata, spec) == []
