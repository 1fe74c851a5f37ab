"""How trials run and where their results are kept."""

from typing import Annotated, Any, Literal

from pydantic import Field

from hypersweep.core.spec.base import ANYTHING, Duration, Model, Name, Text


class Tracking(Model):
    """Where results are kept."""

    server: Name = Field("default", description="A tracking server that the operator was given, by its name.")
    experiment: Text | None = Field(None, description="MLflow experiment; by default `namespace/name` of the sweep.")
    sweep: Text | None = Field(
        None,
        description="The sweep's name in the ledger; by default `namespace/name`. "
        "A sweep of the same name with the same search goes on where the earlier one was.",
    )


class Trainer(Model):
    """The built-in trainer."""

    settings: dict[str, Any] = Field(
        {}, description="Settings of the built-in trainer, such as task and epochs.", json_schema_extra={**ANYTHING}
    )


class Job(Model):
    """How a trial runs."""

    container: Name | None = Field(None, description="Name of the container that trains; by default the first.")
    arguments: Literal["None", "Flags", "Hydra"] = Field(
        "None",
        description="Arguments added to the container, one per active parameter: --name=value (Flags) or name=value (Hydra).",
    )
    template: dict[str, Any] = Field(
        {},
        description="A batch/v1 Job: `metadata` (labels, annotations) and `spec`. The operator owns backoffLimit, completions, "
        "parallelism, ttlSecondsAfterFinished, suspend and selector of the Job, and the pod's restartPolicy.",
        json_schema_extra={**ANYTHING},
    )


class Trials(Model):
    """How many trials, and how patient to be with each."""

    max: Annotated[int, Field(ge=1, le=100_000)] = Field(
        20, description="Trials in total. Raise it to continue a finished sweep."
    )
    parallel: Annotated[int, Field(ge=0, le=1000)] = Field(
        1, description="Trials at a time; 0 starts no more and lets the running ones end."
    )
    max_failed: Annotated[int, Field(ge=0, le=100_000)] = Field(
        5, description="Failed trials that are borne; one more ends the sweep."
    )
    attempts: Annotated[int, Field(ge=1, le=20)] = Field(
        2, description="Attempts that a trial has; disruptions of the node cost none."
    )
    timeout: Duration | None = Field(
        None, description="Longest run of one attempt, from its start, such as 90s or 1h30m. Without: no limit."
    )
    no_progress: Duration | None = Field(
        None, description="An attempt that logs no metric for so long is given up, such as 20m. Without: no limit."
    )


class Cleanup(Model):
    """How long ended Jobs stay, once their result is in the ledger."""

    succeeded: Duration = Field("10m", description="Jobs of succeeded attempts, such as 10m; 0s removes them at once.")
    failed: Duration = Field("24h", description="Jobs of failed attempts.")
    stopped: Duration = Field(
        "10m", description="Jobs of infeasible trials and those that were stopped after their end."
    )
