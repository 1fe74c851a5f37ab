"""Logs its parameters in a spelling of its own, and more of them than it was given."""

import argparse

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
args = parser.parse_args()

with mlflow.start_run():
    mlflow.log_params({"lr": f"{args.lr:.5f}", "optimizer": "sgd", "layers": [64, 64]})
    val_loss = (args.lr - 0.3) ** 2
    mlflow.log_metric("val_loss", val_loss)
print(f"val_loss={val_loss!r}")
