"""The spec as a whole: every field, in the order in which the resource has them."""

from typing import Annotated

from pydantic import Field

from hypersweep.core.spec.base import MAP_BY_METRIC, MAP_BY_NAME, Model
from hypersweep.core.spec.ending import OnComplete, StopWhen
from hypersweep.core.spec.objectives import Constraint, Objective, ReadAt
from hypersweep.core.spec.parameters import Parameter, ParameterConstraint
from hypersweep.core.spec.search import InitialTrial, LearningRateRangeTest, Repeats, Reuse, Strategy, WarmStart
from hypersweep.core.spec.stopping import EarlyStopping
from hypersweep.core.spec.trials import Cleanup, Job, Tracking, Trainer, Trials


class SweepSpec(Model):
    """What to search, how a trial runs, and how long to go on."""

    objectives: list[Objective] = Field(
        min_length=1,
        max_length=3,
        description="What is optimized. With several objectives the result is their Pareto front. Frozen once created.",
        json_schema_extra={**MAP_BY_METRIC},
    )
    read_at: ReadAt | None = Field(
        None,
        description="With several objectives: the step of a trial at which all of them, and the constraints, are read. "
        "Without: the last at which all were logged. Frozen once created.",
    )
    constraints: Annotated[list[Constraint], Field(max_length=8)] = Field(
        [],
        description="Bounds on other metrics of a trial, read where the objective is. A trial beyond one is infeasible: "
        "it guides the search and never wins. Frozen once created.",
        json_schema_extra={**MAP_BY_METRIC},
    )
    parameters: list[Parameter] = Field(
        min_length=1,
        max_length=100,
        description="The search space. Order has no meaning. Frozen once created.",
        json_schema_extra={**MAP_BY_NAME},
    )
    parameter_constraints: Annotated[list[ParameterConstraint], Field(max_length=32)] = Field(
        [],
        description="Comparisons between parameters that every assignment meets, all of them. Frozen once created.",
    )
    strategy: Strategy = Field(Strategy(), description="What proposes the assignments. Frozen once created.")
    repeats: Repeats = Field(
        Repeats(),
        description="How often an assignment is run; `trials.max` counts every run. Frozen once created.",
    )
    initial_trials: Annotated[list[InitialTrial], Field(max_length=100)] = Field(
        [], description="Assignments to try before the strategy proposes any, in this order. Frozen once created."
    )
    warm_start: Annotated[list[WarmStart], Field(max_length=8)] = Field(
        [],
        description="Runs of other sweeps or scripts that the strategy learns from: read once, before the first trial. "
        "Frozen once created.",
    )
    reuse: Reuse | None = Field(
        None,
        description="A trial whose image, template, data, parameters and seed equal those of a succeeded one in the sweep's "
        "experiment takes its result and runs no Job. Images must be named by digest. Without: every trial runs. "
        "Frozen once created.",
    )
    learning_rate_range_test: LearningRateRangeTest | None = Field(
        None,
        description="Run learning-rate range tests before trial 0, and search each optimizer's rates in the interval that its "
        "test found, always within `min` and `max`. Off by default. Frozen once created.",
    )
    tracking: Tracking = Field(Tracking(), description="Where results are kept. Frozen once created.")
    trainer: Trainer | None = Field(
        None, description="The built-in trainer: fills image and command of the Job. Editable while suspended."
    )
    job: Job | None = Field(
        None, description="How a trial runs: with your own image, or on top of `trainer`. Editable while suspended."
    )
    trials: Trials = Field(
        Trials(), description="How many trials, and how patient to be with each. Editable at any time."
    )
    stop_when: StopWhen = Field(StopWhen(), description="When to end before all trials are done. Editable at any time.")
    early_stopping: EarlyStopping | None = Field(
        None, description="How hopeless trials are ended early. Without: none is. Editable at any time."
    )
    on_complete: OnComplete | None = Field(
        None,
        description="What becomes of the best model once the sweep is complete. Without: it stays on its trial's run. "
        "Editable at any time; of a sweep that is complete, an edit has it done then.",
    )
    cleanup: Cleanup = Field(Cleanup(), description="How long ended Jobs stay. Editable at any time.")
    suspend: bool = Field(
        False, description="True: running attempts are deleted, at no charge, and wait. Editable at any time."
    )
    retry: Annotated[str, Field(max_length=64)] = Field(
        "", description="A token of your choice: change it to run the failed trials again. Editable at any time."
    )
