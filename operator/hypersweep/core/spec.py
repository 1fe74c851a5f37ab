"""The typed model of a HyperparameterSweep's `spec`: the one source for parsing, validation messages and the CRD.

Owns names, types, bounds, defaults and descriptions of fields, and the names that are kept for fields not built yet
(`reserved`: refused by API server and reader alike, never ignored). Rules between fields are in `rules.py`, rules that
the API server cannot say in `admission.py`; how the model becomes a CRD is in `crd.py`, how a document becomes a model
in `manifest.py`.

Field names are camelCase in manifests, snake_case here. From v1alpha1 on the resource only grows: bounds may be
widened, nothing may be renamed. The bounds of lists and texts also pay for the CEL rules, whose cost the API server
estimates from them.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP, VERSION, PLURAL, KIND = "hypersweep.dev", "v1alpha1", "hyperparametersweeps", "HyperparameterSweep"
LARGEST_INTEGER = 2**53  # what JSON readers keep exactly
LARGEST_NUMBER = 1e18  # below 2^63: the API server compares whole numbers with a bound as 64-bit integers

LONGEST_NAME = 63  # of a sweep: a label's value, so that `-l hypersweep.dev/sweep=NAME` works
SWEEP_NAME = re.compile(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)  # what Kubernetes takes as a name

# Units from large to small, each at most once; at most six digits keep every instant within what a date can say.
DURATION = "^" + "".join(rf"([0-9]{{1,6}}(\.[0-9]{{1,3}})?{unit})?" for unit in ("d", "h", "m", "s", "ms")) + "$"
NAME = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
RESOURCE = r"^([a-z0-9.-]+/)?[A-Za-z0-9_.-]+$"
CHOICE = r"^[^\x00-\x1f\x7f]+$"
MODEL = r"^[A-Za-z0-9_]([A-Za-z0-9 _.-]*[A-Za-z0-9_])?$"
ALIAS = r"^[A-Za-z0-9_-]+$"
BUILT_IN = (
    "Auto",
    "Grid",
    "Random",
    "Sobol",
    "TPE",
    "GP",
    "CMAES",
)  # strategies; others are installed beside the operator
STRATEGY = rf"^({'|'.join(BUILT_IN)}|[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z][A-Za-z0-9_]*)$"
EXPECTED = {  # a pattern in words
    STRATEGY: f"expected is {', '.join(BUILT_IN)}, or package/Name of a strategy that is installed beside the operator",
    DURATION: "a duration is expected, such as 90s, 10m or 1h30m (units from large to small: d, h, m, s, ms)",
    NAME: "a name is expected: letters, digits, `_`, `.` and `-`, first a letter or `_`",
    RESOURCE: "a resource of Kubernetes is expected, such as cpu, memory or nvidia.com/gpu",
    CHOICE: "text without control characters is expected",
    MODEL: "the name of a registered model is expected: letters, digits, blanks, `_`, `.` and `-`, such as team-a.digits",
    ALIAS: "an alias is expected: letters, digits, `_` and `-`, such as champion",
}
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

# Notes for crd.py, in the schema's own words: a list merged by key, and a field that may hold anything.
# The latter says no `type`: with `type: object`, CEL's `==` would not look inside.
MAP_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
MAP_BY_METRIC: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["metric"]}
MAP_BY_RESOURCE: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["resource"]}
MAP_BY_PARAMETER: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["parameter"]}
ANYTHING: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}

Duration = Annotated[str, Field(pattern=DURATION, min_length=1, max_length=32)]
Name = Annotated[str, Field(pattern=NAME, min_length=1, max_length=63)]
Text = Annotated[str, Field(min_length=1, max_length=250)]
Choice = Annotated[str, Field(pattern=CHOICE, min_length=1, max_length=128)]
Number = Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER, allow_inf_nan=False)]


def seconds(duration: str) -> float:
    """Seconds of a duration such as `1h30m`. Units: d, h, m, s, ms."""
    return sum(float(n) * _UNIT_SECONDS[u] for n, _, u in re.findall(r"([0-9]+(\.[0-9]+)?)(ms|s|m|h|d)", duration))


class Model(BaseModel):
    """Base of every part of the spec: unknown fields are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)
    reserved: ClassVar[Mapping[str, Literal["array", "object"]]] = {}  # fields of a later version, refused by this one


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


class Cleanup(Model):
    """How long ended Jobs stay, once their result is in the ledger."""

    succeeded: Duration = Field("10m", description="Jobs of succeeded attempts, such as 10m; 0s removes them at once.")
    failed: Duration = Field("24h", description="Jobs of failed attempts.")
    stopped: Duration = Field(
        "10m", description="Jobs of infeasible trials and those that were stopped after their end."
    )


class LearningRateRangeTest(Model):
    """A test before trial 0 that finds the learning rates worth searching."""

    parameter: Name = Field(description="The Float parameter that is the learning rate, such as lr.")
    optimizer: Name | None = Field(
        None,
        description="A Categorical parameter without `when`, at most 16 values: one test for each, since their ranges differ.",
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
