"""The batches of an epoch, each fetched while the one before it is computed.

Data that lie on the device that trains are only indexed: there is nothing to wait for. Order and content never depend
on timing, so that a training with prefetching gives the numbers of one without.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor

from hypersweep_trainer.data import Data

AHEAD = 2  # batches that wait


def batches_of(data: Data, parts: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets for each of `parts`, which hold indices of samples."""
    if isinstance(data.x, Tensor):
        return map(data.batch, parts)
    return _fetched(data, parts)


def _fetched(data: Data, parts: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    waiting: deque[Future[tuple[Tensor, Tensor]]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        try:
            for part in parts:
                waiting.append(pool.submit(data.batch, part))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # the training was told to stop: nobody wants what is left
            for future in waiting:
                future.cancel()
