"""A draw by chance in which one of each cluster is asked, and stands for all drawn with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.special import gammaln

from sampling.draws import lowest_rows
from sampling.ids import KEY_BYTES
from sampling.pool import FloatArray, IntArray, Pool


@dataclass(frozen=True, slots=True)
class ClusterDraw:
    """A simple random draw of `drawn` items, in which K clusters have one asked each.

    `rows` (K,) are asked, in the order drawn. `stands_for` (K,) says how many drawn items each
    stands for, itself among them; `inclusion_probability` (K,) how likely this very item was to be
    asked. `aside` (A,) are the rows of the others, each for the asked row in `aside_for` (A,).
    """

    rows: IntArray
    stands_for: IntArray
    inclusion_probability: FloatArray
    aside: IntArray
    aside_for: IntArray

    @property
    def drawn(self) -> int:
        return len(self.rows) + len(self.aside)


def draw_clusters(pool: Pool, *, limit: int, rng: Generator) -> ClusterDraw:
    """Draw so many items that about `limit` clusters are met, and ask the first of each.

    The pool's groups are the clusters; where it has none, this is `simple_random_draw`. How many
    items are drawn follows from the sizes of the clusters alone, so that `limit` are met on average
    and every item's chance to be drawn is exactly drawn / N, whatever its cluster. Of the drawn
    items of a cluster each is as likely to be the one that is asked. So

    - a sum over the asked of value x stands_for x N / drawn is unbiased for the sum over the pool,
      also where the items of a cluster are not what the asked one is;
    - a wave that is most of the pool takes one answer, and counts for what it is.
    """
    clusters = np.arange(len(pool)) if pool.groups is None else pool.groups
    sizes = np.bincount(clusters) if len(clusters) else np.zeros(0, dtype=np.intp)
    count = _items_for(sizes, limit=limit)
    rows, _ = lowest_rows(pool, rng.bytes(KEY_BYTES), limit=count)
    _, first, owner = np.unique(clusters[rows], return_index=True, return_inverse=True)
    # In the order drawn and not of the clusters' numbers.
    order = np.argsort(first)
    asked = first[order]
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    owner = place[owner]
    stands_for = np.bincount(owner, minlength=len(asked)).astype(np.intp)
    stays = np.zeros(len(rows), dtype=np.bool_)
    stays[asked] = True
    size = sizes[clusters[rows[asked]]]
    met = 1.0 - _missed(size, count, len(pool)) if len(asked) else np.zeros(0)
    return ClusterDraw(
        rows=rows[asked],
        stands_for=stands_for,
        inclusion_probability=met / np.maximum(size, 1),
        aside=rows[~stays],
        aside_for=rows[asked][owner[~stays]],
    )


def _items_for(sizes: IntArray, *, limit: int) -> int:
    """The fewest items of which a draw meets `limit` clusters on average; all if none do."""
    total = int(sizes.sum())
    kinds, many = np.unique(sizes[sizes > 0], return_counts=True)
    low, high = max(min(limit, total), 0), total
    while low < high:
        middle = (low + high) // 2
        met = float((many * (1.0 - _missed(kinds, middle, total))).sum())
        if met >= limit - 1e-6:
            high = middle
        else:
            low = middle + 1
    return low


def _missed(size: IntArray, drawn: int, total: int) -> FloatArray:
    """How likely a simple random draw of `drawn` out of `total` meets none of `size` items."""
    left = total - size - drawn
    chance = np.zeros(len(size))
    can = left >= 0
    chance[can] = np.exp(
        gammaln(total - size[can] + 1.0)
        + gammaln(total - drawn + 1.0)
        - gammaln(left[can] + 1.0)
        - gammaln(total + 1.0)
    )
    # Logarithms round; an item alone has its very chance.
    chance[size == 1] = (total - drawn) / max(total, 1)
    missed: FloatArray = np.minimum(chance, 1.0)
    return missed
