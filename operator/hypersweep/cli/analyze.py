"""`hypersweep analyze`: what sweeps have taught so far, from MLflow, while they run or later.

Owns which sweeps are meant, how several are read as one, and the output; findings are `core.analysis`'. Several sweeps
are read in the newest one's space: a trial that does not lie in it, or was judged otherwise, is left out and counted.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hypersweep.core.analysis.findings import Report
from hypersweep.core.analysis.markdown import markdown
from hypersweep.core.analysis.report import analyze
from hypersweep.core.errors import HyperSweepError
from hypersweep.core.manifest import STDIN, parse, read_one
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Trial
from hypersweep.tracking.archive import Archived, archived, running
from hypersweep.tracking.client import ClientStore, sqlite_path
from hypersweep.tracking.identity import search_hash


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Trials of one or more sweeps, to be read in one space."""

    title: str
    spec: SweepSpec
    trials: tuple[Trial, ...]
    notes: tuple[str, ...]


def main(given: argparse.Namespace) -> int:
    """Print the report. Exit code 0; what cannot be found is a HyperSweepError."""
    if not given.sweep and not given.experiment:
        raise HyperSweepError("name a sweep, its file, or --experiment; see hypersweep analyze --help")
    gathered = asyncio.run(_gather(given.tracking_uri, *asked(given)))
    report = analyze(gathered.spec, gathered.trials)
    _print(given.output, report, gathered)
    if given.plots:
        from hypersweep.local.plots import save  # noqa: PLC0415  (matplotlib takes a second)

        for path in save(given.plots, report, gathered.spec, gathered.trials):
            print(path)
    return 0


def asked(given: argparse.Namespace) -> tuple[dict[str, str], SweepSpec | None]:
    """Which sweeps are meant, in the ledger's words, and the spec of a file."""
    path = sqlite_path(given.tracking_uri)
    if path is not None and not path.exists():
        raise HyperSweepError(f"there is no database {path}; name MLflow by --tracking-uri")
    name = given.sweep or ""
    if name != STDIN and not (name and Path(name).is_file()):
        return {"sweep": name, "experiment": given.experiment or ""}, None
    metadata, spec = parse(read_one(name))
    in_cluster = metadata.get("namespace") and path is None
    own = f"{metadata['namespace']}/{metadata['name']}" if in_cluster else metadata["name"]
    experiment = given.experiment or spec.tracking.experiment or own
    return {"sweep": spec.tracking.sweep or own, "experiment": experiment, "search": search_hash(spec)}, spec


async def _gather(uri: str, asked: Mapping[str, str], spec: SweepSpec | None) -> Gathered:
    store = ClientStore(uri)
    try:
        await store.migrate()
        return gather(await archived(store, await store.experiments(), **asked), spec)
    finally:
        await store.close()


def gather(sweeps: Sequence[Archived], spec: SweepSpec | None = None) -> Gathered:
    """These sweeps' trials, in the space of `spec`, else of the newest sweep."""
    newest = next((s.spec for s in reversed(sweeps) if s.spec is not None), None)
    spec = spec or newest
    if spec is None:
        names = ", ".join(sorted({s.name for s in sweeps}))
        raise HyperSweepError(f"the runs of {names} in MLflow hold no spec: name the sweep's file instead")
    space, kept, strangers, rivals = Space.of(spec), list[Trial](), 0, 0
    for sweep in sweeps:
        alike = sweep.spec is None or sweep.spec.objectives == spec.objectives
        fitting = [t for t in sweep.trials if not space.problems(t.parameters)]
        strangers += len(sweep.trials) - len(fitting)
        rivals += 0 if alike else len(fitting)
        kept += fitting if alike else [replace(t, value=None) for t in fitting]
    return Gathered(
        title=" and ".join(dict.fromkeys(s.name for s in sweeps)) if len(sweeps) < 4 else f"{len(sweeps)} sweeps",
        spec=spec,
        trials=tuple(kept),
        notes=tuple(_notes(sweeps, kept, strangers, rivals)),
    )


def _notes(sweeps: Sequence[Archived], kept: Sequence[Trial], strangers: int, rivals: int) -> list[str]:
    notes = [f"{len(sweeps)} sweeps are read as one."] if len(sweeps) > 1 else []
    if count := running(kept):
        notes.append(f"{count} of the trials have not ended: ask again later.")
    if strangers:
        notes.append(f"{strangers} trials lie outside of the newest sweep's space, and are left out.")
    if rivals:
        notes.append(f"{rivals} trials were judged by other objectives: they count as tried, not as results.")
    return notes


def _print(form: str, report: Report, gathered: Gathered) -> None:
    if form == "json":
        print(json.dumps({"sweep": gathered.title, "notes": gathered.notes, **report.json()}, indent=2))
        return
    text = markdown(report, title=gathered.title, notes=gathered.notes)
    if form == "markdown":
        print(text, end="")
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.markdown import Markdown  # noqa: PLC0415

    Console().print(Markdown(text))
