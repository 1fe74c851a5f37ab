"""What a repeated trial is made of."""

import math

import pytest

from hypersweep.core.errors import HyperSweepError
from hypersweep.core.lineage import recorded, spec_tags
from hypersweep.core.names import template_hash
from hypersweep.core.repeat import complete, same, seeded
from hypersweep.core.spec import SweepSpec
from tests.core.builders import make_spec


def written(*env: dict[str, str]) -> SweepSpec:
    """As its owner wrote it."""
    container = {"name": "train", "image": "i", "command": ["true"], "env": list(env)}
    return make_spec(job={"template": {"spec": {"template": {"spec": {"containers": [container]}}}}})


def with_env(*env: dict[str, str]) -> SweepSpec:
    """As the sweep's run holds it."""
    spec = written(*env)
    return recorded(spec_tags(spec), template_hash(spec))


def env_of(spec: SweepSpec) -> dict[str, str]:
    assert spec.job is not None
    container = spec.job.template["spec"]["template"]["spec"]["containers"][0]
    return {entry["name"]: entry["value"] for entry in container["env"]}


def test_the_recorded_seed_is_set() -> None:
    assert env_of(seeded(with_env(), seed="7", forced=False)) == {"HYPERSWEEP_SEED": "7"}


def test_a_seed_that_the_template_sets_itself_stays_unless_another_is_asked_for() -> None:
    spec = with_env({"name": "HYPERSWEEP_SEED", "value": "42"})
    assert env_of(seeded(spec, seed="7", forced=False)) == {"HYPERSWEEP_SEED": "42"}
    assert env_of(seeded(spec, seed="7", forced=True)) == {"HYPERSWEEP_SEED": "7"}


def test_the_built_in_trainer_gets_its_seed_though_it_has_no_template() -> None:
    document = make_spec().model_dump(by_alias=True, exclude_defaults=True)
    del document["job"]
    spec = SweepSpec.model_validate({**document, "trainer": {"settings": {"task": "digits"}}})
    assert env_of(seeded(spec, seed="7", forced=False)) == {"HYPERSWEEP_SEED": "7"}


def test_withheld_values_are_asked_for_by_name_and_place() -> None:
    """All that are lacking at once, with how to give them; what is given is the template that was."""
    env = [{"name": "A_TOKEN", "value": "x"}, {"name": "B_SECRET", "value": "y"}, {"name": "C", "value": "z"}]
    spec = with_env(*env)
    with pytest.raises(
        HyperSweepError, match=r"A_TOKEN \(of spec\..*env\[0\]\.value\), B_SECRET .*--set-env NAME=VALUE"
    ):
        complete(spec, {})
    found = complete(spec, {"A_TOKEN": "1", "B_SECRET": "2", "C": "3"})
    assert env_of(found) == {"A_TOKEN": "1", "B_SECRET": "2", "C": "z"}
    assert template_hash(complete(spec, {"A_TOKEN": "x", "B_SECRET": "y"})) == template_hash(written(*env))
    assert template_hash(found) != template_hash(written(*env))


@pytest.mark.parametrize(
    ("before", "after", "tolerance", "equal"),
    [
        pytest.param((0.1,), (0.1,), 0.0, True, id="equal"),
        pytest.param((0.1,), (math.nextafter(0.1, 1),), 0.0, False, id="the last bit"),
        pytest.param((0.1,), (0.15,), 0.06, True, id="within the tolerance"),
        pytest.param((math.nan,), (math.nan,), 0.0, True, id="not a number, twice"),
        pytest.param((0.1,), (math.nan,), 1.0, False, id="not a number, once"),
        pytest.param((math.inf,), (math.inf,), 0.0, True, id="infinite, twice"),
        pytest.param((0.1, 0.2), (0.1, 0.3), 0.0, False, id="the second of two"),
        pytest.param((0.1,), (), 0.0, False, id="no value"),
    ],
)
def test_values_are_compared_exactly_unless_a_tolerance_is_given(
    before: tuple[float, ...], after: tuple[float, ...], tolerance: float, *, equal: bool
) -> None:
    assert same(before, after, tolerance=tolerance) is equal
