"""What this machine can do on one thread, and how little time a strategy could then take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.sampler_cells import in_fork
from benchmarks.sampler_pools import CATEGORIES, DIMENSIONS

SHORTLIST = 10
"""Candidates a pick in the two-stage bound, as its peer has them."""

_FLOAT = 4
_ROWS = 1 << 16
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and float32 operations in a CPU second of one thread; the best of a few tries.

    Args:
        read: streaming read of far more than any cache holds.
        product: matrix product; the best of pool rows by 256 centres, of 512 centres by a block of
            4,096 rows, and of large squares.
    """

    read: float
    product: float

    def stream(self, items: int) -> float:
        """Every probability read once."""
        return items * CATEGORIES * _FLOAT / self.read

    def all_distances(self, items: int, picks: int) -> float:
        """Every row against every pick, or every row read once, whichever takes longer."""
        read = items * DIMENSIONS * _FLOAT / self.read
        return max(read, 2.0 * items * picks * DIMENSIONS / self.product)

    def two_stage(self, items: int, picks: int) -> float:
        """Every probability read; ten candidates a pick read and compared with every pick."""
        candidates = SHORTLIST * picks
        read = candidates * DIMENSIONS * _FLOAT / self.read
        compared = 2.0 * candidates * picks * DIMENSIONS / self.product
        return self.stream(items) + read + compared

    def __str__(self) -> str:
        return f"{self.read / 1e9:.1f} GB/s read, {self.product / 1e9:.0f} GF/s product"


def measure_limits() -> Limits:
    found, _memory = in_fork(_measure)
    return found


def _measure(is_measured: Callable[[], None]) -> Limits:
    some = np.random.default_rng(0).standard_normal((4096, DIMENSIONS), dtype=np.float32)
    numbers = torch.from_numpy(np.tile(some, (4 * _ROWS // len(some), 1)))
    rows, few, into = numbers[:_ROWS], numbers[:256].T, torch.empty(_ROWS, 256)
    block, many, block_into = numbers[:4096].T, numbers[:512], torch.empty(512, 4096)
    square = numbers.reshape(-1)[: 2048 * 2048].reshape(2048, 2048)
    is_measured()
    read = numbers.nelement() * _FLOAT / _fastest(numbers.sum)
    products = (
        2.0 * _ROWS * DIMENSIONS * 256 / _fastest(lambda: torch.mm(rows, few, out=into)),
        2.0 * 512 * DIMENSIONS * 4096 / _fastest(lambda: torch.mm(many, block, out=block_into)),
        2.0 * 2048**3 / _fastest(lambda: torch.mm(square, square)),
    )
    return Limits(read, max(products))


def _fastest(work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(_TRIES):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)
