"""The typed model of a HyperparameterSweep's `spec`: the one source for parsing, validation messages and the CRD.

Owns names, types, bounds, defaults and descriptions of fields, and the names that are kept for fields not built yet
(`reserved`: refused by API server and reader alike, never ignored). Rules between fields are in `rules.py`, rules that
the API server cannot say in `admission.py`; how the model becomes a CRD is in `crd.py`, how a document becomes a model
in `manifest.py`.

Field names are camelCase in manifests, snake_case here. From v1alpha1 on the resource only grows: bounds may be
widened, nothing may be renamed. The bounds of lists and texts also pay for the CEL rules, whose cost the API server
estimates from them.

| module | holds |
|---|---|
| `base` | patterns, bounds, durations, and the base of all models |
| `objectives` | objectives, `readAt`, constraints on the outcome |
| `parameters` | parameters, `when`, constraints between them |
| `search` | strategy, repeats, initial trials, warm start, reuse, range tests |
| `trials` | tracking, trainer, job, trials, cleanup |
| `stopping` | early stopping |
| `ending` | `stopWhen`, `onComplete` |
| `sweep` | the spec as a whole |

Everybody outside imports from here.
"""

from hypersweep.core.spec.base import (
    ANYTHING,
    BUILT_IN,
    EXPECTED,
    GROUP,
    KIND,
    LARGEST_INTEGER,
    LONGEST_NAME,
    PLURAL,
    SWEEP_NAME,
    VERSION,
    Model,
    seconds,
)
from hypersweep.core.spec.ending import Choose, NoImprovement, OnComplete, ResourceLimit, StopWhen, Target
from hypersweep.core.spec.objectives import Constraint, Objective, ReadAt
from hypersweep.core.spec.parameters import Parameter, ParameterConstraint, When
from hypersweep.core.spec.search import InitialTrial, LearningRateRangeTest, Repeats, Reuse, Strategy, WarmStart
from hypersweep.core.spec.stopping import Asha, EarlyStopping, Median, Threshold
from hypersweep.core.spec.sweep import SweepSpec
from hypersweep.core.spec.trials import Cleanup, Job, Tracking, Trainer, Trials

__all__ = [
    "ANYTHING",
    "BUILT_IN",
    "EXPECTED",
    "GROUP",
    "KIND",
    "LARGEST_INTEGER",
    "LONGEST_NAME",
    "PLURAL",
    "SWEEP_NAME",
    "VERSION",
    "Asha",
    "Choose",
    "Cleanup",
    "Constraint",
    "EarlyStopping",
    "InitialTrial",
    "Job",
    "LearningRateRangeTest",
    "Median",
    "Model",
    "NoImprovement",
    "Objective",
    "OnComplete",
    "Parameter",
    "ParameterConstraint",
    "ReadAt",
    "Repeats",
    "ResourceLimit",
    "Reuse",
    "StopWhen",
    "Strategy",
    "SweepSpec",
    "Target",
    "Threshold",
    "Tracking",
    "Trainer",
    "Trials",
    "WarmStart",
    "When",
    "seconds",
]
