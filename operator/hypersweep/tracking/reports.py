"""A report on a sweep, put where its run in MLflow shows it: files among the artifacts, a note on the page, a tag.

Owns the order (files, then one request for note and tag, so that the tag never tells of files that are not there) and the
courtesy: a note that a person wrote, or has changed, is left alone. Doing it again changes nothing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from hypersweep.core.errors import TrackingNotFound, TrackingRefused
from hypersweep.tracking.base import Run, Store
from hypersweep.tracking.records import clean

FOLDER = "hypersweep-report"  # among the run's artifacts
REPORT = "hypersweep.report"  # tag: where the report is, or why there is none
NOTE = "mlflow.note.content"  # MLflow's own: the description on a run's page
OURS = "hypersweep.note"  # tag: the hash of the note that we wrote
NOTE_LIMIT, REASON_LIMIT = 7000, 1000  # characters


@dataclass(frozen=True, kw_only=True)
class Published:
    """What became of a report's files. `where`: the main one among the artifacts; empty: `reason` says why."""

    where: str = ""
    reason: str = ""


async def publish(store: Store, run: str, *, files: Mapping[str, str], note: str) -> Published:
    """Write the report to that run. TrackingNotFound: it is gone; TrackingUnavailable: try again."""
    found = await store.run(run)
    if found.deleted:
        raise TrackingNotFound(f"run {run} was deleted")
    done = await _written(store, found, files)
    where = f"{done.where}, among the artifacts" if done.where else f"no files: {done.reason}"
    await store.log(run, tags={REPORT: clean(where, REASON_LIMIT), **_note_tags(found, note, where)})
    return done


async def _written(store: Store, run: Run, files: Mapping[str, str]) -> Published:
    try:
        for name, text in sorted(files.items(), key=lambda item: item[0] == "report.md"):  # the one that is named: last
            await store.artifact(run, f"{FOLDER}/{name}", text)
    except TrackingRefused as error:
        return Published(reason=clean(str(error), REASON_LIMIT))
    return Published(where=f"{FOLDER}/report.md")


def _note_tags(run: Run, note: str, where: str) -> dict[str, str]:
    """The note, where there is none or ours."""
    there = run.tags.get(NOTE, "")
    if there.strip() and _digest(there) != run.tags.get(OURS):
        return {}
    text = clean(f"{note}\nThe whole report: {where}.\n", NOTE_LIMIT)
    return {NOTE: text, OURS: _digest(text)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
