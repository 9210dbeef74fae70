"""Cover a pool: always the item farthest from all that are chosen, exactly, in a few passes."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling import products
from sampling.pool import FloatArray, IntArray, Pool, best_first
from sampling.scores import uncertain_order

Float32 = NDArray[np.float32]

SAME_DISTANCE = 4e-6
"""Squared distances of unit rows closer than this are compared again in float64. Products in
float32 are off by some 3e-7, and by how much depends on the block that a row happens to be in."""

# More of them mean fewer passes over the pool and longer steps between.
_KEPT_CURRENT = 1024
_KEPT_AT_MOST = 4096
_ROWS_PER_KEPT = 64

_COMPARED_AT_ONCE = 1 << 16


def k_center(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Always the item farthest from all chosen and all labelled ones, uncertainty set aside.

    Starts at the item farthest from what is labelled; where nothing is, at the most uncertain.
    Equally far items come by id, and those that coincide with a chosen one come last. Without
    embeddings there is nothing to cover and it is `uncertain`. Not for rare classes: it takes
    outliers and finds almost no positives.

    Source: Sener and Savarese (2018), greedy k-center, as Gonzalez (1985) has it. Exact, see
    `farthest_first`.
    """
    if not pool.has_embeddings or not len(pool) or limit <= 0:
        return uncertain_order(pool, limit=limit, tie=pool.ids)
    first = None
    if pool.labelled is None:
        first = int(uncertain_order(pool, limit=1, tie=pool.ids)[0])
    return farthest_first(pool, limit=limit, first=first)


def farthest_first(pool: Pool, *, limit: int, first: int | None = None) -> IntArray:
    """The rows in the order in which plain greedy k-center picks them, shape (min(limit, N),).

    Args:
        first: the row to start from; None: the farthest from what is labelled.

    Distances to the chosen only shrink, so old ones are upper bounds. The farthest candidates are
    kept current and chosen among until their best falls to the bound of the rest; only then one
    pass over all rows applies the new centres together, as one matrix product. About ten passes
    serve a thousand picks where plain greedy needs a thousand. Beside the pool it holds a few
    numbers a row, and the chosen rows.
    """
    limit = min(limit, len(pool))
    cover = _Cover(pool, limit=limit)
    if first is not None:
        cover.add(first)
    while len(cover.picks) < limit and cover.pick_some(limit=limit):
        pass
    # What is left coincides with a chosen or labelled row.
    left = np.ones(len(pool), dtype=np.bool_)
    left[cover.picks] = False
    rest = pool.ids.lowest(np.flatnonzero(left), limit=limit - len(cover.picks))
    return np.concatenate([np.asarray(cover.picks, dtype=np.intp), rest])


class _Cover:
    """Centres, and of every row an upper bound of its squared distance to the nearest one."""

    def __init__(self, pool: Pool, *, limit: int) -> None:
        self._pool = pool
        self.picks: list[int] = []
        anchors: Float32 = np.empty((0, pool.dimensions), dtype=np.float32)
        if pool.labelled is not None:
            anchors = pool.labelled.unit_embeddings
        self._centres = np.vstack([anchors, np.empty((limit, pool.dimensions), np.float32)])
        self._count = len(anchors)
        self._applied = 0
        self._bound = np.full(len(pool), np.inf, dtype=np.float32)
        self._scale = np.empty(len(pool), dtype=np.float32)  # one over the length; 0 for zeros
        from sampling import kernels

        for part, block in pool.embedding_blocks():
            length = kernels.lengths(block)
            with np.errstate(divide="ignore"):
                self._scale[part] = np.where(length > 0.0, 1.0 / length, 0.0)

    def add(self, row: int) -> None:
        self._centres[self._count] = self._pool.unit_embeddings(np.array([row]))[0]
        self._count += 1
        self.picks.append(row)

    def pick_some(self, *, limit: int) -> bool:
        """One pass, and all picks that it settles. False: nothing is left to cover."""
        self._sweep()
        self._bound[self.picks] = -1.0
        kept = max(_KEPT_CURRENT, min(len(self._bound) // _ROWS_PER_KEPT, _KEPT_AT_MOST))
        current = best_first(self._bound, limit=kept, tie=np.arange(len(self._bound)))
        near = self._pool.unit_embeddings(current)
        size, distance = _squared(near), self._bound[current]
        bar = _highest_but(self._bound, current)
        swept = len(self.picks)
        while len(self.picks) < limit:
            best = float(distance.max(initial=-1.0))
            if best <= SAME_DISTANCE:
                return len(self.picks) > swept
            if best <= bar + SAME_DISTANCE:
                if len(self.picks) > swept:
                    return True  # another row may be farther by now
                # Rows outside the current ones are as far, as far as float32 can tell.
                tied = np.flatnonzero(self._bound >= best - SAME_DISTANCE)
                self.add(self._farthest(tied))
                return True
            tied = current[distance >= best - SAME_DISTANCE]
            row = int(tied[0]) if len(tied) == 1 else self._farthest(tied)
            self.add(row)
            centre = self._centres[self._count - 1]
            apart = size + _squared(centre[None]) - 2.0 * (near @ centre)
            np.minimum(distance, np.maximum(apart, 0.0), out=distance)
            distance[current == row] = -1.0
        return True

    def _sweep(self) -> None:
        """Lower every bound by the centres added since the last pass."""
        fresh = self._centres[self._applied : self._count]
        self._applied = self._count
        is_zero = ~fresh.any(axis=1)
        for start in range(0, len(fresh), products.CENTRES_AT_ONCE):
            part_of = fresh[start : start + products.CENTRES_AT_ONCE]
            centres = products.as_tensor(np.ascontiguousarray(part_of))
            for part, block in self._pool.embedding_blocks():
                scale = self._scale[part]
                # |x|^2 + |c|^2 - 2 x.c with |x| = 1; a row or a centre of zeros is 1 from others.
                apart = 2.0 - 2.0 * products.nearest_products(block, centres) * scale
                apart[scale == 0.0] = 1.0
                np.minimum(self._bound[part], np.maximum(apart, 0.0), out=self._bound[part])
        if is_zero.any():
            np.minimum(self._bound, np.where(self._scale > 0.0, 1.0, 0.0), out=self._bound)

    def _farthest(self, rows: IntArray) -> int:
        """The row farthest from all centres, measured in float64; of equals the first by id."""
        if len(rows) > _COMPARED_AT_ONCE:
            rows = self._pool.ids.lowest(rows, limit=_COMPARED_AT_ONCE)
        exact = np.concatenate(
            [
                self._exactly(self._pool.unit_embeddings(rows[start : start + 1024]))
                for start in range(0, len(rows), 1024)
            ]
        )
        equals = rows[exact == exact.max()]
        return int(self._pool.ids.lowest(equals, limit=1)[0])

    def _exactly(self, rows: Float32) -> FloatArray:
        """Squared distance of each row to its nearest centre, in float64."""
        centres = self._centres[: self._count]
        distance = np.full(len(rows), np.inf)
        for start in range(0, len(centres), 1024):
            part = centres[start : start + 1024]
            close = _squared(rows)[:, None] + _squared(part) - 2.0 * (rows @ part.T)
            low = np.minimum(distance, close.min(axis=1, initial=np.inf))
            for row, centre in np.argwhere(close <= low[:, None] + SAME_DISTANCE):
                between = rows[row].astype(np.float64) - part[centre]
                distance[row] = min(distance[row], float(between @ between))
        return distance


def _squared(rows: Float32) -> Float32:
    size: Float32 = np.einsum("ij,ij->i", rows, rows)
    return size


def _highest_but(bound: Float32, rows: IntArray) -> float:
    """The highest bound of all other rows."""
    kept = bound[rows]
    bound[rows] = -1.0
    highest = float(bound.max(initial=-1.0))
    bound[rows] = kept
    return highest
