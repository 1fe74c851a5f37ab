"""What the documents show is what this version takes."""

import re
from pathlib import Path

import pytest

from hypersweep.core.admission import check
from hypersweep.core.goyaml import documents
from hypersweep.core.manifest import parse
from tests.corpus.cases import manifest

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = [
    example
    for page in ("space.md", "known.md")
    for example in re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_is_valid(example: str) -> None:
    """A reader who copies it has a sweep that is accepted."""
    (document,) = documents(manifest("example", example))
    metadata, spec = parse(document.content)
    assert check(metadata, spec) == []
