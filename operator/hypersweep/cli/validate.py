"""`hypersweep validate` and `hypersweep crd`: verdicts before any cluster is asked, and the resource's definition.

One line per finding, `file:line: path: message`, so that editors jump to it. Owns the output only; verdicts are in
`core/`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from hypersweep.core import crd as definition
from hypersweep.core import on_complete, strategies
from hypersweep.core.admission import advice, check
from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.goyaml import Document
from hypersweep.core.manifest import is_sweep, parse, read
from hypersweep.core.spec import KIND, SweepSpec


def validate(paths: Sequence[str | Path]) -> int:
    """Say what is wrong with the sweeps in these files (`-`: standard input), or that nothing is. Exit code: 0 or 1."""
    return max([_file(path) for path in paths], default=0)


def crd() -> int:
    """Print the CustomResourceDefinition."""
    print(definition.text(), end="")
    return 0


def _file(path: str | Path) -> int:
    try:
        found = read(path)
    except SpecError as error:
        for problem in error.problems:
            print(problem)
        return 1
    sweeps = [document for document in found if is_sweep(document.content)]
    if not sweeps:
        print(f"{path}: holds no {KIND}")
        return 1
    return max(map(_document, sweeps))


def _document(document: Document) -> int:
    for problem in document.warnings:
        _warn(document, problem)
    try:
        metadata, spec = parse(document.content)
        problems = check(metadata, spec)
    except SpecError as error:
        problems = error.problems
    for problem in problems:
        print(f"{document.place(problem.path)}: {problem}")
    if problems:
        return 1
    for problem in advice(spec):
        _warn(document, problem)
    print(f"{document.place('metadata.name')}: {metadata['name']}: valid: {_told(spec)}")
    return 0


def _warn(document: Document, problem: Problem) -> None:
    print(f"{document.place(problem.path)}: warning: {problem}", file=sys.stderr)


def _told(spec: SweepSpec) -> str:
    """The sweep in one line."""
    size, count = strategies.size(spec), len(spec.parameters)
    space = "" if size is None else f" ({size:,} points)"
    told = f"{spec.strategy.name}, {spec.trials.max} trials, {count} parameter{'s' if count > 1 else ''}{space}"
    return told if spec.on_complete is None else f"{told}; {on_complete.told(spec.on_complete)}"
