"""The corpus: small specs, each named for the behaviour it shows, and what every reader has to say to it.

A case writes only the fields that matter, as the text that a user would write; the rest comes from `base.yaml`. `says`
are fragments of the refusal, whoever utters it; `local`, `server` and `serverSide` take its place for the local reader,
for the API server, and for server-side apply where it has words of its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

HERE = Path(__file__).parent
Verdict = Literal["valid", "refused-by-api", "refused-by-operator"]

_BASE: dict[str, str] = yaml.safe_load((HERE / "base.yaml").read_text())
_HEAD = "apiVersion: hypersweep.dev/v1alpha1\nkind: HyperparameterSweep\nmetadata: {{name: {name}}}\nspec:\n"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One document, and what is said to it."""

    name: str
    verdict: Verdict
    document: str
    local: list[str] = field(default_factory=list)
    server: list[str] = field(default_factory=list)
    server_side: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What a sweep was, what it becomes, and what the API server refuses of that."""

    name: str
    before: str
    after: str
    refused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name


def manifest(name: str, spec: str) -> str:
    """A whole document: the base, and the fields that `spec` writes in place of it."""
    written = set(re.findall(r"^(\w+):", spec, re.MULTILINE))
    lines = [line for key, line in _BASE.items() if key not in written] + spec.splitlines()
    return _HEAD.format(name=name) + "".join(f"  {line}\n" for line in lines)


def cases(*verdicts: Verdict) -> list[Case]:
    """The cases with one of these verdicts."""
    return [case for verdict in verdicts for case in _of(verdict)]


def edits() -> list[Edit]:
    """All edits."""
    rows = yaml.safe_load((HERE / "edits.yaml").read_text())
    return [
        Edit(
            name=row["name"],
            before=manifest(row["name"], row.get("from", "")),
            after=manifest(row["name"], row["to"]),
            refused=row.get("refused", []),
        )
        for row in rows
    ]


def _of(verdict: Verdict) -> Iterator[Case]:
    for path in sorted((HERE / verdict).glob("*.yaml")):
        for row in yaml.safe_load(path.read_text()):
            yield _case(row, verdict)


def _case(row: dict[str, Any], verdict: Verdict) -> Case:
    says = row.get("says", [])
    server = row.get("server", says if verdict == "refused-by-api" else [])
    return Case(
        name=row["name"],
        verdict=verdict,
        document=row.get("document") or manifest(row["name"], row["spec"]),
        local=row.get("local", says),
        server=server,
        server_side=row.get("serverSide", server),
    )
