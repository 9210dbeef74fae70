"""Large matrix products, by torch, on as many threads as asked and on a GPU where there is one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Float32 = NDArray[np.float32]

CENTRES_AT_ONCE = 512
"""(centres x rows of a block) float32 stay in the cache of one core: 8 MB at 4,096 rows."""


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Within it, products take `count` threads; None leaves the process's setting as it is.

    More threads are not always faster: on a busy machine of two cores two were two to four times
    slower than one.
    """
    if count is None:
        yield
        return
    if count < 1:
        raise ValueError(f"threads is {count}; give 1 or more")
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def device() -> torch.device:
    """Where products are taken: a GPU if torch sees one."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def as_tensor(rows: Float32) -> torch.Tensor:
    """The same memory on the CPU, a copy on a GPU. It is only ever read."""
    import torch

    with warnings.catch_warnings():
        # A pool's arrays may not be written, and torch says so of every one.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(rows).to(device())


def nearest_products(block: Float32, centres: torch.Tensor) -> Float32:
    """Shape (n,): the largest inner product of each row with any of the centres (m, D)."""
    import torch

    # Centres first: the maximum then runs over whole rows of the product, in vector registers.
    found: Float32 = torch.mm(centres, as_tensor(block).T).amax(0).cpu().numpy()
    return found


def inner(centres: torch.Tensor, block: Float32) -> Float32:
    """Shape (m, n): inner products of the centres (m, D) with the rows (n, D)."""
    import torch

    found: Float32 = torch.mm(centres, as_tensor(block).T).cpu().numpy()
    return found
