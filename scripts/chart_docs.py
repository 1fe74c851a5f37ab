# ruff: noqa: INP001  (a script, not a package)
"""Write the table of values in the chart's README from the comments in values.yaml; `--check` only compares.

A value's description is the `# --` comment above its key. A mapping with one is one row; a mapping without is told by
its members, and every value must be told. Nothing here knows what the values mean.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parent.parent / "charts" / "hypersweep"
BEGIN, END = "<!-- values: begin -->\n", "<!-- values: end -->"


def comments(text: str) -> dict[tuple[str, ...], str]:
    """The `# --` comments of a values.yaml by the path of the key below each."""
    found: dict[tuple[str, ...], str] = {}
    path: list[tuple[int, str]] = []  # indentation and name of the keys that the line is in
    pending = None
    for line in text.splitlines():
        if comment := re.match(r" *# -- (.*)", line):
            pending = comment[1]
        elif key := re.match(r"( *)([A-Za-z]+):", line):
            indent = len(key[1])
            path = [*(outer for outer in path if outer[0] < indent), (indent, key[2])]
            if pending is not None:
                found[tuple(name for _, name in path)] = pending
            pending = None
    return found


def rows(values: object, told: dict[tuple[str, ...], str], path: tuple[str, ...] = ()) -> Iterator[str]:
    """One row of the table for each value.

    Raises:
        ValueError: a value has no comment.
    """
    if path in told:
        yield f"| `{'.'.join(path)}` | `{json.dumps(values, ensure_ascii=False)}` | {told[path]} |"
    elif isinstance(values, dict) and values:
        for key, value in values.items():
            yield from rows(value, told, (*path, key))
    else:
        raise ValueError(f"values.yaml: {'.'.join(path)} has no `# --` comment")


def with_table(readme: str, values: str) -> str:
    """The README with the table between its markers made anew."""
    table = ["| value | default | what it does |", "|---|---|---|", *rows(yaml.safe_load(values), comments(values))]
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n".join(table) + "\n" + END + after


def main() -> int:
    """Returns 1 where `--check` finds the README out of date."""
    readme = CHART / "README.md"
    old = readme.read_text()
    new = with_table(old, (CHART / "values.yaml").read_text())
    if "--check" in sys.argv[1:]:
        if new != old:
            print(f"{readme.name} of the chart is out of date: run `make docs`", file=sys.stderr)
        return int(new != old)
    readme.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
