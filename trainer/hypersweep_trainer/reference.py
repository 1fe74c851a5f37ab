"""The tables of `docs/trainer.md`, made from what the code itself goes by.

    python -m hypersweep_trainer.reference docs/trainer.md           rewrite the tables in that file
    python -m hypersweep_trainer.reference --check docs/trainer.md   exit 1 if they are not up to date

Owns what stands between `<!-- table: NAME -->` and `<!-- end -->`, and touches nothing else.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from hypersweep_trainer.exits import MEANING
from hypersweep_trainer.options import ENVIRONMENT
from hypersweep_trainer.presets import pairs, published
from hypersweep_trainer.settings import allowed, properties, spelled

_TABLE = re.compile(r"(<!-- table: (?P<name>\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def settings_table() -> str:
    """One row per setting."""
    rows = [
        (f"`{name}`", allowed(name), f"`{spelled(schema['default'])}`", schema["description"])
        for name, schema in properties().items()
    ]
    return _table(("setting", "allowed", "default", "meaning"), rows)


def environment_table() -> str:
    """One row per environment variable."""
    return _table(("variable", "meaning"), [(f"`{name}`", text) for name, text in ENVIRONMENT.items()])


def exits_table() -> str:
    """One row per exit code."""
    rows = [(str(int(code)), f"`{code.name}`", text) for code, text in MEANING.items()]
    return _table(("code", "`exit`", "meaning"), rows)


def presets_table() -> str:
    """One row per source of each pair."""
    rows = []
    for model, optimizer in pairs():
        by_source: dict[str, list[str]] = {}
        for name, (value, source) in published(model, optimizer).items():
            by_source.setdefault(source, []).append(f"`{name}={spelled(value)}`")
        values = "; ".join(f"{', '.join(some)} ({source})" for source, some in by_source.items())
        rows.append((model or "any", optimizer, values))
    return _table(("model", "optimizer", "values (source)"), rows)


TABLES = {"presets": presets_table, "settings": settings_table, "environment": environment_table, "exits": exits_table}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def rewrite(page: str) -> str:
    """The page with its tables as they should be. Raises KeyError for a table that is not known."""
    return _TABLE.sub(lambda found: found[1] + TABLES[found["name"]](), page)


def main(argv: Sequence[str]) -> int:
    """Rewrite or check one file."""
    parser = argparse.ArgumentParser(prog="python -m hypersweep_trainer.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the tables are not up to date")
    parser.add_argument("page", type=Path)
    options = parser.parse_args(argv)
    before = options.page.read_text()
    after = rewrite(before)
    if not options.check:
        options.page.write_text(after)
    elif before != after:
        print(f"{options.page}: tables are not up to date: python -m hypersweep_trainer.reference {options.page}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
