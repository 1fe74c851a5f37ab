"""What Auto is developed on: functions, instances, dimensions, noise and data that the reported problems do not have.

`python -m bench search --suite development` runs them, and keeps their results apart.
"""

from collections.abc import Mapping
from typing import Any

from bench.search.problems import Problem, choice, coco, decimal, log, whole

FUNCTIONS = (
    *((function, 5, 2) for function in (3, 7, 13, 16, 18, 19, 22, 24)),
    *((function, 5, 3) for function in (4, 9)),
    *((function, 10, 2) for function in (16, 20)),
    *((function, 2, 4) for function in (12, 16)),
    *((function, 3, 6) for function in (1, 3, 4, 7, 9, 11, 12, 13, 14, 16, 18, 19, 20, 22, 24)),
    *((function, 5, 7) for function in (3, 9, 13, 18, 19, 22, 24)),
    *((function, 10, 8) for function in (3, 13, 18, 24)),
)  # of bbob: function, dimension, instance
RUGGED = ((23, 3, 2), (23, 5, 4), (23, 10, 2))  # the function that a Gaussian process does not learn, elsewhere
MIXED = (
    *((function, 2) for function in (7, 16, 19, 22)),
    *((function, 5) for function in (1, 5, 7, 9, 13, 18, 24)),
)  # of bbob-mixint, in five dimensions: function, instance
NOISY = ((9, 5, 2), (14, 3, 2))  # with noise as large as 0.3 of what random points differ by


def development_problems() -> list[Problem]:
    """Every one of them; making them costs next to nothing."""
    return [
        *(coco("bbob", f, dimension=d, instance=i, held_out=False) for f, d, i in (*FUNCTIONS, *RUGGED)),
        *(coco("bbob-mixint", f, instance=i, held_out=False) for f, i in MIXED),
        *(coco("bbob", f, dimension=d, instance=i, held_out=False, noise=0.3) for f, d, i in NOISY),
        _kernel(),
        _forest(),
    ]


def _kernel() -> Problem:
    def value(a: Mapping[str, Any]) -> float:
        from sklearn.svm import SVR  # noqa: PLC0415  (only where it is searched)

        return _error(SVR(**a), "diabetes", scoring="neg_root_mean_squared_error")

    parameters = [
        log("C", 1e-2, 1e4),
        log("gamma", 1e-5, 10),
        log("epsilon", 1e-2, 1e2),
        choice("kernel", "rbf", "linear", "sigmoid"),
    ]
    return Problem(name="kernel-diabetes", suite="sklearn", held_out=False, parameters=parameters, value=value)


def _forest() -> Problem:
    def value(a: Mapping[str, Any]) -> float:
        from sklearn.ensemble import ExtraTreesClassifier  # noqa: PLC0415

        return _error(ExtraTreesClassifier(n_estimators=15, random_state=0, **a), "wine", scoring="neg_log_loss")

    parameters = [
        whole("max_depth", 1, 12),
        whole("min_samples_leaf", 1, 30, scale="Log"),
        decimal("max_features", 0.05, 1),
        choice("criterion", "gini", "entropy"),
        log("ccp_alpha", 1e-5, 1e-1),
    ]
    return Problem(name="forest-wine", suite="sklearn", held_out=False, parameters=parameters, value=value)


def _error(model: Any, data: str, *, scoring: str) -> float:
    """By threefold cross-validation."""
    from sklearn import datasets  # noqa: PLC0415
    from sklearn.model_selection import cross_val_score  # noqa: PLC0415

    points, labels = getattr(datasets, f"load_{data}")(return_X_y=True)
    return -float(cross_val_score(model, points, labels, cv=3, scoring=scoring).mean())
