"""Run as a process of its own: which strategies need more memory than so much beside the pool.

The kernel is the judge: private memory beyond the limit (RLIMIT_DATA) is refused, and the pages of
the mapped pool do not count. Each strategy runs in a fork of its own, everything being compiled and
imported before. Prints the names of those that did not make it, and how they ended.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from sampling import STRATEGIES, Labelled, Pool, Strategy, strategy_named

PICKS = 500


def copying(pool: Pool, *, limit: int, rng: Generator) -> NDArray[np.intp]:
    """What must not pass: all embeddings at once."""
    rows = pool.embeddings(np.arange(len(pool)))
    return np.argsort(rows[:, 0])[:limit]


def pool_of(mapped: NDArray[np.float32]) -> Pool:
    rng = np.random.default_rng(0)
    items = len(mapped)
    said = rng.random((3, items, 4), dtype=np.float32)
    return Pool(
        [f"i{row:06d}" for row in range(items)],
        said[0],
        mapped,
        [None if row % 3 else f"g{row % 6_000}" for row in range(items)],
        labelled=Labelled(rng.standard_normal((50, mapped.shape[1])), rng.random((50, 4)) < 0.3),
        passes=said,
        modalities={"text": said[0], "image": said[1]},
        models={"champion": said[0], "challenger": said[2]},
        seconds=np.ones(items),
        slices=[f"s{row % 5}" for row in range(items)],
    )


def private_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmData"))
    return 1024 * int(line.split()[1])


def ended(strategy: Strategy, pool: Pool, *, allowed: int) -> int:
    """0, or the signal or status that a strategy ended with under the limit."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            limit = private_bytes() + allowed
            resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
            strategy(pool, limit=PICKS, rng=np.random.default_rng(0))
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def main(path: str, mebibytes: str) -> None:
    torch.set_num_threads(1)
    mapped = np.load(path, mmap_mode="r")
    names = sorted(set(STRATEGIES) - {"modal_ranked_batch", "modal_information_density"})
    strategies = {name: strategy_named(name) for name in [*names, "distinct:margin"]}
    strategies["copying"] = copying
    small, large = pool_of(mapped[:9_000]), pool_of(mapped)
    for strategy in strategies.values():
        strategy(small, limit=50, rng=np.random.default_rng(0))
    for name, strategy in strategies.items():
        status = ended(strategy, large, allowed=int(mebibytes) * 2**20)
        if status:
            sys.stdout.write(f"{name} {status}\n")
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
