"""The search space."""

from typing import Annotated, Any, Literal

from pydantic import Field

from hypersweep.core.spec.base import ANYTHING, MAP_BY_PARAMETER, Choice, Model, Name, Number, Text


class When(Model):
    """A condition on a parent parameter."""

    parameter: Name = Field(description="The parent: another parameter of this sweep.")
    values: Annotated[list[Choice], Field(min_length=1, max_length=16)] | None = Field(
        None,
        description="Of a Categorical or Boolean parent: values under which the parameter exists; "
        'of a Boolean: "true", "false".',
    )
    min: Number | None = Field(
        None, description="Of a Float, Integer or Discrete parent: the smallest value under which the parameter exists."
    )
    max: Number | None = Field(
        None, description="Of a Float, Integer or Discrete parent: the largest value under which the parameter exists."
    )


class Parameter(Model):
    """One dimension of the search space."""

    name: Name = Field(description="Name that the trial sees. Letters, digits, `_`, `.` and `-`.")
    type: Literal["Float", "Integer", "Discrete", "Categorical", "Boolean"] = Field(
        description="Kind of values: Float and Integer have a range, Discrete has `numbers`, Categorical has `values`."
    )
    min: Number | None = Field(None, description="Float, Integer: smallest value, inclusive. Required there.")
    max: Number | None = Field(None, description="Float, Integer: largest value, inclusive. Required there.")
    scale: Literal["Linear", "Log", "ReverseLog", "Logit"] | None = Field(
        None,
        description="Float, Integer: how the range is measured. Linear (the default), or Log for values over several decades; "
        "Float: ReverseLog for values near 1, such as 0.9, 0.99, 0.999 (`max` below 1), Logit for values near 0 and near 1.",
    )
    distribution: Literal["Normal", "LogNormal"] | None = Field(
        None,
        description="Float, Integer: how likely values are, in place of a scale: around `mean` with `deviation`, within the "
        "bounds. Normal, or LogNormal (the logarithm is normal). Without: evenly on the scale.",
    )
    mean: Number | None = Field(
        None, description="With a distribution: the likeliest value (LogNormal: the median); from `min` to `max`."
    )
    deviation: Number | None = Field(
        None,
        description="With a distribution: the standard deviation. LogNormal: of the natural logarithm; 0.7 is a factor of two "
        "either way, 2.3 a factor of ten.",
    )
    step: Number | None = Field(
        None, description="Float, Integer: distance between values, counted from `min`. Not with scale Log."
    )
    points: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        None,
        description="Float: how many evenly spaced values the Grid strategy takes (with scale Log: evenly in the logarithm).",
    )
    numbers: Annotated[list[Number], Field(min_length=1, max_length=128)] | None = Field(
        None, description="Discrete: the values, all different. Required there."
    )
    values: Annotated[list[Choice], Field(min_length=1, max_length=64)] | None = Field(
        None,
        description='Categorical: the values, all different, always text (write "on" or "1" with quotes). Required there.',
    )
    default: Any = Field(
        None,
        description="Its value in the first trial after `initialTrials`; parameters without one are drawn there.",
        json_schema_extra={**ANYTHING},
    )
    when: Annotated[list[When], Field(max_length=4)] = Field(
        [],
        description="The parameter exists only where all of these hold. Without: always.",
        json_schema_extra={**MAP_BY_PARAMETER},
    )


class ParameterConstraint(Model):
    """What every assignment meets."""

    expression: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="A comparison over parameters, such as `layers * batch_size <= 256` or "
        "`optimizer != 'sgd' || momentum < 0.9`: `||`, `&&`, `!`, `==`, `!=`, `<`, `<=`, `>`, `>=`, `in [...]`, "
        "`+`, `-`, `*`, `/`, `%`. A name with `-` in it stands in backquotes. Holds where a parameter it mentions is inactive."
    )
    message: Text | None = Field(None, description="Said to people about an assignment that does not meet it.")
