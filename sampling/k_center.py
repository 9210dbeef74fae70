"""Cover a pool: always the item farthest from all that are chosen, exactly, in a few passes."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling import products
from sampling.pool import IntArray, Pool, best_first, unit
from sampling.scores import uncertain_order

Float32 = NDArray[np.float32]

SAME_DISTANCE = 1e-5
"""Squared distances of unit rows closer than this are compared again in float64; a row so near a
chosen one coincides with it. Squared distances from products in float32 are off by 3e-6 at most
(64 to 4,096 dimensions, rows that share most of their direction), and by how much depends on the
block that a row happens to be in."""

# More of them mean fewer passes over the pool and longer steps between.
_KEPT_CURRENT = 4096
_KEPT_AT_MOST = 12_288
_ROWS_PER_KEPT = 24

_LEADING = 128
"""Of the kept, those looked at for every pick: 200 kB at D = 384, which stay in the cache."""

# Of more rows than these that are equally far, only the first by id are compared in float64.
_COMPARED_AT_ONCE = 1 << 16

_PLAIN_LENGTHS = (1e-30, 1e30)
"""Products of longer or shorter rows could leave the range of float32."""


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
    if limit <= 0:
        return np.empty(0, dtype=np.intp)
    cover = _Cover(pool, limit=limit)
    if first is not None:
        cover.add(first)
    while len(cover.picks) < limit and cover.pick_some(limit=limit):
        pass
    # What is left coincides with a chosen or labelled row.
    picks = np.asarray(cover.picks, dtype=np.intp)
    return np.concatenate([picks, pool.ids.lowest(pool.without(picks), limit=limit - len(picks))])


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
        self._made_unit: set[int] = set()  # where blocks begin that are scaled before products
        # Squared distances in float64, where they were needed, to so many of the centres.
        self._exact = np.full(len(pool), np.inf)
        self._measured = np.zeros(len(pool), dtype=np.int32)
        from sampling import kernels

        least, most = _PLAIN_LENGTHS
        for part, block in pool.embedding_blocks():
            length = kernels.lengths(block)
            is_zero = length == 0.0
            if not (is_zero | ((length > least) & (length < most))).all():
                self._made_unit.add(part.start)
                length[~is_zero] = 1.0
            with np.errstate(divide="ignore"):
                self._scale[part] = np.where(is_zero, 0.0, 1.0 / length)

    def add(self, row: int, point: Float32 | None = None) -> None:
        if point is None:
            point = self._pool.unit_embeddings(np.array([row]))[0]
        self._centres[self._count] = point
        self._count += 1
        self.picks.append(row)

    def pick_some(self, *, limit: int) -> bool:
        """One pass, and all picks that it settles. False: nothing is left to cover."""
        self._sweep()
        self._bound[self.picks] = -1.0
        count = max(_KEPT_CURRENT, min(len(self._bound) // _ROWS_PER_KEPT, _KEPT_AT_MOST))
        current = best_first(self._bound, limit=count, tie=np.arange(len(self._bound)))
        kept = _Kept(self._pool.unit_embeddings(current), self._bound[current])
        bar = _highest_but(self._bound, current)
        swept = len(self.picks)
        while len(self.picks) < limit:
            best, tied = kept.farthest(down_to=bar + SAME_DISTANCE)
            if best <= SAME_DISTANCE:
                return len(self.picks) > swept
            if best <= bar + SAME_DISTANCE:
                if len(self.picks) > swept:
                    return True  # another row may be farther by now
                # Rows outside the kept ones are as far, as far as float32 can tell.
                self.add(self._farthest(np.flatnonzero(self._bound >= best - SAME_DISTANCE)))
                return True
            place = int(tied[0])
            if len(tied) > 1:
                row = self._farthest(current[tied])
                place = int(tied[current[tied] == row][0])
            self.add(int(current[place]), kept.rows[place])
            kept.take(place)
        return True

    def _sweep(self) -> None:
        """Lower every bound by the centres added since the last pass."""
        fresh = self._centres[self._applied : self._count]
        self._applied = self._count
        is_zero = ~fresh.any(axis=1)
        for start in range(0, len(fresh), products.CENTRES_AT_ONCE):
            part_of = fresh[start : start + products.CENTRES_AT_ONCE]
            centres = products.as_tensor(np.ascontiguousarray(part_of))
            for part, given in self._pool.embedding_blocks(are_checked=True):
                scale = self._scale[part]
                block = unit(given) if part.start in self._made_unit else given
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
        # Where many are equally far, most were compared at the last pick already.
        for measured in np.unique(self._measured[rows]):
            fresh = rows[self._measured[rows] == measured]
            for start in range(0, len(fresh), 1024):
                self._measure(fresh[start : start + 1024], start=int(measured))
        exact = self._exact[rows]
        return int(self._pool.ids.lowest(rows[exact == exact.max()], limit=1)[0])

    def _measure(self, rows: IntArray, *, start: int) -> None:
        """Bring exact distances up to date that know the centres before `start`."""
        from sampling import kernels

        points = self._pool.unit_embeddings(rows)
        exact = self._exact[rows]
        for first in range(start, self._count, 1024):
            part = self._centres[first : min(first + 1024, self._count)]
            close = _squared(points)[:, None] + _squared(part) - 2.0 * (points @ part.T)
            kernels.lower_exactly(exact, points, part, close, SAME_DISTANCE)
        self._exact[rows] = exact
        self._measured[rows] = self._count


class _Kept:
    """Rows in memory with bounds as in `_Cover`, the leading ones of which are always current."""

    def __init__(self, rows: Float32, bound: Float32) -> None:
        self.rows = rows
        self._size = _squared(rows)
        self._bound = bound
        self._pending: list[int] = []
        self._lead()

    def farthest(self, *, down_to: float) -> tuple[float, IntArray]:
        """The longest squared distance, and the places of all that float32 cannot tell from it.

        Where it is no longer than `down_to`, only that is sure of it.
        """
        best = float(self._distance.max(initial=-1.0))
        is_stale = self._pending and best <= self._rest + SAME_DISTANCE
        if is_stale and max(best, self._rest) > down_to:
            self._apply()
            self._lead()
            best = float(self._distance.max(initial=-1.0))
        if best <= self._rest + SAME_DISTANCE:
            return best, np.flatnonzero(self._bound >= best - SAME_DISTANCE)
        return best, self._leading[self._distance >= best - SAME_DISTANCE]

    def take(self, place: int) -> None:
        """Make it a centre."""
        self._pending.append(place)
        apart = self._leading_size + self._size[place]
        apart -= 2.0 * (self._leading_rows @ self.rows[place])
        np.minimum(self._distance, np.maximum(apart, 0.0), out=self._distance)
        self._distance[self._leading == place] = -1.0

    def _lead(self) -> None:
        """Choose anew who is looked at for every pick."""
        count = min(_LEADING, len(self._bound))
        order = np.argpartition(-self._bound, count - 1)
        self._leading = np.sort(order[:count])
        self._rest = float(self._bound[order[count:]].max(initial=-1.0))
        self._leading_rows, self._leading_size = self.rows[self._leading], self._size[self._leading]
        self._distance = self._bound[self._leading]

    def _apply(self) -> None:
        """Lower every bound by the centres taken since the last time."""
        centres, size = self.rows[self._pending], self._size[self._pending]
        close = size[:, None] - 2.0 * products.inner(products.as_tensor(centres), self.rows)
        apart = np.maximum(close.min(axis=0) + self._size, 0.0)
        np.minimum(self._bound, apart, out=self._bound)
        self._bound[self._pending] = -1.0
        self._pending = []


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
