"""Logs to the team's own experiment, whatever the surroundings say."""

import argparse

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
args = parser.parse_args()

mlflow.set_experiment("team-vision")
with mlflow.start_run():
    val_loss = (args.lr - 0.3) ** 2
    mlflow.log_metric("val_loss", val_loss)
print(f"val_loss={val_loss!r}")
