"""What things are called: Jobs, labels, annotations, variables. Every name is a function of what it names.

Nothing here looks anything up, so a name made again after a crash, or by another process, is the same name.
"""

import hashlib
import json
import re
from typing import Any

from hypersweep.core.spec import GROUP, SweepSpec

SWEEP_LABEL = f"{GROUP}/sweep"  # the sweep's name, shortened where it is no label value
UID_LABEL = f"{GROUP}/sweep-uid"
TRIAL_LABEL = f"{GROUP}/trial"
ATTEMPT_LABEL = f"{GROUP}/attempt"
RUN_ANNOTATION = f"{GROUP}/run"  # the MLflow run that the attempt logs to
TEMPLATE_ANNOTATION = f"{GROUP}/template"  # `template_hash` of the spec that the Job was made from
CONTAINER_ANNOTATION = f"{GROUP}/container"  # which of the Job's containers trains

LONGEST_JOB = 52  # 63, less what a pod's name adds; longer ones would lose the trial's number in their pods' names
LONGEST_LABEL = 63
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")


def job_name(*, sweep: str, identity: str, trial: int, attempt: int) -> str:
    """The Job of an attempt: the sweep's name as far as it fits, a hash of (sweep, identity), trial and attempt.

    A DNS-1123 label of at most 52 characters, so that pods carry it whole. `identity` is the sweep's in the ledger: the
    same search under the same name has the same Jobs, whichever object asks for it.
    """
    tail = f"-{short_hash(sweep, identity)}-{trial}-{attempt}"
    head = re.sub(r"[^a-z0-9]+", "-", sweep.lower())[: LONGEST_JOB - len(tail)].strip("-")
    return head + tail if head and head[0].isalpha() else f"s{tail}"


def label_value(text: str) -> str:
    """`text` if it is a label's value; else what it has of one, cut, with a hash of the whole."""
    if len(text) <= LONGEST_LABEL and _LABEL_VALUE.fullmatch(text):
        return text
    tail = f"-{short_hash(text)}"
    head = re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[: LONGEST_LABEL - len(tail)].strip("-_.")
    return f"{head}{tail}".lstrip("-")


def labels(*, sweep: str, uid: str, trial: int, attempt: int) -> dict[str, str]:
    """The labels of an attempt's Job and pods: `kubectl logs -l hypersweep.dev/sweep=a,hypersweep.dev/trial=23`."""
    return {
        SWEEP_LABEL: label_value(sweep),
        UID_LABEL: uid,
        TRIAL_LABEL: str(trial),
        ATTEMPT_LABEL: str(attempt),
    }


def parameter_variable(parameter: str) -> str:
    """The environment variable of a parameter: `HP_` and its name in upper case, `_` for all but letters and digits."""
    return "HP_" + re.sub(r"[^A-Z0-9]", "_", parameter.upper())


def template_hash(spec: SweepSpec) -> str:
    """A hash of how trials run (`trainer`, `job`), whatever the order in which the manifest says it."""
    how = spec.model_dump(mode="json", by_alias=True, include={"trainer", "job"})
    return short_hash(json.dumps(how, sort_keys=True), length=16)


def short_hash(*parts: Any, length: int = 8) -> str:
    """The first `length` hexadecimal digits of a SHA-256 over the parts; parts are kept apart."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:length]
