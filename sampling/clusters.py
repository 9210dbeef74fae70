"""A draw by chance in which one of each cluster is asked, and stands for all drawn with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from scipy.special import gammaln

from sampling.draws import lowest_rows
from sampling.errors import BadBudget
from sampling.ids import KEY_BYTES
from sampling.pool import BoolArray, FloatArray, IntArray, Pool
from sampling.probability import poisson_probabilities


@dataclass(frozen=True, slots=True)
class ClusterDraw:
    """A simple random draw of `drawn` items, in which K clusters have one asked each.

    `rows` (K,) are asked, in the order drawn. `stands_for` (K,) says how many drawn items each
    stands for, itself among them; `inclusion_probability` (K,) how likely this very item was to be
    asked. `aside` (A,) are the rows of the others, each for the asked row in `aside_for` (A,).
    """

    rows: IntArray
    stands_for: IntArray
    aside: IntArray
    aside_for: IntArray
    inclusion_probability: FloatArray

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
    asked = _one_of_each(rows, clusters)
    size = sizes[clusters[asked.rows]]
    met = 1.0 - _missed(size, count, len(pool)) if len(asked.rows) else np.zeros(0)
    return ClusterDraw(
        *asked,
        inclusion_probability=met / np.maximum(size, 1),
    )


@dataclass(frozen=True, slots=True)
class AllocatedDraw:
    """A draw of fixed size with uneven chances, in which one of each cluster is asked.

    As `ClusterDraw`, but `inclusion_probability` (K,) is how likely the asked item, and each that
    stands aside for it, was to be *drawn*. `chances` (N,) are those of all items of the pool.
    """

    rows: IntArray
    stands_for: IntArray
    aside: IntArray
    aside_for: IntArray
    inclusion_probability: FloatArray
    chances: FloatArray

    @property
    def expected(self) -> float:
        """The sum of all chances."""
        return float(self.chances.sum())

    def least(self, rows: BoolArray | None = None) -> float:
        """The smallest chance, of all items or of these (N,); 1 of none."""
        among = self.chances if rows is None else self.chances[rows]
        return float(among.min(initial=1.0))


def draw_allocated(
    pool: Pool, worth: FloatArray, *, limit: int, floor_share: float, rng: Generator
) -> AllocatedDraw:
    """Draw about `limit` clusters, `floor_share` of the chances spread evenly, the rest by worth.

    The order of the asked is chance alone, so it says nothing of their worth. Of a cluster all
    have the same chance, by their mean worth: one answer counts for those drawn with it.

    Args:
        worth: shape (N,), finite, >= 0, such as `influence` gives. All 0: an even draw.
        floor_share: in (0, 1]; what keeps the chance of items that a model is wrongly sure of.

    Raises:
        BadWorth: as `poisson_probabilities`.
        BadBudget: the limit is negative, or the share not in (0, 1].

    Source: Madow (1949), systematic draws with unequal chances, in random order: every chance is
    exact, and the size is fixed. Variances of independent draws are on the safe side for it.
    """
    if limit < 0 or not 0.0 < floor_share <= 1.0:
        raise BadBudget(f"limit is {limit} and floor_share {floor_share}; write 0 or more, (0, 1]")
    items = len(pool)
    clusters = np.arange(items) if pool.groups is None else pool.groups
    sizes = np.bincount(clusters) if items else np.zeros(0, dtype=np.intp)
    mean = np.bincount(clusters, weights=worth) / np.maximum(sizes, 1) if items else worth
    alike = mean[clusters] if items else worth

    def chances(budget: float) -> FloatArray:
        floor = floor_share * min(budget / max(items, 1), 1.0)
        return poisson_probabilities(alike, budget=budget, floor=floor)

    chance = chances(_budget_for(chances, clusters, sizes, limit=limit))
    key = rng.bytes(KEY_BYTES)
    order = np.lexsort((pool.ids.digests, pool.ids.uniforms(key))) if items else clusters
    # Sums of chances pass a whole number plus the start once an item drawn.
    passed = np.floor(np.cumsum(chance[order]) + rng.random())
    drawn = order[np.diff(passed, prepend=0.0) > 0.0] if items else order
    asked = _one_of_each(drawn, clusters)
    return AllocatedDraw(
        *asked,
        inclusion_probability=chance[asked.rows],
        chances=chance,
    )


class _Asked(NamedTuple):
    rows: IntArray
    stands_for: IntArray
    aside: IntArray
    aside_for: IntArray


def _one_of_each(drawn: IntArray, clusters: IntArray) -> _Asked:
    """The first drawn of each cluster, in the order drawn, and who stands aside for whom."""
    _, first, owner = np.unique(clusters[drawn], return_index=True, return_inverse=True)
    # In the order drawn and not of the clusters' numbers.
    order = np.argsort(first)
    asked = first[order]
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    owner = place[owner]
    stays = np.zeros(len(drawn), dtype=np.bool_)
    stays[asked] = True
    return _Asked(
        rows=drawn[asked],
        stands_for=np.bincount(owner, minlength=len(asked)).astype(np.intp),
        aside=drawn[~stays],
        aside_for=drawn[asked][owner[~stays]],
    )


def _budget_for(
    chances: Callable[[float], FloatArray], clusters: IntArray, sizes: IntArray, *, limit: int
) -> float:
    """The number of items of which a draw meets about `limit` clusters."""
    total = len(clusters)
    low, high = float(min(limit, total)), float(total)
    if not len(sizes) or int(sizes.max()) <= 1 or limit >= np.count_nonzero(sizes):
        return low if limit < np.count_nonzero(sizes) else high
    for _ in range(20):
        middle = (low + high) / 2.0
        missed = np.bincount(clusters, weights=np.log1p(-np.minimum(chances(middle), 1.0 - 1e-12)))
        if float((1.0 - np.exp(missed)).sum()) >= limit:
            high = middle
        else:
            low = middle
    return high


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
