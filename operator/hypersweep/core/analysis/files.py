"""The report that a sweep leaves behind: files by name, and a note of few lines. Pure; where they go is the caller's.

Bounded: of very many trials an even part is read, with the best ones, and the report says so. Below the stated evidence it
says what is missing, in the same files.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hypersweep.core.analysis.evidence import Evidence
from hypersweep.core.analysis.markdown import lessons_note, markdown
from hypersweep.core.analysis.report import analyze
from hypersweep.core.analysis.svg import drawn
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Trial

MOST = 2000  # trials that are read: a few seconds of work


@dataclass(frozen=True, kw_only=True)
class Files:
    """`texts` by file name; `note` is what a person sees first, as Markdown."""

    texts: Mapping[str, str]
    note: str


def files(spec: SweepSpec, trials: Sequence[Trial], *, title: str, best: Sequence[Trial] = ()) -> Files:
    """The report on these trials. `best`: those that are read in any case."""
    read = sampled(trials, best)
    notes = [f"{len(read)} of the {len(trials)} trials were read, evenly spread, the best among them."]
    notes = notes if len(read) < len(trials) else []
    report = analyze(spec, read)
    pictures = dict[str, str]()
    for i, found in enumerate(report.objectives):
        end = f"-{i + 1}" if len(report.objectives) > 1 else ""
        known = tuple(sorted(read, key=lambda t: (t.index, t.run)))
        evidence = Evidence(
            space=Space.of(spec), metric=found.metric, goal=spec.objectives[i].goal, trials=known, which=i
        )
        pictures |= {f"{name}{end}.svg": picture for name, picture in drawn(found, evidence).items()}
    text = markdown(report, title=title, notes=notes)
    shown = "".join(f"\n![{name.removesuffix('.svg')}]({name})\n" for name in pictures)
    document = json.dumps({"sweep": title, "notes": notes, **report.json()}, indent=2, sort_keys=True)
    return Files(
        texts={"report.md": text + shown, "report.json": f"{document}\n", **pictures}, note=lessons_note(report)
    )


def sampled(trials: Sequence[Trial], best: Sequence[Trial] = ()) -> list[Trial]:
    """At most about MOST of the trials, by index, evenly spread, and the best."""
    known = sorted(trials, key=lambda t: (t.index, t.run))
    if len(known) <= MOST:
        return known
    places = {int(place) for place in np.linspace(0, len(known) - 1, MOST).round()}
    wanted = {t.run for t in best}
    return [t for place, t in enumerate(known) if place in places or t.run in wanted]
