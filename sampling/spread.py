"""Draws that spread: each with a chance in proportion to its squared distance to those before it.

The k-means++ law, over points on a grid of whole numbers. On it every inner product is exact in
float32, so the same rows come out whatever the number of threads, the size of the blocks and the
device; an embedding of length 1 moves by some .003 when it is put there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from sampling import products
from sampling.pool import ROWS_PER_BLOCK, FloatArray, IntArray, Pool

Float32 = NDArray[np.float32]

STEPS = 2000.0
"""Steps of the grid to a length of 1. A squared distance is at most four times its square, and
float32 holds every whole number up to 2**24 exactly."""

_PROPOSALS = 64
_PENDING_AT_MOST = products.CENTRES_AT_ONCE


class Space(Protocol):
    """N points with a squared distance that comes out the same however it is asked for."""

    def __len__(self) -> int: ...

    def between(self, rows: IntArray, others: IntArray) -> Float32:
        """Squared distances, shape (len(rows), len(others))."""
        ...

    def lower(self, nearest: Float32, centres: IntArray) -> None:
        """Lower each of `nearest` (N,) to the squared distance to these rows, in place."""
        ...


def draw_spread(
    space: Space,
    *,
    limit: int,
    order: IntArray,
    rng: Generator,
    weights: FloatArray | None = None,
    first: int | None = None,
) -> IntArray:
    """Up to `limit` rows, each drawn by weight x squared distance to the nearest one before it.

    Args:
        order: shape (N,), the rows in an order of their own, over which is drawn.
        weights: shape (N,), 0 or more; None: all alike.
        first: the row to start from; None: drawn by weight.

    Returns:
        Fewer than `limit` rows where all others coincide with one of them, or weigh nothing.

    Source: Arthur and Vassilvitskii (2007). Drawn by rejection: distances to the chosen only
    shrink, so a row proposed by an old distance and accepted with chance new / old follows the
    law exactly. Old ones are brought up to date by one pass for many new centres together.
    """
    weight = np.ones(len(space)) if weights is None else weights.astype(np.float64)
    limit = min(limit, len(space))
    if limit <= 0 or not weight.any():
        return np.empty(0, dtype=np.intp)
    if first is None:
        reach = np.cumsum(weight[order])
        first = int(order[_places(reach, rng.random(1))[0]])
    chosen = [first]
    nearest = np.full(len(space), np.inf, dtype=np.float32)
    pending: IntArray = np.array([first], dtype=np.intp)
    while len(chosen) < limit:
        space.lower(nearest, pending)
        reach = np.cumsum((weight * nearest)[order])
        if not reach[-1] > 0.0:
            break
        pending = _draw_until_stale(
            space, nearest, reach, order, limit=limit - len(chosen), rng=rng
        )
        chosen += pending.tolist()
    return np.asarray(chosen, dtype=np.intp)


def _draw_until_stale(
    space: Space,
    nearest: Float32,
    reach: FloatArray,
    order: IntArray,
    *,
    limit: int,
    rng: Generator,
) -> IntArray:
    """Accepted rows: until there are `limit`, or so many that few proposals are accepted."""
    accepted: IntArray = np.empty(0, dtype=np.intp)
    while len(accepted) < min(limit, _PENDING_AT_MOST):
        rows = order[_places(reach, rng.random(_PROPOSALS))]
        heights = rng.random(_PROPOSALS) * nearest[rows]
        to_pending = space.between(rows, accepted).min(axis=1, initial=np.inf)
        among = space.between(rows, rows)
        taken: list[int] = []
        for place in range(_PROPOSALS):
            close = min(nearest[rows[place]], to_pending[place])
            if taken:
                close = min(close, among[place, taken].min())
            if heights[place] < close:
                taken.append(place)
                if len(accepted) + len(taken) == limit:
                    break
        accepted = np.concatenate([accepted, rows[taken]])
        if len(taken) < _PROPOSALS // 2:
            break
    return accepted


def _places(reach: FloatArray, draws: FloatArray) -> IntArray:
    """Places drawn in proportion to the steps of a cumulative sum."""
    places = np.searchsorted(reach, draws * reach[-1], side="right")
    # draw * total can round up to the total: then it is the last place with a step.
    last = np.searchsorted(reach, reach[-1], side="left")
    found: IntArray = np.minimum(places, last).astype(np.intp)
    return found


def on_grid(rows: Float32) -> Float32:
    """Each row scaled to length 1 and put on the grid; whole numbers in float32."""
    from sampling import kernels

    found = np.empty_like(rows)
    kernels.grid(rows, STEPS, found)
    return found


def rows_on_grid(pool: Pool, rows: IntArray, *, more: ArrayLike | None = None) -> Float32:
    """Those rows of the pool on the grid and below them `more` (M, D), by blocks: nothing is held
    twice."""
    from sampling import kernels

    below = np.empty((0, pool.dimensions)) if more is None else np.asarray(more)
    found = np.empty((len(rows) + len(below), pool.dimensions), dtype=np.float32)
    for part in _blocks(len(rows)):
        kernels.grid(pool.embeddings(rows[part]), STEPS, found[part])
    found[len(rows) :] = on_grid(np.ascontiguousarray(below, dtype=np.float32))
    return found


class Points:
    """Rows in memory, on the grid already."""

    def __init__(self, rows: Float32) -> None:
        self.rows = rows
        self.size = np.einsum("ij,ij->i", rows, rows)

    def __len__(self) -> int:
        return len(self.rows)

    def between(self, rows: IntArray, others: IntArray) -> Float32:
        inner = self.rows[rows] @ self.rows[others].T
        apart: Float32 = self.size[rows][:, None] + self.size[others] - 2.0 * inner
        return apart

    def lower(self, nearest: Float32, centres: IntArray) -> None:
        for part in _blocks(len(self)):
            lower_by(nearest[part], self.rows[part], self.size[part], self.rows[centres])


class PoolPoints:
    """The embeddings of a pool on the grid, read in blocks and never all at once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._block = np.empty((ROWS_PER_BLOCK, pool.dimensions), dtype=np.float32)
        self.size = np.empty(len(pool), dtype=np.float32)
        for part, block in self.blocks(are_checked=False):
            self.size[part] = np.einsum("ij,ij->i", block, block)

    def __len__(self) -> int:
        return len(self._pool)

    def blocks(self, *, are_checked: bool = True) -> Iterator[tuple[slice, Float32]]:
        """The rows in order; each block is good until the next is asked for."""
        from sampling import kernels

        for part, block in self._pool.embedding_blocks(are_checked=are_checked):
            grid = self._block[: len(block)]
            kernels.grid(block, STEPS, grid)
            yield part, grid

    def rows(self, rows: IntArray) -> Float32:
        return on_grid(self._pool.embeddings(rows))

    def between(self, rows: IntArray, others: IntArray) -> Float32:
        inner = self.rows(rows) @ self.rows(others).T
        apart: Float32 = self.size[rows][:, None] + self.size[others] - 2.0 * inner
        return apart

    def lower(self, nearest: Float32, centres: IntArray) -> None:
        grid = self.rows(centres)
        for part, block in self.blocks():
            lower_by(nearest[part], block, self.size[part], grid)


def lower_by(nearest: Float32, rows: Float32, size: Float32, centres: Float32) -> None:
    """Lower `nearest` to the squared distance of each row to the nearest centre, in place."""
    values, _ = nearest_centre(rows, centres, want_owner=False)
    np.minimum(nearest, size - values, out=nearest)


def nearest_centre(
    rows: Float32, centres: Float32, *, want_owner: bool = True
) -> tuple[Float32, IntArray]:
    """Of each row 2 x.c - |c|^2 at its nearest centre, and which that is (the first of equals)."""
    import torch

    from sampling import kernels

    if not len(centres):
        raise ValueError("there is no centre to be near to")
    best: Float32 = np.full(len(rows), -np.inf, dtype=np.float32)
    owner: IntArray = np.zeros(len(rows) if want_owner else 0, dtype=np.intp)
    points = products.as_tensor(rows).T
    for start in range(0, len(centres), products.CENTRES_AT_ONCE):
        made = products.as_tensor(centres[start : start + products.CENTRES_AT_ONCE])
        less = -torch.einsum("ij,ij->i", made, made)[:, None]
        reached = torch.addmm(less, made, points, alpha=2.0)
        found: Float32 = reached.amax(0).cpu().numpy()
        closer = found > best  # an equal one of an earlier part stays
        if want_owner:
            owners = kernels.first_equal(reached.cpu().numpy(), found)
            owner[closer] = start + owners[closer]
        best[closer] = found[closer]
    return best, owner


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, ROWS_PER_BLOCK):
        yield slice(start, min(start + ROWS_PER_BLOCK, count))
