"""What is searched: functions of an assignment, smaller is better. Known to every peer's environment, so it needs none of ours.

Parameters are said as in a manifest. Problems that are `held_out` were not looked at while Auto was made: they are
reported apart.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Json = dict[str, Any]
Value = Callable[[Mapping[str, Any]], float]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem of a suite."""

    name: str
    suite: str
    held_out: bool
    parameters: list[Json]
    value: Value


def all_problems() -> list[Problem]:
    """Every problem; making them costs next to nothing."""
    return [
        *(coco("bbob", function, held_out=function in (8, 15, 21)) for function in (2, 6, 8, 10, 15, 17, 21, 23)),
        *(coco("bbob-mixint", function, held_out=function in (8, 15)) for function in (3, 8, 10, 15, 20)),
        _svm(),
        _network(),
        _trees(),
        _any_model(),
        _table("digits-few"),
        _table("cancer"),
    ]


def fresh_problems() -> list[Problem]:
    """Every function of bbob and bbob-mixint, in an instance that neither list of problems has."""
    return [
        coco(suite, function, instance=9, held_out=False)
        for suite in ("bbob", "bbob-mixint")
        for function in range(1, 25)
    ]


# ---- functions of the COCO platform, in five dimensions


def coco(
    suite: str, function: int, *, held_out: bool, dimension: int = 5, instance: int = 1, noise: float = 0.0
) -> Problem:
    """A function of that suite. `noise`: its deviation, as a part of that of the better half of random points."""
    import cocoex  # noqa: PLC0415  (only where it is searched)

    options = f"dimensions: {dimension} function_indices: {function} instance_indices: {instance}"
    made = cocoex.Suite(suite, "", options)
    problem = next(iter(made))
    integers = problem.number_of_integer_variables
    names = [f"x{i}" for i in range(problem.dimension)]
    parameters = [
        {
            "name": n,
            "type": "Integer" if i < integers else "Float",
            "min": _plain(low, whole=i < integers),
            "max": _plain(high, whole=i < integers),
        }
        for i, (n, low, high) in enumerate(zip(names, problem.lower_bounds, problem.upper_bounds, strict=True))
    ]
    spread = noise * _spread(problem) if noise else 0.0

    def value(a: Mapping[str, Any], *, kept: Any = made) -> float:  # the suite owns the problem: it must live as long
        del kept
        point = np.array([a[n] for n in names], dtype=float)
        return float(problem(point)) + (spread * _normal(point) if spread else 0.0)

    name = f"{suite}-f{function}"
    if (dimension, instance) != (5, 1):
        name += f"-d{dimension}-i{instance}"
    return Problem(
        name=name + "-noisy" * (noise > 0), suite=suite, held_out=held_out, parameters=parameters, value=value
    )


def _spread(problem: Any) -> float:
    """The deviation of the better half of 200 random points."""
    points = np.random.default_rng(0).uniform(problem.lower_bounds, problem.upper_bounds, (200, problem.dimension))
    return float(np.std(np.sort([problem(p) for p in points])[:100]))


def _normal(point: np.ndarray) -> float:
    """A draw that belongs to the point: the same whoever asks, and in whatever order."""
    return float(np.random.default_rng(zlib.crc32(point.tobytes())).normal())


def _plain(bound: float, *, whole: bool) -> float | int:
    return int(bound) if whole else float(bound)


# ---- models of scikit-learn, trained live


@cache
def _data(name: str) -> tuple[Any, ...]:
    from sklearn import datasets  # noqa: PLC0415
    from sklearn.model_selection import train_test_split  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    points, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    train, test, of_train, of_test = train_test_split(points, labels, train_size=400, random_state=0, stratify=labels)
    scale = StandardScaler().fit(train)
    return scale.transform(train), scale.transform(test), of_train, of_test


def _loss(model: Any, data: str) -> float:
    """Log loss on what it was not trained with; where it fails, that of a guess, and more."""
    import warnings  # noqa: PLC0415

    from sklearn.metrics import log_loss  # noqa: PLC0415

    train, test, of_train, of_test = _data(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(train, of_train)
        return float(min(log_loss(of_test, np.clip(model.predict_proba(test), 1e-6, 1)), 5.0))


def decimal(name: str, low: float, high: float, **more: Any) -> Json:
    return {"name": name, "type": "Float", "min": low, "max": high, **more}


def log(name: str, low: float, high: float, **more: Any) -> Json:
    return decimal(name, low, high, scale="Log", **more)


def whole(name: str, low: int, high: int, **more: Any) -> Json:
    return {"name": name, "type": "Integer", "min": low, "max": high, **more}


def choice(name: str, *values: str, **more: Any) -> Json:
    return {"name": name, "type": "Categorical", "values": list(values), **more}


def _where(parameter: str, *values: str) -> Json:
    return {"when": [{"parameter": parameter, "values": list(values)}]}


def _svm() -> Problem:
    def value(a: Mapping[str, Any]) -> float:
        from sklearn.svm import SVC  # noqa: PLC0415

        model = SVC(C=a["C"], gamma=a["gamma"], kernel=a["kernel"], coef0=a["coef0"], tol=a["tol"])
        train, test, of_train, of_test = _data("digits")
        return float(1.0 - model.fit(train, of_train).score(test, of_test))

    parameters = [
        log("C", 1e-3, 1e3),
        log("gamma", 1e-6, 1),
        choice("kernel", "rbf", "poly", "sigmoid"),
        decimal("coef0", -1, 1),
        log("tol", 1e-5, 1e-1),
    ]
    return Problem(name="svm-digits", suite="sklearn", held_out=False, parameters=parameters, value=value)


def _network() -> Problem:
    def value(a: Mapping[str, Any]) -> float:
        from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

        model = MLPClassifier(
            hidden_layer_sizes=(a["width"],) * a["layers"],
            activation=a["activation"],
            alpha=a["decay"],
            batch_size=a["batch"],
            learning_rate_init=a["lr"],
            beta_1=1 - a["memory"],
            max_iter=6,
            random_state=0,
        )
        return _loss(model, "digits")

    parameters = [
        log("lr", 1e-5, 1),
        log("decay", 1e-7, 1),
        log("memory", 0.005, 0.5),
        whole("width", 8, 128, scale="Log"),
        whole("layers", 1, 3),
        choice("activation", "relu", "tanh", "logistic"),
        {"name": "batch", "type": "Discrete", "numbers": [16, 32, 64, 128]},
    ]
    return Problem(name="network-digits", suite="sklearn", held_out=True, parameters=parameters, value=value)


def _trees() -> Problem:
    def value(a: Mapping[str, Any]) -> float:
        from sklearn.ensemble import GradientBoostingClassifier  # noqa: PLC0415

        return _loss(GradientBoostingClassifier(n_estimators=30, random_state=0, **a), "breast_cancer")

    parameters = [
        log("learning_rate", 1e-3, 1),
        decimal("subsample", 0.2, 1),
        whole("max_depth", 1, 8),
        whole("min_samples_leaf", 1, 50, scale="Log"),
        decimal("max_features", 0.05, 1),
    ]
    return Problem(name="trees-cancer", suite="sklearn", held_out=True, parameters=parameters, value=value)


def _any_model() -> Problem:
    """Which of four models, and how: thirteen parameters, of which two to four exist at a time."""

    def value(a: Mapping[str, Any]) -> float:
        return _loss(_model(a), "digits")

    parameters = [
        choice("model", "logistic", "forest", "neighbours", "bayes"),
        log("C", 1e-5, 1e3, **_where("model", "logistic")),
        log("tolerance", 1e-5, 1e-1, **_where("model", "logistic")),
        whole("iterations", 2, 40, **_where("model", "logistic")),
        whole("depth", 1, 20, **_where("model", "forest")),
        decimal("features", 0.02, 1, **_where("model", "forest")),
        whole("leaf", 1, 50, scale="Log", **_where("model", "forest")),
        choice("bootstrap", "yes", "no", **_where("model", "forest")),
        decimal("samples", 0.1, 1, **_where("bootstrap", "yes")),
        whole("k", 1, 60, scale="Log", **_where("model", "neighbours")),
        choice("weights", "uniform", "distance", **_where("model", "neighbours")),
        decimal("p", 1, 4, **_where("model", "neighbours")),
        log("smoothing", 1e-9, 10, **_where("model", "bayes")),
    ]
    return Problem(name="any-model-digits", suite="conditional", held_out=True, parameters=parameters, value=value)


def _model(a: Mapping[str, Any]) -> Any:
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.naive_bayes import GaussianNB  # noqa: PLC0415
    from sklearn.neighbors import KNeighborsClassifier  # noqa: PLC0415

    match a["model"]:
        case "logistic":
            return LogisticRegression(C=a["C"], tol=a["tolerance"], max_iter=a["iterations"])
        case "forest":
            bagged = a["bootstrap"] == "yes"
            return RandomForestClassifier(
                n_estimators=20,
                max_depth=a["depth"],
                max_features=a["features"],
                min_samples_leaf=a["leaf"],
                bootstrap=bagged,
                max_samples=a["samples"] if bagged else None,
                random_state=0,
            )
        case "neighbours":
            return KNeighborsClassifier(a["k"], weights=a["weights"], p=a["p"])
    return GaussianNB(var_smoothing=a["smoothing"])


# ---- tables of curves that were recorded of real networks


def _table(task: str) -> Problem:
    """The last validation loss of the recorded network whose hyperparameters are nearest; see `bench/curves.py`."""

    def value(a: Mapping[str, Any]) -> float:
        from bench.curves import BATCHES  # noqa: PLC0415

        places, losses = _recorded(task)
        network = {**a, "batch_size": BATCHES[a["batch"]], "hidden_layer_sizes": (a["width"],) * a["layers"]}
        return float(losses[np.abs(places - _place(network)).sum(1).argmin()])

    parameters = [
        choice("solver", "sgd", "adam"),
        log("learning_rate_init", 10**-4.5, 1),
        log("alpha", 1e-6, 1),
        decimal("momentum", 0, 0.99),
        whole("batch", 0, 3),
        choice("activation", "relu", "tanh"),
        whole("width", 8, 90, scale="Log"),
        whole("layers", 1, 3),
    ]
    return Problem(name=f"table-{task}", suite="tables", held_out=True, parameters=parameters, value=value)


@cache
def _recorded(task: str) -> tuple[np.ndarray, np.ndarray]:
    """Where each network lies, and its last loss; the worst one's, of a network that diverged."""
    from bench.curves import PLACE, settings  # noqa: PLC0415

    losses = np.load(PLACE)[task][:, -1, 0].astype(float)
    places = np.array([_place(settings(task, number)) for number in range(len(losses))])
    return places, np.where(np.isfinite(losses), losses, np.nanmax(losses))


def _place(network: Mapping[str, Any]) -> np.ndarray:
    """A network's hyperparameters, each axis from 0 to 1; kinds are as far apart as the ends of an axis."""
    width, *others = network["hidden_layer_sizes"]
    return np.array(
        [
            network["solver"] == "adam",
            (np.log10(network["learning_rate_init"]) + 4.5) / 4.5,
            (np.log10(network["alpha"]) + 6) / 6,
            network["momentum"],
            np.log2(network["batch_size"] / 16) / 3,
            network["activation"] == "tanh",
            (np.log2(width) - 3) / 3.5,
            len(others) / 2,
        ],
        dtype=float,
    )
