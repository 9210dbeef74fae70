"""A batch without repeats: no near-duplicates, one item a group, nothing labelled already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling import products
from sampling.pool import BoolArray, IntArray, Pool
from sampling.scores import Strategy
from sampling.spread import STEPS, on_grid, rows_on_grid

Float32 = NDArray[np.float32]

NEAR_DUPLICATE_COSINE = 0.98

_ROWS_PER_BLOCK = 512
_COMPARED_AT_MOST = 1 << 15  # each with each: at 384 dimensions six seconds


def distinct(strategy: Strategy) -> Strategy:
    """`strategy` without near-duplicates (cosine above .98) of its own better picks or of what is
    labelled, and with one item a group.

    It is asked for twice as many rows, and for four times those until enough of them differ, or
    until nothing is left in the pool that differs. Only then do the others fill up, in its order.
    """

    def chosen(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
        limit = min(limit, len(pool))
        state = rng.bit_generator.state
        depth = 2 * limit
        while True:
            rng.bit_generator.state = state  # the same draws, only more of them
            order = strategy(pool, limit=depth, rng=rng)
            kept = distinct_rows(pool, order, limit=limit)
            if len(kept) == limit or len(order) == len(pool) or not _differs_any(pool, kept):
                spare = order[~np.isin(order, kept)]
                rows: IntArray = np.concatenate([kept, spare])[:limit]
                return rows
            depth *= 4

    return chosen


def _differs_any(pool: Pool, kept: IntArray) -> bool:
    """Whether some row of the pool is unlike these and unlike what is labelled or met."""
    met = pool.met_groups
    if pool.groups is not None:
        met = np.union1d(met, pool.groups[kept])
    if not pool.has_embeddings:
        return pool.groups is None or not np.isin(pool.groups, met).all()
    others = [rows_on_grid(pool, kept)]
    if pool.labelled is not None:
        others.append(on_grid(np.asarray(pool.labelled.embeddings)))
    for part, block in pool.embedding_blocks():
        differs: BoolArray = np.ones(len(block), dtype=np.bool_)
        if pool.groups is not None:
            differs = ~np.isin(pool.groups[part], met)
        left = on_grid(block[differs])
        near = np.zeros(len(left), dtype=np.bool_)
        for earlier in others:
            near |= is_near_any(left, earlier)
        if not near.all():
            return True
    return False


def distinct_rows(
    pool: Pool, order: IntArray, *, limit: int, avoid: Sequence[Float32] = ()
) -> IntArray:
    """The first `limit` rows of `order`, one a group, without near-duplicates.

    Groups that something was chosen of already (`Pool.met_groups`) are passed over.

    Args:
        avoid: matrices of rows on the grid that none may be near to, beside what is labelled.
    """
    if not pool.has_embeddings:
        return order[_first_of_group(pool, order)][:limit]
    others = list(avoid)
    if pool.labelled is not None:
        others.append(on_grid(np.asarray(pool.labelled.embeddings)))
    walk = _Walk(limit=limit, avoid=others, groups=pool.met_groups)
    kept: list[IntArray] = [order[:0]]
    for start in range(0, len(order), _ROWS_PER_BLOCK):
        if not walk.room:
            break
        rows = order[start : start + _ROWS_PER_BLOCK]
        groups = None
        if pool.groups is not None:
            # Not only the first of each group: that one may be a near-duplicate.
            rows = rows[~np.isin(pool.groups[rows], walk.groups)]
            groups = pool.groups[rows]
        kept.append(rows[walk.keep(on_grid(pool.embeddings(rows)), groups=groups)])
    return np.concatenate(kept)


_BAR = NEAR_DUPLICATE_COSINE * STEPS * STEPS


class _Walk:
    """What is kept so far: where it lies, its groups, and the room for more."""

    def __init__(
        self, *, limit: int, avoid: Sequence[Float32], groups: IntArray | None = None
    ) -> None:
        self.room = limit
        self.groups: IntArray = np.empty(0, dtype=np.intp) if groups is None else groups
        self._avoid = list(avoid)
        self._kept: list[Float32] = []

    def keep(self, block: Float32, *, groups: IntArray | None = None) -> IntArray:
        """Places of these rows on the grid that are kept now, unlike all before them."""
        repeats = np.zeros(len(block), dtype=np.bool_)
        for earlier in (*self._avoid, *self._kept):
            repeats |= is_near_any(block, earlier)
        within = block @ block.T > _BAR
        if groups is not None:
            within |= groups[:, None] == groups
        within = np.tril(within, k=-1)
        for place in np.flatnonzero(within.any(axis=1) & ~repeats):  # like an earlier one of these
            repeats[place] = bool((within[place] & ~repeats).any())
        fresh = np.flatnonzero(~repeats)[: self.room]
        self.room -= len(fresh)
        if groups is not None:
            self.groups = np.concatenate([self.groups, groups[fresh]])
        if self._kept and len(self._kept[-1]) < _ROWS_PER_BLOCK:  # few large ones, not many small
            self._kept[-1] = np.concatenate([self._kept[-1], block[fresh]])
        elif len(fresh):
            self._kept.append(block[fresh])
        return fresh


def walk_distinct(pool: Pool, order: IntArray, *, limit: int) -> tuple[IntArray, IntArray]:
    """Walk down `order` and take each row unlike all taken before it, up to `limit`.

    Alike are near-duplicates and members of one group.

    Returns:
        The places taken; and of each place up to where the walk ended which of those it is, or
        stood aside for alone; -1 where it stood aside for several.
    """
    taken: list[int] = []
    owners: list[IntArray] = [np.empty(0, dtype=np.intp)]
    for start in range(0, len(order), _ROWS_PER_BLOCK):
        rows = order[start : start + _ROWS_PER_BLOCK]
        # Of each row how many stand in its way, and the first of them.
        count = np.zeros(len(rows), dtype=np.intp)
        owner: IntArray = np.zeros(len(rows), dtype=np.intp)
        for before in range(0, len(taken), _ROWS_PER_BLOCK):
            near = _alike(pool, rows, order[taken[before : before + _ROWS_PER_BLOCK]])
            owner = np.where((count == 0) & near.any(axis=1), before + near.argmax(axis=1), owner)
            count += near.sum(axis=1)
        within = np.triu(_alike(pool, rows, rows), k=1)
        ends = len(rows)
        for place in range(len(rows)):
            if count[place]:
                continue
            later = within[place]
            owner[later & (count == 0)] = len(taken)
            owner[place] = len(taken)
            count += later
            taken.append(start + place)
            if len(taken) == limit:
                ends = place + 1
                break
        owners.append(np.where(count > 1, -1, owner)[:ends])
        if len(taken) == limit:
            break
    return np.asarray(taken, dtype=np.intp), np.concatenate(owners)


def closed_circles(pool: Pool, rows: IntArray, owner: IntArray) -> IntArray:
    """How many rows each owner has, itself included, where those are all alike and like no other
    of `rows`; 0 where they are not, or where `rows` are too many to compare."""
    size = np.bincount(owner[owner >= 0])
    if len(rows) > _COMPARED_AT_MOST:
        return np.zeros_like(size)
    closed = size > 1
    members = np.flatnonzero((owner >= 0) & closed[owner])
    for start in range(0, len(members), _ROWS_PER_BLOCK):
        part = members[start : start + _ROWS_PER_BLOCK]
        for place in range(0, len(rows), _ROWS_PER_BLOCK):
            beside = slice(place, place + _ROWS_PER_BLOCK)
            expected = owner[part][:, None] == owner[beside]
            other = (_alike(pool, rows[part], rows[beside]) != expected).any(axis=1)
            closed[owner[part[other]]] = False
    return np.where(closed | (size == 1), size, 0)


def _alike(pool: Pool, rows: IntArray, others: IntArray) -> BoolArray:
    """Shape (rows, others): which are near-duplicates or of one group; a row is alike to itself."""
    alike = np.zeros((len(rows), len(others)), dtype=np.bool_)
    if pool.has_embeddings:
        alike |= on_grid(pool.embeddings(rows)) @ on_grid(pool.embeddings(others)).T > _BAR
    if pool.groups is not None:
        alike |= pool.groups[rows][:, None] == pool.groups[others]
    return alike


def is_near_any(rows: Float32, others: Float32) -> BoolArray:
    """Of each row, both on the grid, whether one of the others is a near-duplicate of it."""
    near = np.zeros(len(rows), dtype=np.bool_)
    for start in range(0, len(others), products.CENTRES_AT_ONCE):
        part = np.ascontiguousarray(others[start : start + products.CENTRES_AT_ONCE])
        near |= products.nearest_products(rows, products.as_tensor(part)) > _BAR
    return near


def _first_of_group(pool: Pool, order: IntArray) -> BoolArray:
    """Shape of `order`: its group was not met, in no earlier row of `order` either."""
    first = np.ones(len(order), dtype=np.bool_)
    if pool.groups is not None:
        groups = pool.groups[order]
        first[:] = False
        first[np.unique(groups, return_index=True)[1]] = True
        first &= ~np.isin(groups, pool.met_groups)
    return first
