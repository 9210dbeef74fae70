"""A batch without repeats: no near-duplicates, one item a group, nothing labelled already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling import products
from sampling.pool import BoolArray, IntArray, Pool
from sampling.scores import Strategy
from sampling.spread import STEPS, on_grid

Float32 = NDArray[np.float32]

NEAR_DUPLICATE_COSINE = 0.98

_ROWS_PER_BLOCK = 512


def distinct(strategy: Strategy) -> Strategy:
    """`strategy` without near-duplicates (cosine above .98) of its own better picks or of what is
    labelled, and with one item a group.

    It is asked for twice as many rows until enough of them differ. Only where the whole pool does
    not hold `limit` rows that differ do the others fill up, in its order.
    """

    def chosen(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
        limit = min(limit, len(pool))
        state = rng.bit_generator.state
        depth = 2 * limit
        while True:
            rng.bit_generator.state = state  # the same draws, only more of them
            order = strategy(pool, limit=depth, rng=rng)
            kept = distinct_rows(pool, order, limit=limit)
            if len(kept) == limit or len(order) == len(pool):
                spare = order[~np.isin(order, kept)]
                rows: IntArray = np.concatenate([kept, spare])[:limit]
                return rows
            depth *= 4

    return chosen


def distinct_rows(
    pool: Pool, order: IntArray, *, limit: int, avoid: Sequence[Float32] = ()
) -> IntArray:
    """The first `limit` rows of `order`, one a group, without near-duplicates.

    Args:
        avoid: matrices of rows on the grid that none may be near to, beside what is labelled.
    """
    candidates = order[_first_of_group(pool, order)]
    if not pool.has_embeddings:
        return candidates[:limit]
    others = list(avoid)
    if pool.labelled is not None:
        others.append(on_grid(np.asarray(pool.labelled.embeddings)))
    blocks = (
        on_grid(pool.embeddings(candidates[start : start + _ROWS_PER_BLOCK]))
        for start in range(0, len(candidates), _ROWS_PER_BLOCK)
    )
    return candidates[keep_distinct(blocks, limit=limit, avoid=others)]


def keep_distinct(
    blocks: Iterable[Float32], *, limit: int, avoid: Sequence[Float32] = ()
) -> IntArray:
    """Walk down the rows and keep those that are no near-duplicate of a kept one, up to `limit`.

    Args:
        blocks: rows (M, D) in blocks, on the grid, best first. No block is asked for once there
            are enough. A row of zeros is like no other.
        avoid: as in `distinct_rows`.

    Returns:
        The kept places, in order.
    """
    kept = list(avoid)
    places: list[int] = []
    start = 0
    for block in blocks:
        repeats = np.zeros(len(block), dtype=np.bool_)
        for earlier in kept:
            repeats |= is_near_any(block, earlier)
        within = np.tril(block @ block.T > _BAR, k=-1)
        for place in np.flatnonzero(within.any(axis=1)):  # rows like an earlier one of the block
            repeats[place] |= bool((within[place] & ~repeats).any())
        fresh = np.flatnonzero(~repeats)[: limit - len(places)]
        kept.append(block[fresh])
        places += (start + fresh).tolist()
        start += len(block)
        if len(places) == limit:
            break
    return np.asarray(places, dtype=np.intp)


_BAR = NEAR_DUPLICATE_COSINE * STEPS * STEPS


def nearness(pool: Pool, rows: IntArray) -> BoolArray:
    """Shape (n, n): which of these rows are near-duplicates or of one group; none of itself."""
    near = np.zeros((len(rows), len(rows)), dtype=np.bool_)
    if pool.has_embeddings:
        grid = on_grid(pool.embeddings(rows))
        near |= grid @ grid.T > _BAR
    if pool.groups is not None:
        group = pool.groups[rows]
        near |= group[:, None] == group
    np.fill_diagonal(near, False)
    return near


def is_near_any(rows: Float32, others: Float32) -> BoolArray:
    """Of each row, both on the grid, whether one of the others is a near-duplicate of it."""
    near = np.zeros(len(rows), dtype=np.bool_)
    for start in range(0, len(others), products.CENTRES_AT_ONCE):
        part = np.ascontiguousarray(others[start : start + products.CENTRES_AT_ONCE])
        near |= products.nearest_products(rows, products.as_tensor(part)) > _BAR
    return near


def _first_of_group(pool: Pool, order: IntArray) -> BoolArray:
    """Shape of `order`: no earlier row of it is of the same group."""
    first = np.ones(len(order), dtype=np.bool_)
    if pool.groups is not None:
        first[:] = False
        first[np.unique(pool.groups[order], return_index=True)[1]] = True
    return first
