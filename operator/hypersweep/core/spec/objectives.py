"""What a trial is judged by."""

from typing import Annotated, Literal

from pydantic import Field

from hypersweep.core.spec.base import Model, Number, Text


class Objective(Model):
    """What a trial is judged by."""

    metric: Text = Field(description="Name of the MLflow metric that a trial logs.")
    goal: Literal["Minimize", "Maximize"] = Field(description="Direction in which the metric is better.")
    reduction: Literal["Last", "Best", "MeanOfLast"] = Field(
        "Last",
        description="How a metric's curve becomes one value: its last point (Last, the default), its best (Best), "
        "or the mean of its last `window` points (MeanOfLast).",
    )
    window: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="How many points MeanOfLast averages; only there, and required there."
    )


class ReadAt(Model):
    """The step of a trial that counts."""

    metric: Text = Field(
        description="Metric of an objective: the step where it is best, of those at which all were logged."
    )


class Constraint(Model):
    """A bound that a trial's result must keep."""

    metric: Text = Field(description="Name of the MLflow metric that a trial logs; may be an objective's.")
    min: Number | None = Field(None, description="Smallest value allowed, inclusive.")
    max: Number | None = Field(None, description="Largest value allowed, inclusive.")
