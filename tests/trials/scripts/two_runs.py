"""Two stages, a run for each: the second is the one that counts."""

import argparse

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
args = parser.parse_args()

with mlflow.start_run(run_name="pretraining") as pretraining:
    mlflow.log_metric("pretrain_loss", args.lr * 2)

with mlflow.start_run(run_name="finetuning"):
    val_loss = (args.lr - 0.3) ** 2
    mlflow.log_metric("val_loss", val_loss)
print(f"val_loss={val_loss!r}")
