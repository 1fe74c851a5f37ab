"""The strategies that are compared, each behind `ask() -> assignment` and `tell(assignment, value)`.

Each runs in an environment of its own and imports its library there; all with their defaults. `active` is what a
conditional space asks of those that have no conditions: what is inactive is left out of the assignment, and out of sight.
"""

import random as stdlib_random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Json = dict[str, Any]
Assignment = Mapping[str, Any]


class Peer(Protocol):
    def ask(self) -> Assignment: ...
    def tell(self, assignment: Assignment, value: float) -> None: ...


def active(parameter: Json, values: Assignment) -> bool:
    """Whether a parameter exists beside these values. Parents come first in every problem."""
    return all(w["parameter"] in values and values[w["parameter"]] in w["values"] for w in parameter.get("when", ()))


class HyperSweep:
    """A strategy of ours, by name."""

    def __init__(self, parameters: Sequence[Json], *, seed: int, name: str) -> None:
        from hypersweep.core.spec import SweepSpec  # noqa: PLC0415

        self.spec = SweepSpec.model_validate(
            {
                "objectives": [{"metric": "loss", "goal": "Minimize"}],
                "parameters": parameters,
                "strategy": {"name": name, "seed": seed},
            }
        )
        self.history: list[Any] = []
        self.pending: list[Any] = []
        self.asked = 0

    def ask(self) -> Assignment:
        from hypersweep.core.strategies import suggest  # noqa: PLC0415
        from hypersweep.core.trial import Trial  # noqa: PLC0415

        answer = suggest(self.spec, history=self.history, pending=self.pending, trial=self.asked)
        if answer is None:
            raise RuntimeError("the space is exhausted")
        self.pending.append(Trial(index=self.asked, run="", parameters=answer))
        self.asked += 1
        return answer

    def tell(self, assignment: Assignment, value: float) -> None:
        from dataclasses import replace  # noqa: PLC0415

        from hypersweep.core.trial import Outcome  # noqa: PLC0415

        trial = next(t for t in self.pending if t.parameters is assignment)
        self.pending.remove(trial)
        self.history.append(replace(trial, outcome=Outcome.SUCCEEDED, value=value))


class Optuna:
    """A sampler of Optuna's, by name, through its define-by-run interface."""

    def __init__(self, parameters: Sequence[Json], *, seed: int, name: str) -> None:
        import optuna  # noqa: PLC0415

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = getattr(optuna.samplers, name)(seed=seed)
        self.study, self.parameters = optuna.create_study(sampler=sampler), parameters
        self.open: dict[int, Any] = {}

    def ask(self) -> Assignment:
        trial, values = self.study.ask(), {}
        for p in self.parameters:
            if active(p, values):
                values[p["name"]] = self._suggested(trial, p)
        self.open[id(values)] = trial, values
        return values

    def tell(self, assignment: Assignment, value: float) -> None:
        self.study.tell(self.open.pop(id(assignment))[0], value)

    @staticmethod
    def _suggested(trial: Any, p: Json) -> Any:
        log = p.get("scale") == "Log"
        match p["type"]:
            case "Float":
                return trial.suggest_float(p["name"], p["min"], p["max"], log=log)
            case "Integer":
                return trial.suggest_int(p["name"], p["min"], p["max"], log=log)
        return trial.suggest_categorical(p["name"], p.get("numbers") or p["values"])


class Hyperopt:
    """Hyperopt's TPE. Conditions are told by leaving parameters out: its nested choices are built from the same tree."""

    def __init__(self, parameters: Sequence[Json], *, seed: int, name: str) -> None:
        del name
        import numpy as np  # noqa: PLC0415
        from hyperopt import JOB_STATE_DONE, STATUS_OK, Trials, base, hp, tpe  # noqa: PLC0415

        self.hp, self.tpe, self.done, self.ok = hp, tpe, JOB_STATE_DONE, STATUS_OK
        self.parameters = parameters
        space = {p["name"]: self._node(p) for p in parameters}
        self.domain = base.Domain(lambda _: 0.0, space)
        self.trials, self.rng = Trials(), np.random.default_rng(seed)
        self.open: dict[int, Any] = {}

    def _node(self, p: Json) -> Any:
        from math import log  # noqa: PLC0415

        import numpy as np  # noqa: PLC0415

        name, low, high = p["name"], p.get("min", 0), p.get("max", 0)
        match p["type"], p.get("scale"):
            case "Float", "Log":
                return self.hp.loguniform(name, log(low), log(high))
            case "Float", _:
                return self.hp.uniform(name, low, high)
            case "Integer", "Log":
                return self.hp.qloguniform(name, np.log(low - 0.49), np.log(high + 0.49), 1)
            case "Integer", _:
                return self.hp.quniform(name, low - 0.49, high + 0.49, 1)
        return self.hp.choice(name, p.get("numbers") or p["values"])

    def ask(self) -> Assignment:
        (number,) = self.trials.new_trial_ids(1)
        self.trials.refresh()
        docs = self.tpe.suggest([number], self.domain, self.trials, int(self.rng.integers(2**31 - 1)))
        self.trials.insert_trial_docs(docs)
        self.trials.refresh()
        doc = next(t for t in self.trials._dynamic_trials if t["tid"] == number)  # noqa: SLF001  (there is no other way)
        values: Json = {}
        for p in self.parameters:
            if active(p, values):
                values[p["name"]] = self._value(p, doc["misc"]["vals"][p["name"]][0])
        self.open[id(values)] = doc, values
        return values

    @staticmethod
    def _value(p: Json, raw: Any) -> Any:
        match p["type"]:
            case "Float":
                return min(max(float(raw), p["min"]), p["max"])
            case "Integer":
                return int(min(max(round(raw), p["min"]), p["max"]))
        return (p.get("numbers") or p["values"])[int(raw)]

    def tell(self, assignment: Assignment, value: float) -> None:
        doc, _ = self.open.pop(id(assignment))
        doc["result"], doc["state"] = {"loss": value, "status": self.ok}, self.done
        self.trials.refresh()


class Smac:
    """SMAC3's facade for hyperparameters: a random forest."""

    def __init__(self, parameters: Sequence[Json], *, seed: int, name: str) -> None:
        del name
        import logging  # noqa: PLC0415
        import tempfile  # noqa: PLC0415

        from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, InCondition, Integer  # noqa: PLC0415
        from smac import HyperparameterOptimizationFacade, Scenario  # noqa: PLC0415
        from smac.runhistory.dataclasses import TrialValue  # noqa: PLC0415

        logging.disable(logging.CRITICAL)
        self.value_of, space, known = TrialValue, ConfigurationSpace(seed=seed), {}
        self.parameters = {p["name"]: p for p in parameters}
        for p in parameters:
            log = p.get("scale") == "Log"
            match p["type"]:
                case "Float":
                    known[p["name"]] = Float(p["name"], (p["min"], p["max"]), log=log)
                case "Integer":
                    known[p["name"]] = Integer(p["name"], (p["min"], p["max"]), log=log)
                case "Discrete":
                    known[p["name"]] = Categorical(p["name"], p["numbers"], ordered=True)
                case _:
                    known[p["name"]] = Categorical(p["name"], p["values"])
        space.add(*known.values())
        for p in parameters:
            for w in p.get("when", ()):
                child, parent = known[p["name"]], known[w["parameter"]]
                one = len(w["values"]) == 1
                space.add(
                    EqualsCondition(child, parent, w["values"][0]) if one else InCondition(child, parent, w["values"])
                )
        scenario = Scenario(space, n_trials=100_000, seed=seed, output_directory=tempfile.mkdtemp(), deterministic=True)
        initial = HyperparameterOptimizationFacade.get_initial_design(scenario, n_configs=10)
        self.smac = HyperparameterOptimizationFacade(
            scenario, _never_called, initial_design=initial, overwrite=True, logging_level=50
        )
        self.open: dict[int, Any] = {}

    def ask(self) -> Assignment:
        info = self.smac.ask()
        values = {n: self._plain(n, v) for n, v in dict(info.config).items()}
        self.open[id(values)] = info, values
        return values

    def _plain(self, name: str, value: Any) -> Any:
        kind = self.parameters[name]["type"]
        return float(value) if kind == "Float" else int(value) if kind in ("Integer", "Discrete") else str(value)

    def tell(self, assignment: Assignment, value: float) -> None:
        self.smac.tell(self.open.pop(id(assignment))[0], self.value_of(cost=value, time=0.1))


def _never_called(config: Any, seed: int = 0) -> float:
    """SMAC looks at the names of its arguments, though trials are asked for and told."""
    raise NotImplementedError(config, seed)


class Hebo:
    """HEBO. It has no conditions: inactive parameters are there, and without effect."""

    def __init__(self, parameters: Sequence[Json], *, seed: int, name: str) -> None:
        del name
        import numpy as np  # noqa: PLC0415
        import torch  # noqa: PLC0415
        from hebo.design_space.design_space import DesignSpace  # noqa: PLC0415
        from hebo.optimizers.hebo import HEBO  # noqa: PLC0415

        np.random.seed(seed)  # noqa: NPY002  (it knows no other way)
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        self.parameters = parameters
        self.hebo = HEBO(DesignSpace().parse([self._said(p) for p in parameters]), scramble_seed=seed)
        self.open: dict[int, Any] = {}

    @staticmethod
    def _said(p: Json) -> Json:
        log = p.get("scale") == "Log"
        kinds = {"Float": ("num", "pow"), "Integer": ("int", "pow_int")}
        if p["type"] in kinds:
            base = {"base": 10} if log else {}
            return {"name": p["name"], "type": kinds[p["type"]][log], "lb": p["min"], "ub": p["max"], **base}
        return {"name": p["name"], "type": "cat", "categories": p.get("numbers") or p["values"]}

    def ask(self) -> Assignment:
        row = self.hebo.suggest(n_suggestions=1)
        values: Json = {}
        for p in self.parameters:
            if active(p, values):
                raw = row.iloc[0][p["name"]]
                values[p["name"]] = (
                    float(raw) if p["type"] == "Float" else raw if p["type"] == "Categorical" else int(raw)
                )
        self.open[id(values)] = row, values
        return values

    def tell(self, assignment: Assignment, value: float) -> None:
        import numpy as np  # noqa: PLC0415

        self.hebo.observe(self.open.pop(id(assignment))[0], np.array([[value]]))


class Random:
    """Uniform on each parameter's scale: the measure of all regret."""

    def __init__(self, parameters: Sequence[Json], *, seed: int, name: str) -> None:
        del name
        self.parameters, self.rng = parameters, stdlib_random.Random(seed)

    def ask(self) -> Assignment:
        values: Json = {}
        for p in self.parameters:
            if active(p, values):
                values[p["name"]] = self._drawn(p)
        return values

    def _drawn(self, p: Json) -> Any:
        if p["type"] not in ("Float", "Integer"):
            return self.rng.choice(p.get("numbers") or p["values"])
        low, high, part = p["min"], p["max"], self.rng.random()
        value = low * (high / low) ** part if p.get("scale") == "Log" else low + (high - low) * part
        return min(max(value, low), high) if p["type"] == "Float" else round(value)

    def tell(self, assignment: Assignment, value: float) -> None:
        """Learns nothing."""


# Name, class, what the class calls it, and what its environment needs.
PEERS: dict[str, tuple[type[Any], str, Sequence[str]]] = {
    "auto": (HyperSweep, "Auto", ("optuna>=5,<6", "scipy", "cmaes", "pydantic", "pyyaml")),
    "random": (Random, "", ()),
    "optuna-tpe": (Optuna, "TPESampler", ("optuna>=5,<6",)),
    "optuna-gp": (Optuna, "GPSampler", ("optuna>=5,<6", "torch", "scipy")),
    "cmaes": (Optuna, "CmaEsSampler", ("optuna>=5,<6", "cmaes", "scipy")),
    "hyperopt": (Hyperopt, "", ("hyperopt", "numpy<2", "setuptools<80")),
    "smac": (Smac, "", ("smac>=2.3",)),
    "hebo": (Hebo, "", ("HEBO", "setuptools<80")),
}
