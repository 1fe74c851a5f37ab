"""How the space is searched, and what is known before: strategy, repeats, first trials, results of others, range tests."""

from typing import Annotated, Any, Literal

from pydantic import Field

from hypersweep.core.spec.base import ANYTHING, STRATEGY, Model, Name, Text


class Strategy(Model):
    """What proposes the assignments."""

    name: Annotated[str, Field(pattern=STRATEGY, min_length=1, max_length=100)] = Field(
        "Auto",
        description="Auto (the default: chosen by the space and by how much is known), Grid, Random, Sobol (evenly spread), TPE "
        "(tree-structured Parzen estimator), GP (Gaussian process), CMAES (evolution strategy), or package/Name of one that is "
        "installed beside the operator.",
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        0, description="Same seed and same history: same proposals."
    )
    settings: dict[str, Any] = Field(
        {},
        description="Settings of that strategy, such as `startup: 12`; those that it does not have are refused by the operator.",
        json_schema_extra={**ANYTHING},
    )


class Repeats(Model):
    """How often an assignment is run."""

    count: Annotated[int, Field(ge=1, le=20)] = Field(
        1, description="Trials of each assignment, each with a seed of its own; the assignment's value is their mean."
    )
    racing: bool = Field(
        False,
        description="True: one seed after the other, and further ones only for assignments that may be the best.",
    )


class InitialTrial(Model):
    """An assignment to try before the strategy proposes any."""

    name: Text | None = Field(None, description="A name for people, kept on the trial's run.")
    defaults: Literal["Published"] | None = Field(
        None,
        description="Published: parameters that are left out take the values published for the model and the optimizer, where "
        "they lie in what is searched; only with `trainer`. docs/trainer.md lists them with their sources.",
        json_schema_extra={"enum": ["Published"]},
    )
    parameters: dict[str, Any] = Field(
        {},
        description="Values by parameter. What is left out is as `defaults` says, or takes its default, or is drawn at random "
        "by the strategy's seed.",
        json_schema_extra={**ANYTHING},
    )


class WarmStart(Model):
    """Runs that others have made, to learn from."""

    experiment: Text = Field(
        description="An MLflow experiment on the sweep's tracking server, of those that the administrator lets sweeps read."
    )
    filter: Annotated[str, Field(max_length=1000)] = Field(
        "",
        description="Which of its runs, in MLflow's own search language, such as `tags.team = 'vision' and metrics.loss < 2`. "
        "Without: all of them.",
    )
    limit: Annotated[int, Field(ge=1, le=5000)] = Field(
        1000, description="At most so many, the newest; all sources together are cut at 5,000."
    )


class Reuse(Model):
    """What is done already is not done again."""

    data_fingerprint: Text = Field(
        description="Names the data that trials train on, such as a version or a checksum: change it whenever they change."
    )


class LearningRateRangeTest(Model):
    """A test before trial 0 that finds the learning rates worth searching."""

    parameter: Name = Field(description="The Float parameter that is the learning rate, such as lr.")
    optimizer: Name | None = Field(
        None,
        description="A Categorical parameter without `when`, at most 16 values: one test for each, since their ranges differ.",
    )
