"""Initial trials of which a person leaves parts to chance."""

from typing import Any

from hypersweep.core import strategies
from hypersweep.core.space import Space
from hypersweep.core.spec import SweepSpec
from hypersweep.core.trial import Assignment
from tests.core.builders import make_spec

PARTS: tuple[dict[str, Any], ...] = ({"momentum": 0.9, "layers": 5}, {}, {"opt": "adam"})


def spec(seed: int) -> SweepSpec:
    """A sweep with three initial trials, none of which says everything."""
    return make_spec(
        parameters=[
            {"name": "opt", "type": "Categorical", "values": ["adam", "sgd", "rprop", "lion"]},
            {
                "name": "momentum",
                "type": "Float",
                "min": 0,
                "max": 1,
                "when": [{"parameter": "opt", "values": ["sgd"]}],
            },
            {"name": "layers", "type": "Integer", "min": 1, "max": 9},
            {"name": "width", "type": "Integer", "min": 1, "max": 9},
        ],
        parameterConstraints=[{"expression": "layers * width <= 20"}],
        initialTrials=[{"parameters": part} for part in PARTS],
        strategy={"name": "Random", "seed": seed},
    )


def filled(sweep: SweepSpec) -> list[Assignment | None]:
    """What its first trials run with."""
    return [strategies.suggest(sweep, history=(), pending=(), trial=i) for i in range(len(PARTS))]


def test_what_is_left_out_is_filled_to_go_with_what_was_given() -> None:
    """A child that is given makes its parent have a value under which it exists, and constraints are met."""
    sweep = spec(seed=3)
    assert strategies.problems(sweep) == []
    for part, whole in zip(PARTS, filled(sweep), strict=True):
        assert whole is not None
        assert part.items() <= whole.items()
        assert Space.of(sweep).problems(whole) == []
    momentum = filled(sweep)[0]
    assert momentum is not None
    assert momentum["opt"] == "sgd"


def test_the_seed_decides_what_is_filled_in() -> None:
    """The same each time, and another for another seed."""
    assert filled(spec(seed=3)) == filled(spec(seed=3))
    assert filled(spec(seed=3))[1] != filled(spec(seed=4))[1]
