"""Rules of `learningRateRangeTest`: which parameters it can be about, in CEL and in Python.

What CEL would pay too much for (nothing may depend on the rate) is in `admission.py`.
"""

from hypersweep.core.rule import Rule
from hypersweep.core.spec import SweepSpec


def _testable(spec: SweepSpec) -> bool:
    asked = spec.learning_rate_range_test
    return asked is None or any(
        p.name == asked.parameter and p.type == "Float" and p.step is None for p in spec.parameters
    )


def _choosing(spec: SweepSpec) -> bool:
    asked = spec.learning_rate_range_test
    if asked is None or asked.optimizer is None:
        return True
    return any(
        p.name == asked.optimizer and p.type == "Categorical" and not p.when and len(p.values or ()) <= 16
        for p in spec.parameters
    )


RANGE_TEST = (
    Rule(
        field="learningRateRangeTest.parameter",
        cel="!has(self.learningRateRangeTest) || self.parameters.exists(p, "
        "p.name == self.learningRateRangeTest.parameter && p.type == 'Float' && !has(p.step))",
        message="the range test's parameter must be a Float parameter of this sweep without `step`",
        holds=_testable,
    ),
    Rule(
        field="learningRateRangeTest.optimizer",
        cel="!has(self.learningRateRangeTest) || !has(self.learningRateRangeTest.optimizer) || self.parameters.exists(p, "
        "p.name == self.learningRateRangeTest.optimizer && p.type == 'Categorical' && !has(p.when) && "
        "p.values.size() <= 16)",
        message="the range test's optimizer must be a Categorical parameter of this sweep, without `when`, of at most 16 values",
        holds=_choosing,
    ),
)
