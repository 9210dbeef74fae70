"""Batches that do not repeat themselves: uncertain candidates first, then spread among them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling.distinct import distinct_rows
from sampling.ids import KEY_BYTES
from sampling.k_center import farthest_first
from sampling.k_means import assign, lloyd
from sampling.penalised import penalised
from sampling.pool import IntArray, Pool
from sampling.scores import uncertain_order, uncertainty
from sampling.spread import on_grid, rows_on_grid

Float32 = NDArray[np.float32]

SHORTLIST_FACTOR = 10
"""Candidates per pick (docs/sampling.md has the measured curves)."""

SHORTLIST_SHARE = 10
"""Of the pool at most one in so many is a candidate, and two a pick at least: where a batch is a
large part of the pool, ten a pick would reach down to what the model is sure of."""

DEPTH_FACTOR = 4  # rows looked at per candidate wanted
_LLOYD_STEPS = 3
_BEST_ONE_IN = 4
_PICKS_PER_PART = 2000  # work is candidates x picks: above this, in parts of this size


def uncertain_diverse(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """The default: uncertain candidates, each pick for all that are like it.

    1. The pool in `uncertain_order` (categories take turns); equals in an order drawn by `rng`, so
       that a cold start is a random draw and not the oldest ids.
    2. The first 10 * limit of it that are no near-duplicate (cosine > 0.98) of an earlier one or of
       a labelled one, and no second member of a group. Never more than a tenth of the pool, but
       2 * limit at least.
    3. Among these `penalised`: early ones in dense places first, each pick and each labelled item
       making those like it less wanted, and then giving way to the middle of its own cluster.
    4. Picks in order of uncertainty. Only where the whole pool does not hold `limit` distinct
       candidates do the suppressed ones fill up, in the order of 1.

    Without embeddings it is the first `limit` of step 1 with one member a group first: nothing else
    changes, and no error is raised.

    `uncertain_k_means`, which asks far down the order also where there are no clusters, fell 2 to
    4 % behind plain margin with sentence embeddings (docs/sampling.md).
    """
    return _spread_out(pool, limit=limit, rng=rng, choose=_by_likeness)


def uncertain_diverse_per_second(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """`uncertain_diverse` by worth per second of a reviewer's time (`Pool.seconds`) in step 1.
    Without seconds it is `uncertain_diverse`."""
    return _spread_out(pool, limit=limit, rng=rng, choose=_by_likeness, per_second=True)


def uncertain_k_means(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """As `uncertain_diverse`, but step 3 is one of each of `limit` k-means clusters.

    k-means is weighted by uncertainty, starts from a cover (`farthest_first`, away from what is
    labelled) and takes three Lloyd steps; of each cluster's most uncertain quarter the one nearest
    to its centre is asked. Hits the most clusters of all, and asks far down the order for it.

    Source: Zhdanov (2019), "Diverse mini-batch active learning", who takes the nearest of all, and
    Citovsky et al. (2021), "Batch Active Learning at Scale", who take the most uncertain. A start
    by k-means++ spends several centres on each large cluster: 734 of 2,000 clusters hit by 1,000
    picks where this hits 990.
    """
    return _spread_out(pool, limit=limit, rng=rng, choose=_by_clusters)


def uncertain_k_center(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """As `uncertain_k_means`, but the picks are the cover itself, before any Lloyd step.
    Spreads more, and takes more outliers."""
    return _spread_out(pool, limit=limit, rng=rng, choose=_by_cover, picks_per_part=limit)


Choose = Callable[[Pool, IntArray, int], IntArray]
"""(pool, rows best first, limit) -> places among those rows."""


def _spread_out(
    pool: Pool,
    *,
    limit: int,
    rng: Generator,
    choose: Choose,
    per_second: bool = False,
    picks_per_part: int = _PICKS_PER_PART,
) -> IntArray:
    """Large batches go in parts, every part getting its fair share of the best candidates."""
    limit = min(limit, len(pool))
    shortlist, spare = _shortlist(pool, limit=limit, rng=rng, per_second=per_second)
    if not pool.has_embeddings or not len(shortlist) > limit > 0:
        return _filled(shortlist, np.arange(min(limit, len(shortlist))), spare, limit=limit)
    parts = -(-limit // picks_per_part)
    chosen: list[IntArray] = []
    for part in range(parts):
        places = np.arange(part, len(shortlist), parts)
        picks = limit // parts + (part < limit % parts)
        chosen.append(places[choose(pool, shortlist[places], picks)])
    return _filled(shortlist, np.concatenate(chosen), spare, limit=limit)


def _by_likeness(pool: Pool, rows: IntArray, limit: int) -> IntArray:
    labelled: Float32 = np.empty((0, pool.dimensions), dtype=np.float32)
    if pool.labelled is not None:
        labelled = on_grid(np.asarray(pool.labelled.embeddings))
    return np.sort(penalised(rows_on_grid(pool, rows), labelled=labelled, limit=limit))


def _by_clusters(pool: Pool, rows: IntArray, limit: int) -> IntArray:
    start = farthest_first(pool.take(rows), limit=limit, first=0)
    points = rows_on_grid(pool, rows)
    # A weight of zero would let k-means forget an item that it must still place.
    weights = np.maximum(uncertainty(pool, rows).astype(np.float64), 1e-3)
    centres = lloyd(points, points[start], weights=weights, steps=_LLOYD_STEPS)
    return np.sort(nearest_of_best(*assign(points, centres)))


def _by_cover(pool: Pool, rows: IntArray, limit: int) -> IntArray:
    return farthest_first(pool.take(rows), limit=limit, first=0)


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
    places: IntArray = nearest[np.flatnonzero(np.diff(owner[nearest], prepend=-1))]
    return places


def _shortlist(
    pool: Pool, *, limit: int, rng: Generator, per_second: bool = False
) -> tuple[IntArray, IntArray]:
    """Uncertain rows that differ, best first; and the suppressed ones, to fill up with.

    Looks four times as deep as it wants candidates, so that a spam wave does not push the
    shortlist into what the model is sure of; and through the whole pool only when there would not
    even be `limit` of them otherwise.
    """
    tie = pool.ids.uniforms(rng.bytes(KEY_BYTES))
    most = max(pool.items_in_all // SHORTLIST_SHARE, 2 * limit)
    wanted = min(SHORTLIST_FACTOR * limit, most)
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
