"""The tables of docs/trainer.md come from the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypersweep_trainer.reference import main, rewrite

PAGE = Path(__file__).parents[2] / "docs/trainer.md"


def test_the_docs_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """A setting, variable or exit code that changes must change on the page too."""
    assert main(["--check", str(PAGE)]) == 0, capsys.readouterr().out


def test_a_stale_table_is_noticed_and_mended(tmp_path: Path) -> None:
    """The check fails on a page that differs, and rewriting mends that and nothing else."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: exits -->\nold\n<!-- end -->\nafter\n")
    assert main(["--check", str(page)]) == 1
    assert main([str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- table: exits -->\n| code |")
    assert text.endswith("<!-- end -->\nafter\n")
    assert rewrite(text) == text
