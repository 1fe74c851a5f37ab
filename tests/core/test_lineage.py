"""What the ledger keeps of a spec reads back as the same, and without secrets."""

import pytest

from hypersweep.core.errors import SpecError
from hypersweep.core.goyaml import documents
from hypersweep.core.lineage import PIECE, recorded, spec_tags, templates
from hypersweep.core.manifest import parse
from hypersweep.core.names import template_hash
from hypersweep.tracking.base import TAG_LIMIT
from hypersweep.tracking.identity import search_hash
from tests.core.builders import make_spec
from tests.corpus.cases import cases

VALID = {case.name: case for case in cases("valid")}


@pytest.mark.parametrize("name", VALID)
def test_every_valid_spec_reads_back_as_the_same(name: str) -> None:
    """So that an analysis searches the same space, and a repeated trial runs the same Job."""
    _, spec = parse(next(iter(documents(VALID[name].document, source=name))).content)
    tags = spec_tags(spec)
    again = recorded(tags, template_hash(spec))
    assert (search_hash(again), again.trials) == (search_hash(spec), spec.trials)
    assert templates(tags) == [template_hash(spec)] == [template_hash(again)]


def container(**changes: object) -> dict[str, object]:
    made = {"name": "train", "image": "i", "command": ["true"], **changes}
    return {"template": {"spec": {"template": {"spec": {"containers": [made]}}}}}


def test_a_long_spec_is_cut_into_pieces_that_mlflow_takes() -> None:
    spec = make_spec(job=container(command=["x" * 3 * PIECE]))
    tags = spec_tags(spec)
    assert len(tags) == 4
    assert max(map(len, tags.values())) < TAG_LIMIT
    assert recorded(tags, template_hash(spec)) == spec


def test_a_spec_that_is_far_too_long_is_not_written_and_said_to_be_missing() -> None:
    spec = make_spec(job=container(command=["x" * 50 * PIECE]))
    assert spec_tags(spec) == {}
    with pytest.raises(SpecError, match="does not hold the spec"):
        recorded({}, template_hash(spec))


def test_secrets_stay_out_of_mlflow_and_all_else_goes_there() -> None:
    """Of variables, arguments and settings; the hash is still that of the whole, so that equal templates are known as equal."""
    env = [{"name": "HF_TOKEN", "value": "hunter2"}, {"name": "DATA", "value": "/data"}]
    spec = make_spec(
        job=container(env=env, args=["--api-key", "hunter3"]), trainer={"settings": {"hub_token": "hunter4"}}
    )
    other = make_spec(
        job=container(env=env, args=["--api-key", "other"]), trainer={"settings": {"hub_token": "hunter4"}}
    )
    tags = spec_tags(spec)
    assert "hunter" not in str(tags)
    assert "/data" in str(tags)
    assert recorded(tags, template_hash(spec)).job is not None
    assert template_hash(spec) != template_hash(other)
