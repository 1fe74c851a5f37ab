"""How what was learned from other runs is written down: Lessons to tags of one run, and back. Pure.

MLflow's tags are short, so the text is compressed and cut into pieces; a last tag says how many there are and what they hash to.
Without it, or where it does not fit, nothing was written: a crash between two pieces reads as never begun.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from hypersweep.core.trial import Outcome, Trial
from hypersweep.core.warm_start import LeftOut, Lessons, numbered, summary
from hypersweep.tracking.records import number_in, number_out

PIECE = 7500  # characters, below MLflow's limit of a tag
WHOLE = "hypersweep.warmStart"  # the last tag; with a number behind it, a piece


def pieces(lessons: Lessons) -> dict[str, str]:
    """The tags that hold all of it."""
    packed = base64.b64encode(zlib.compress(json.dumps(_document(lessons), allow_nan=False).encode(), 9)).decode()
    return {f"{WHOLE}.{i}": packed[start : start + PIECE] for i, start in enumerate(range(0, len(packed), PIECE))}


def whole(written: Mapping[str, str]) -> dict[str, str]:
    """The tag that says that these are all pieces."""
    return {WHOLE: json.dumps({"pieces": len(written), "sha256": _hash(written)})}


def restored(tags: Mapping[str, str]) -> Lessons | None:
    """What a run's tags hold. None: they do not hold all of it."""
    try:
        said = json.loads(tags[WHOLE])
        found = {f"{WHOLE}.{i}": tags[f"{WHOLE}.{i}"] for i in range(said["pieces"])}
        if said["sha256"] != _hash(found):
            return None
        return _lessons(json.loads(zlib.decompress(base64.b64decode("".join(found.values())))))
    except (KeyError, TypeError, ValueError, zlib.error):
        return None


def _hash(written: Mapping[str, str]) -> str:
    return hashlib.sha256("".join(written.values()).encode()).hexdigest()


def _document(lessons: Lessons) -> dict[str, Any]:
    """In columns: like beside like packs best."""
    trials = lessons.trials
    names = sorted({name for t in trials for name in t.parameters})
    return {
        **summary(lessons),
        "runs": [t.run for t in trials],
        "outcomes": [str(t.outcome) for t in trials],
        "values": [list(t.values) for t in trials],
        "violations": [number_out(t.violation) for t in trials],
        "parameters": {name: [t.parameters.get(name) for t in trials] for name in names},
    }


def _lessons(document: Mapping[str, Any]) -> Lessons:
    columns: Mapping[str, Sequence[Any]] = document["parameters"]
    trials = [
        Trial(
            index=-1,
            run=run,
            parameters={name: column[i] for name, column in columns.items() if column[i] is not None},
            outcome=Outcome(document["outcomes"][i]),
            value=document["values"][i][0] if document["values"][i] else None,
            values=tuple(document["values"][i]),
            violation=number_in(document["violations"][i]) or 0.0,
        )
        for i, run in enumerate(document["runs"])
    ]
    left_out = tuple(LeftOut(**left) for left in document["leftOut"])
    return Lessons(found=document["found"], trials=tuple(numbered(trials)), left_out=left_out)
