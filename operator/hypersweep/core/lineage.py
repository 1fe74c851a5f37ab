"""What a sweep's runs must hold so that it can be understood and repeated without its object: the spec, written down. Pure.

The parent run holds the whole spec once for each template that trials were made from, under the template's hash, which is on
every trial's run. MLflow's tags are short, so it is cut into pieces. Secrets that stand in it literally are left out: whoever
reads MLflow is not whoever reads the cluster. What they were is not recorded anywhere, but the hash is that of the whole.
"""

import json
from collections.abc import Mapping

from hypersweep.core.errors import Problem, SpecError
from hypersweep.core.names import template_hash
from hypersweep.core.secrets import withheld
from hypersweep.core.spec import SweepSpec

SPEC = "hypersweep.spec"  # .<template's hash>.<number of the piece>
PIECE = 7500  # characters, below MLflow's limit of a tag
PIECES = 40  # 300 KB; a longer spec is not written down


def spec_tags(spec: SweepSpec) -> dict[str, str]:
    """The spec as tags for the sweep's own run; none where it is too long."""
    document = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = json.dumps(withheld(document), sort_keys=True, separators=(",", ":"))
    if len(text) > PIECE * PIECES:
        return {}
    pieces = [text[i : i + PIECE] for i in range(0, len(text), PIECE)]
    return {f"{SPEC}.{template_hash(spec)}.{i}": piece for i, piece in enumerate(pieces)}


def templates(tags: Mapping[str, str]) -> list[str]:
    """The hashes of the templates under which a run's tags hold a spec."""
    return sorted({key.split(".")[2] for key in tags if key.startswith(f"{SPEC}.")})


def recorded(tags: Mapping[str, str], template: str) -> SweepSpec:
    """The spec that `spec_tags` wrote under that template's hash. SpecError: it is not there, or cannot be read."""
    pieces: list[str] = []
    while (piece := tags.get(f"{SPEC}.{template}.{len(pieces)}")) is not None:
        pieces.append(piece)
    if not pieces:
        raise SpecError([Problem(f"{SPEC}.{template}", "the sweep's run in MLflow does not hold the spec")])
    try:
        return SweepSpec.model_validate_json("".join(pieces))
    except ValueError as error:
        raise SpecError([Problem(f"{SPEC}.{template}", f"cannot be read: {error}")]) from None
