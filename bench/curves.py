"""Train the small networks whose curves bench/stopping.py replays: python -m bench.curves [networks per task] (10 minutes).

Real training, once: scikit-learn's MLPs on data sets that it ships, random hyperparameters, one validation loss and accuracy per
epoch. The result is bench/data/curves.npz, which is committed, so that the simulation needs no training.
"""

import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

PLACE = Path(__file__).parent / "data" / "curves.npz"
EPOCHS = 27
TASKS = ("digits", "digits-few", "cancer")
BATCHES = (16, 32, 64, 128)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    table = {}
    with ProcessPoolExecutor(max_workers=2) as pool:
        for task in TASKS:
            curves = list(pool.map(curve, [task] * count, range(count), chunksize=20))
            table[task] = np.array(curves, dtype=np.float32)
            print(task, table[task].shape, "best", np.nanmin(table[task][:, -1, 0]), flush=True)
    np.savez_compressed(PLACE, **table)


def curve(task: str, number: int) -> list[tuple[float, float]]:
    """Validation loss and accuracy after each epoch of network `number`; NaN from where it diverged."""
    train, valid, classes = data(task)
    chosen = settings(task, number)
    network = MLPClassifier(**chosen, random_state=number)
    found = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for _ in range(EPOCHS):
            try:
                network.partial_fit(*train, classes=classes)
                chances = network.predict_proba(valid[0])
                found.append(
                    (log_loss(valid[1], chances, labels=classes), float(np.mean(chances.argmax(1) == valid[1])))
                )
            except ValueError:  # its weights are not finite any more
                break
    return found + [(np.nan, np.nan)] * (EPOCHS - len(found))


def settings(task: str, number: int) -> dict[str, Any]:
    """Hyperparameters by number: the ranges that people search."""
    draw = np.random.default_rng([TASKS.index(task), number])
    layers = int(draw.integers(1, 4))
    return {
        "solver": str(draw.choice(["sgd", "adam"])),
        "learning_rate_init": float(10 ** draw.uniform(-4.5, 0)),
        "alpha": float(10 ** draw.uniform(-6, 0)),
        "momentum": float(draw.uniform(0, 0.99)),
        "batch_size": int(draw.choice(BATCHES)),
        "activation": str(draw.choice(["relu", "tanh"])),
        "hidden_layer_sizes": (int(2 ** draw.uniform(3, 6.5)),) * layers,
    }


def data(task: str) -> tuple[tuple[Any, Any], tuple[Any, Any], Any]:
    x, y = load_breast_cancer(return_X_y=True) if task == "cancer" else load_digits(return_X_y=True)
    xt, xv, yt, yv = train_test_split(x, y, test_size=0.4, random_state=0, stratify=y)
    if task == "digits-few":
        xt, yt = xt[:300], yt[:300]
    scale = StandardScaler().fit(xt)
    return (scale.transform(xt), yt), (scale.transform(xv), yv), np.unique(y)


if __name__ == "__main__":
    main()
