"""How hopeless trials are ended early."""

from typing import Annotated, Literal

from pydantic import Field

from hypersweep.core.spec.base import Duration, Model, Number, Text


class Asha(Model):
    """Successive halving, asynchronous: at each rung the best go on."""

    min_budget: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        2, description="The first rung: nothing is stopped before it, in units of the axis."
    )
    reduction_factor: Annotated[int, Field(ge=2, le=16)] = Field(
        2, description="One in so many goes on; each rung lies so many times further than the one before."
    )
    max_budget: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        None, description="What a whole trial takes: there is no rung from there on. Without: rungs go on."
    )
    mode: Literal["Stop", "Promote"] = Field(
        "Stop",
        description="What becomes of the others: they are stopped (Stop, the default), or paused at the rung, and resumed from "
        "their checkpoint when they are among the best after all (Promote). Promote needs a volume for checkpoints.",
    )


class Median(Model):
    """A trial worse than the median of those before it is stopped."""

    start_after: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        1, description="Looks there, at twice that, four times, and so on, in units of the axis."
    )
    min_trials: Annotated[int, Field(ge=1, le=10_000)] = Field(
        5, description="So many others must have come as far before any is stopped."
    )


class Threshold(Model):
    """A trial worse than a value is stopped; one that is not finite any more, at once."""

    value: Number = Field(description="Worse than this: stopped, in the objective's own units.")
    at_budget: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        description="Looks once, there, in units of the axis."
    )


class EarlyStopping(Model):
    """How hopeless trials are ended early."""

    type: Literal["ASHA", "Median", "Threshold"] = Field(
        description="The rule; its settings stand in the field of its name."
    )
    metric: Text | None = Field(
        None,
        description="Metric of the objective that it looks at, by default the first. Trials must log it as they go.",
    )
    axis: Text | None = Field(
        None,
        description="A metric that counts, such as samples seen, logged with the same steps: budgets are in its units. "
        "Without: budgets are MLflow steps (epochs, for the built-in trainer).",
    )
    poll: Duration = Field(
        "10s", description="Longest time between two looks at the curves; looks are as frequent as points are logged."
    )
    asha: Asha | None = Field(None, description="Settings of ASHA.")
    median: Median | None = Field(None, description="Settings of Median.")
    threshold: Threshold | None = Field(None, description="Settings of Threshold. Required there.")
