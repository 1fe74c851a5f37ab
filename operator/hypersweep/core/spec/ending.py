"""When the sweep ends, and what becomes of its best model."""

from typing import Annotated, Literal

from pydantic import Field

from hypersweep.core.spec.base import (
    ALIAS,
    LARGEST_NUMBER,
    MAP_BY_METRIC,
    MAP_BY_RESOURCE,
    MODEL,
    RESOURCE,
    Duration,
    Model,
    Number,
    Text,
)


class Target(Model):
    """A value that is good enough."""

    metric: Text = Field(description="Metric of an objective.")
    value: Number = Field(description="Reached or passed by a finished trial: the sweep is complete.")


class NoImprovement(Model):
    """A search that gets no further."""

    trials: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="So many of the newest trials, taken together, have not improved the best (of several objectives: the "
        "Pareto front; with `repeats`: the best assignment): the sweep is complete. Failed trials do not count."
    )
    tolerance: Annotated[float, Field(ge=0, le=LARGEST_NUMBER, allow_inf_nan=False)] = Field(
        0.0, description="An improvement by no more than this is none, in the objective's own units; 0 with several."
    )


class ResourceLimit(Model):
    """How much of a resource the sweep may use."""

    resource: Annotated[str, Field(pattern=RESOURCE, min_length=1, max_length=128)] = Field(
        description="As pods name it: cpu (counted in cores), memory (in GiB), nvidia.com/gpu or another (in units)."
    )
    max: Annotated[float, Field(ge=0, le=LARGEST_NUMBER, allow_inf_nan=False)] = Field(
        description="Hours of one unit: what pods reserve, times the time for which they do, over all attempts."
    )


class StopWhen(Model):
    """When to end before all trials are done."""

    targets: Annotated[list[Target], Field(max_length=4)] = Field(
        [], description="Any of these ends the sweep.", json_schema_extra={**MAP_BY_METRIC}
    )
    no_improvement: NoImprovement | None = Field(
        None, description="Ends the sweep when the search gets no further. Without: it goes on."
    )
    expected_improvement_below: Number | None = Field(
        None,
        description="Ends the sweep when no trial is expected to improve the best by so much, in the objective's own units, by a "
        "Gaussian process over what has ended (10 measured trials at least). For sweeps of one objective.",
    )
    duration: Duration | None = Field(
        None, description="Longest time from the sweep's start, suspension included, such as 8h."
    )
    resource_hours: Annotated[list[ResourceLimit], Field(max_length=8)] = Field(
        [], description="Any of these ends the sweep once it is used up.", json_schema_extra={**MAP_BY_RESOURCE}
    )
    running_trials: Literal["Stop", "Finish"] = Field(
        "Stop",
        description="What becomes of running trials when any of `stopWhen` ends the sweep: they are stopped (Stop, the default), "
        "or run to their end and count (Finish). Trials that do not run yet are stopped.",
    )


class Choose(Model):
    """Which trial of a Pareto front."""

    metric: Text = Field(description="Metric of an objective: the trial of the front that is best in it.")


class OnComplete(Model):
    """What becomes of the best model."""

    register_model: Annotated[str, Field(pattern=MODEL, min_length=1, max_length=200)] = Field(
        description="A registered model of MLflow, made where there is none: the best trial's model becomes its next version. "
        "The administrator says which names a namespace may use; by default those that begin with `namespace.`."
    )
    alias: Annotated[str, Field(pattern=ALIAS, min_length=1, max_length=100)] | None = Field(
        None, description="An alias that is set to that version, such as champion; whatever had it has it no more."
    )
    choose: Choose | None = Field(
        None,
        description="With several objectives: which trial of the Pareto front. Without: the one that `status.best` shows.",
    )
