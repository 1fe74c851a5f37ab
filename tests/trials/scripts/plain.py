"""Digits by stochastic gradient descent, logged to MLflow as its tutorial does."""

import argparse

import mlflow
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
args = parser.parse_args()

x, y = load_digits(return_X_y=True)
x_train, x_val, y_train, y_val = train_test_split(x / 16, y, random_state=0)
model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=args.lr, random_state=0)

with mlflow.start_run(run_name="sgd on digits"):
    mlflow.log_param("lr", args.lr)
    for epoch in range(3):
        model.partial_fit(x_train, y_train, classes=range(10))
        val_loss = log_loss(y_val, model.predict_proba(x_val))
        mlflow.log_metric("val_loss", val_loss, step=epoch)
print(f"val_loss={val_loss!r}")
