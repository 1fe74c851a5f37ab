"""When two trials are the same: what a result depends on, as one text to look for in the ledger.

Pure. Equal are the image, how the Job is made from it, the data (as their owner names them), the parameters, and the seed; what
the trial is judged by is not among them, since it is read from the run anew. Owns the rule that images must be pinned: a tag
may name another image tomorrow.
"""

import json
from collections.abc import Iterator

from hypersweep.core.environment import seed_of, typed
from hypersweep.core.errors import Problem
from hypersweep.core.names import short_hash, template_hash
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Trial
from hypersweep.core.wording import shown

DIGEST = "@sha256:"
_POD = "spec.job.template.spec.template.spec"


def likeness(spec: SweepSpec, trial: Trial, *, image: str, identity: str) -> str:
    """Equal for trials that would come out the same. Empty: the sweep does not ask for it."""
    if spec.reuse is None:
        return ""
    parameters = json.dumps(typed(spec, trial.parameters), sort_keys=True)
    seed = seed_of(spec, identity=identity, trial=trial)
    return short_hash(image, template_hash(spec), spec.reuse.data_fingerprint, parameters, seed, length=32)


def problems(spec: SweepSpec) -> Iterator[Problem]:
    """Containers whose image is not pinned."""
    if spec.reuse is None or spec.job is None:
        return
    pod = spec.job.template.get("spec", {}).get("template", {}).get("spec", {})
    for group in ("initContainers", "containers"):
        for i, container in enumerate(pod.get(group) or []):
            image = container.get("image")
            if image is not None and DIGEST not in str(image):
                yield Problem(f"{_POD}.{group}[{i}].image", not_pinned(str(image)))


def not_pinned(image: str) -> str:
    """What to say of an image that is named by a tag."""
    return f"found {shown(image)}; with `reuse`, allowed: an image by digest (name@sha256:…): a tag may name another one tomorrow"
