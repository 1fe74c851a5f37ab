"""The corpus before the local reader: what `hypersweep validate` says."""

from pathlib import Path

import pytest

from hypersweep.cli.validate import validate
from tests.corpus.cases import Case, cases


def said(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and output of `hypersweep validate` on the case's document."""
    path = tmp_path / "sweep.yaml"
    path.write_text(case.document)
    code = validate([path])
    return code, capsys.readouterr().out


@pytest.mark.parametrize("case", cases("valid"), ids=str)
def test_a_valid_document_is_let_through(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and one line that says so with the document's place and name."""
    code, out = said(case, tmp_path, capsys)
    assert code == 0, out
    assert out.startswith(f"{tmp_path}/sweep.yaml:3: {case.name}: valid: ")
    assert out.count("\n") == 1


@pytest.mark.parametrize("case", cases("refused-by-api", "refused-by-operator"), ids=str)
def test_a_wrong_document_is_refused_with_its_place_and_reason(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, and lines with file, line, field, what was found and what is allowed."""
    code, out = said(case, tmp_path, capsys)
    assert code == 1, out
    assert all(line.startswith(f"{tmp_path}/sweep.yaml:") for line in out.splitlines()), out
    for fragment in case.local:
        assert fragment in out, out


def test_the_corpus_is_large_enough_and_its_names_are_unique() -> None:
    """At least 100 documents, each known by its name."""
    names = [case.name for case in cases("valid", "refused-by-api", "refused-by-operator")]
    assert len(names) >= 100
    assert len(set(names)) == len(names)
