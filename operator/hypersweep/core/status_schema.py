"""The typed model of a sweep's `status`, as the CRD declares it. What it says is made in `status.py`.

Owns names and descriptions only. It is wide on purpose: the operator is the one writer, and a bound that is too narrow
would lose a report. Nothing is required but what a list is keyed by, since a status is written in parts.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from hypersweep.core.spec import ANYTHING


class Part(BaseModel):
    """Base of every part of the status."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Condition(Part):
    """One aspect of the sweep's state, in the form of Kubernetes' own conditions."""

    type: str = Field(max_length=316, description="Which aspect.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field("", description="Why, in one CamelCase word for programs.")
    message: str = Field("", description="Why, for people.")
    last_transition_time: str = Field(
        "", description="When the condition's status changed last.", json_schema_extra={"format": "date-time"}
    )
    observed_generation: int = Field(0, description="Generation of the spec that it was made from.")


class Counts(Part):
    """Trials by what became of them."""

    created: int = Field(0, description="All that were planned, whatever became of them.")
    running: int = Field(0, description="Trials whose attempt runs now.")
    paused: int = Field(0, description="Wait at a rung, to be resumed or stopped (`mode: Promote`).")
    succeeded: int = Field(0, description="Ended with a value of the objective.")
    failed: int = Field(0, description="Ended without one, all attempts used up.")
    stopped: int = Field(0, description="Ended early on purpose.")
    infeasible: int = Field(
        0, description="Impossible as assigned: out of memory, a value that is not finite, a constraint violated."
    )
    reused: int = Field(0, description="Succeeded without a Job, by the result of an equal trial.")
    resumed: int = Field(0, description="Had ended before this object existed; taken over from the ledger.")


class Run(Part):
    """An MLflow run."""

    id: str = Field("", description="Its id.")
    url: str = Field("", description="Its page.")


class Entry(Part):
    """A trial and its result."""

    trial: int = Field(0, description="Index of the trial.")
    value: str = Field("", description="The value of the objective, or of each, rounded for people.")
    parameters: dict[str, Any] = Field(
        {}, description="The trial's assignment (left out where it is long).", json_schema_extra={**ANYTHING}
    )
    objectives: dict[str, float] = Field({}, description="The exact value of each objective.")
    repeats: int = Field(0, description="Of an assignment that is run with several seeds: how many succeeded.")
    interval: list[float] = Field(
        [], description="Between what its mean lies, with 95 % confidence; absent while no assignment has two results."
    )
    run: Run = Field(Run(), description="The trial's MLflow run; of several, the first's.")


class Failure(Part):
    """Trials that failed alike."""

    reason: str = Field("", description="Why, in one CamelCase word.")
    message: str = Field("", description="The last line that the example said.")
    count: int = Field(0, description="How many trials failed so.")
    trial: int = Field(0, description="Index of the example.")
    pod: str = Field("", description="The example's pod (on a laptop: its log file).")
    log: str = Field("", description="The last lines of the example's log.")


class Effective(Part):
    """The strategy at work."""

    effective: str = Field("", description="Its name.")
    reason: str = Field("", description="Why this one.")


class Stopping(Part):
    """Early stopping."""

    rule: str = Field("", description="The rule at work.")
    no_curve: int = Field(
        0, description="Trials whose metric had a single point: the rule could not have judged them. Log it with steps."
    )


class LeftOut(Part):
    """Runs that taught nothing, for one reason."""

    reason: str = Field("", description="NotFinished, NotMeasured, Missing, WrongType or OutsideSpace.")
    count: int = Field(0, description="How many.")
    example: str = Field("", description="The newest of them, and what was wrong with it.")


class WarmStarted(Part):
    """What other runs have taught."""

    found: int = Field(0, description="Runs that were found.")
    taken: int = Field(0, description="Runs that the strategy learns from.")
    left_out: list[LeftOut] = Field([], description="The others, by reason.")
    told: str = Field("", description="The same in a line.")


class RangeTest(Part):
    """What a learning-rate range test found."""

    optimizer: str = Field("", description="The optimizer that it was done with, where the sweep has several.")
    verdict: str = Field(
        "", description="What the curve shows (Falls, TooSmall, …), or how the test ended without one."
    )
    min: float = Field(0, description="Trials with this optimizer search from here; absent: within your own bounds.")
    max: float = Field(0, description="Trials with this optimizer search up to here.")
    reason: str = Field("", description="The reasoning, in words.")
    run: Run = Field(Run(), description="Its MLflow run, with plot and curve.")


class Ledger(Part):
    """Where the results are."""

    experiment_id: str = Field("", description="Id of the MLflow experiment.")
    parent_run: str = Field("", description="Id of the sweep's own run, the parent of the trials' runs.")
    url: str = Field("", description="Its page.")


class Report(Part):
    """The report that a finished sweep leaves behind: what mattered, where it was good, what was never tried."""

    state: str = Field("", description="Pending, Written or NotWritten.")
    path: str = Field("", description="Where it is among the artifacts of the sweep's own MLflow run.")
    message: str = Field("", description="Why it is not there, or not yet.")


class RegisteredModel(Part):
    """The best model of a sweep that is complete, where the spec asks for its registration."""

    state: str = Field("", description="Pending, Registered or NotRegistered.")
    name: str = Field("", description="The registered model in MLflow.")
    version: str = Field("", description="The version that the trial's model is.")
    alias: str = Field("", description="The alias that was set to it.")
    trial: int = Field(0, description="Index of the trial whose model it is.")
    run: Run = Field(Run(), description="The MLflow run that made it.")
    reason: str = Field("", description="Why it is not registered, in one CamelCase word.")
    message: str = Field("", description="The same, or what was registered, for people.")


class SweepStatus(Part):
    """What the operator knows of the sweep: counts, the best and grouped failures; every trial is in MLflow."""

    observed_generation: int = Field(
        0, description="Generation of the spec that this status tells of; -1: none was seen yet."
    )
    phase: str = Field("", description="The state in one word, for people; programs use `conditions`.")
    progress: str = Field("", description="Ended trials of all, such as 31/60.")
    summary: str = Field("", description="The state in one line.")
    conditions: list[Condition] = Field(
        [],
        description="Accepted, Reconciling, Stalled, Suspended, TrackingAvailable, Finished, Complete, Failed; and "
        "ModelRegistered, where `onComplete` asks for that.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    trials: Counts = Field(Counts(), description="Trials by what became of them.")
    best: Entry = Field(
        Entry(),
        description="The best trial so far; with several objectives a compromise: the trial of the Pareto front nearest the "
        "ideal, which is the best of each objective, each scaled by the front's range.",
    )
    top: list[Entry] = Field([], description="The best trials so far, best first, at most 10. Of one objective.")
    pareto_front: list[Entry] = Field(
        [],
        description="Of several objectives: the trials that no other is better than, by the first objective, at most 20 (then "
        "those that are best in one, and others as far apart as can be).",
    )
    failures: list[Failure] = Field([], description="Failed trials, grouped by likeness, at most 5 groups.")
    learning_rate_range_tests: list[RangeTest] = Field([], description="Those that have ended, at most 16.")
    strategy: Effective = Field(Effective(), description="The strategy at work.")
    early_stopping: Stopping = Field(Stopping(), description="Early stopping, where the spec asks for it.")
    warm_start: WarmStarted = Field(
        WarmStarted(),
        description="What other runs have taught, where the spec asks for it: read once, before the first trial.",
    )
    tracking: Ledger = Field(Ledger(), description="Where the results are.")
    report: Report = Field(Report(), description="The report on a sweep that has ended.")
    registered_model: RegisteredModel = Field(
        RegisteredModel(),
        description="The best model, once the sweep has ended, where `onComplete` asks for its registration.",
    )
    start_time: str = Field("", description="When the sweep began.", json_schema_extra={"format": "date-time"})
    completion_time: str = Field("", description="When the sweep ended.", json_schema_extra={"format": "date-time"})
    resource_hours: dict[str, float] = Field(
        {},
        description="What the pods of all trials have reserved, times the time for which they did: cpu in core hours, "
        "memory in GiB hours, others in hours of a unit. While trials run it moves in coarse steps.",
    )
    eta: str = Field(
        "", description="When the last trial should end, by the pace so far.", json_schema_extra={"format": "date-time"}
    )
