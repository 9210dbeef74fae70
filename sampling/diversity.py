"""Batches that do not repeat themselves: uncertain candidates first, then spread among them."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling.distinct import distinct_rows
from sampling.ids import KEY_BYTES
from sampling.k_center import farthest_first
from sampling.k_means import assign, lloyd
from sampling.pool import FloatArray, IntArray, Pool
from sampling.scores import cost_share, uncertain_order, uncertainty
from sampling.spread import rows_on_grid

Float32 = NDArray[np.float32]

SHORTLIST_FACTOR = 10
"""Candidates per pick (docs/sampling.md has the measured curves)."""

_LLOYD_STEPS = 3
_BEST_ONE_IN = 4
DEPTH_FACTOR = 4  # rows looked at per candidate wanted
_PICKS_PER_PART = 2000  # k-means is candidates x picks: above this, work in parts of this size


def uncertain_diverse(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """The default: uncertain candidates, then one for each of `limit` clusters of them.

    1. The pool in `uncertain_order` (categories take turns); equals in an order drawn by `rng`, so
       that a cold start is a random draw and not the oldest ids.
    2. The first 10 * limit of it that are no near-duplicate (cosine > 0.98) of an earlier one or of
       a labelled one, and no second member of a group.
    3. k-means among these, each weighted by its uncertainty: it starts from a cover of them
       (`farthest_first`, away from what is labelled) and takes three Lloyd steps; from each
       cluster, of its most uncertain quarter the one nearest to its centre.
    4. Picks in order of uncertainty. Only where the whole pool does not hold `limit` distinct
       candidates do the suppressed ones fill up, in the order of 1.

    Without embeddings it is the first `limit` of step 1 with one member a group first: nothing else
    changes, and no error is raised.

    Source: two-step k-means of Zhdanov (2019), "Diverse mini-batch active learning", which takes
    the nearest of all to the centre, and Citovsky et al. (2021), "Batch Active Learning at Scale",
    who take the most uncertain of each cluster; with near-duplicates and groups taken out first.
    The nearest of all is surer than the best of its cluster, which costs where positives are few;
    the most uncertain of all is an outlier, which costs where positives lie in small regions.
    A start by k-means++ spends several centres on each large cluster: 734 of 2,000 clusters hit by
    1,000 picks where this hits 990.
    """
    return _one_per_uncertain_cluster(pool, limit=limit, rng=rng, per_second=False)


def uncertain_diverse_per_second(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """`uncertain_diverse` by worth per second of a reviewer's time (`Pool.seconds`), in steps 1
    and 3. Without seconds it is `uncertain_diverse`."""
    return _one_per_uncertain_cluster(pool, limit=limit, rng=rng, per_second=True)


def uncertain_k_center(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """As `uncertain_diverse`, but the picks are the cover of step 3 itself, before any Lloyd step.
    Spreads more, and takes more outliers."""
    limit = min(limit, len(pool))
    shortlist, spare = _shortlist(pool, limit=limit, rng=rng)
    if pool.has_embeddings and len(shortlist) > limit > 0:
        chosen = farthest_first(pool.take(shortlist), limit=limit, first=0)
    else:
        chosen = np.arange(min(limit, len(shortlist)))
    return _filled(shortlist, chosen, spare, limit=limit)


def _one_per_uncertain_cluster(
    pool: Pool, *, limit: int, rng: Generator, per_second: bool
) -> IntArray:
    limit = min(limit, len(pool))
    shortlist, spare = _shortlist(pool, limit=limit, rng=rng, per_second=per_second)
    if pool.has_embeddings and len(shortlist) > limit > 0:
        weight = uncertainty(pool)
        if per_second:
            weight = weight * cost_share(pool)
        chosen = np.sort(_one_per_cluster(pool, shortlist, weight, limit=limit))
    else:
        chosen = np.arange(min(limit, len(shortlist)))
    return _filled(shortlist, chosen, spare, limit=limit)


def _shortlist(
    pool: Pool, *, limit: int, rng: Generator, per_second: bool = False
) -> tuple[IntArray, IntArray]:
    """Uncertain rows that differ, best first; and the suppressed ones, to fill up with.

    Looks four times as deep as it wants candidates, so that a spam wave does not push the
    shortlist into what the model is sure of; and through the whole pool only when there would not
    even be `limit` of them otherwise.
    """
    tie = pool.ids.uniforms(rng.bytes(KEY_BYTES))
    wanted = SHORTLIST_FACTOR * limit
    order = uncertain_order(pool, limit=DEPTH_FACTOR * wanted, tie=tie, per_second=per_second)
    shortlist = distinct_rows(pool, order, limit=wanted)
    if len(shortlist) < limit and len(order) < len(pool):
        order = uncertain_order(pool, limit=len(pool), tie=tie, per_second=per_second)
        shortlist = distinct_rows(pool, order, limit=limit)
    return shortlist, order[~np.isin(order, shortlist)]


def _filled(shortlist: IntArray, chosen: IntArray, spare: IntArray, *, limit: int) -> IntArray:
    """The chosen places of the shortlist; then what they left over of it; then the spares."""
    left = np.ones(len(shortlist), dtype=np.bool_)
    left[chosen] = False
    places = np.concatenate([chosen, np.flatnonzero(left)])
    rows: IntArray = np.concatenate([shortlist[places], spare])[:limit]
    return rows


def _one_per_cluster(
    pool: Pool, shortlist: IntArray, weight: FloatArray, *, limit: int
) -> IntArray:
    """Places in the shortlist: one of each of `limit` clusters.

    Large batches go in parts, every part getting its fair share of the best candidates.
    """
    parts = -(-limit // _PICKS_PER_PART)
    chosen: list[IntArray] = []
    for part in range(parts):
        places = np.arange(part, len(shortlist), parts)
        picks = limit // parts + (part < limit % parts)
        start = farthest_first(pool.take(shortlist[places]), limit=picks, first=0)
        rows = rows_on_grid(pool, shortlist[places])
        # A weight of zero would let k-means forget an item that it must still place.
        weights = np.maximum(weight[shortlist[places]].astype(np.float64), 1e-3)
        centres = lloyd(rows, rows[start], weights=weights, steps=_LLOYD_STEPS)
        chosen.append(places[nearest_of_best(*assign(rows, centres))])
    return np.concatenate(chosen)


def nearest_of_best(owner: IntArray, near: Float32) -> IntArray:
    """One place of each owner: of its first quarter the nearest to the centre, the first of equals.

    Args:
        owner: shape (M,), of places best first.
        near: shape (M,), squared distances to the centres.
    """
    by_owner = np.argsort(owner, kind="stable")
    owners = owner[by_owner]
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    sizes = np.diff(np.append(starts, len(owners)))
    rank = np.arange(len(owners)) - np.repeat(starts, sizes)
    best = by_owner[rank < np.repeat(-(-sizes // _BEST_ONE_IN), sizes)]
    nearest = best[np.lexsort((best, near[best], owner[best]))]
    first = np.flatnonzero(np.diff(owner[nearest], prepend=-1))
    rows: IntArray = nearest[first]
    return rows
