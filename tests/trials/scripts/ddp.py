"""Data parallel on every rank that torchrun starts; the first rank logs."""

import argparse

import mlflow
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
args = parser.parse_args()

dist.init_process_group("gloo")
rank, ranks = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
torch.set_num_threads(1)
x = torch.randn(64, 4)
y = x.sum(1, keepdim=True)
model = DistributedDataParallel(nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)

if rank == 0:
    mlflow.start_run()
    mlflow.log_params({"lr": args.lr, "ranks": ranks})
for epoch in range(3):
    optimizer.zero_grad()
    nn.functional.mse_loss(model(x[rank::ranks]), y[rank::ranks]).backward()
    optimizer.step()
    with torch.no_grad():
        val_loss = nn.functional.mse_loss(model.module(x), y)
    dist.all_reduce(val_loss)
    if rank == 0:
        mlflow.log_metric("val_loss", val_loss.item() / ranks, step=epoch)
if rank == 0:
    mlflow.end_run()
    print(f"val_loss={val_loss.item() / ranks!r}")
dist.destroy_process_group()
