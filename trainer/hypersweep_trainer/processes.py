"""One training in several processes: each computes its part of every batch, and all hold the same weights.

Owns what the processes tell each other: gradients (torch's DistributedDataParallel), the loss of the whole batch, and
whether anyone was asked to stop, so that all stop before the same batch. A part's gradient counts by its size, so that
the mean over processes is the whole batch's. Process 0 alone reports results and writes checkpoints.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, distributed, nn

from hypersweep_trainer.exits import BadInputError
from hypersweep_trainer.settings import Settings

LEAST = 2  # samples of a batch for each process: batch norm needs a variance


class Processes:
    """A training's processes, seen from one of them. Alone, everything is what it would be without them."""

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | None = None) -> None:
        """`rank` counts from 0; `device` is where this process computes."""
        self.rank, self.size, self.device = rank, size, device

    @property
    def first(self) -> bool:
        """Whether this one reports and saves."""
        return self.rank == 0

    def part(self, batch: Tensor) -> Tensor:
        """What this process computes of a batch's samples."""
        return batch if self.size == 1 else torch.tensor_split(batch, self.size)[self.rank]

    def share(self, samples: int, *, of: int) -> float:
        """What a mean over `samples` counts in the mean over `of` samples, before the processes' means are averaged."""
        return samples / of * self.size

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network, such that a backward pass leaves the mean of all processes' gradients in each."""
        return network if self.size == 1 else nn.parallel.DistributedDataParallel(network)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of what the processes have."""
        if self.size > 1:
            distributed.all_reduce(value)
            value = value / self.size
        return value

    def any(self, *, wish: bool) -> bool:
        """Whether any of them wishes it."""
        return wish if self.size == 1 else bool(self.mean(torch.tensor(float(wish), device=self.device)) > 0)

    def told_by_first(self, content: Any) -> Any:
        """What process 0 has, in all of them."""
        box = [content]
        if self.size > 1:
            distributed.broadcast_object_list(box)
        return box[0]

    def of_each(self, content: Any) -> list[Any]:
        """What each process has, by rank."""
        found = [content] * self.size
        if self.size > 1:
            distributed.all_gather_object(found, content)
        return found

    def leave(self) -> None:
        """Nobody waits for anybody any more.

        The group's threads end here if nobody holds what `wrapped` returned. A thread that is left over can abort the
        interpreter while it ends, with exit code -6: https://github.com/pytorch/pytorch/pull/179291.
        """
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()


def join(rank: int, size: int, *, settings: Settings, device: torch.device) -> Processes:
    """Wait until all processes are there. Raises BadInputError where a batch is too small to be shared."""
    if size == 1:
        return Processes()
    if settings.batch_size < LEAST * size:
        raise BadInputError(
            f"batch_size: found {settings.batch_size} with {size} processes, allowed: at least {LEAST * size}"
        )
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    import_module("torch.distributed.nn")  # first: its functions' defaults would hold the group for ever

    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, init_method="env://", rank=rank, world_size=size)
    return Processes(rank, size, device)
