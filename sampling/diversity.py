"""Batches that do not repeat themselves: uncertain candidates first, then spread among them.

All geometry is on embeddings of length 1, and every matrix is built in an order of its own (best
first, or by id), so the same items come out whatever the order of the pool's rows.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling.pool import BoolArray, FloatArray, IntArray, Pool, best_first
from sampling.scores import uncertain_order, uncertainty

Float32 = NDArray[np.float32]

SHORTLIST_FACTOR = 4
"""Candidates per pick. On nine binary moderation tasks (30 paired seeds) 4 tied with margin and 10
lost to it on the rarest labels; both beat random."""

NEAR_DUPLICATE_COSINE = 0.98

_LLOYD_STEPS = 8
_DEPTH_FACTOR = 4  # rows looked at per candidate wanted
_PICKS_PER_PART = 2000  # k-means is candidates x picks: above this, work in parts of this size
_ROWS_PER_BLOCK = 2048
_CANDIDATES_KEPT_CURRENT = 2048


def uncertain_diverse(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """The default: uncertain candidates, then one for each of `limit` clusters of them.

    1. The pool in `uncertain_order` (categories take turns); equals in an order drawn by `rng`, so
       that a cold start is a random draw and not the oldest ids.
    2. The first 4 * limit of it that are no near-duplicate (cosine > 0.98) of an earlier one and
       no second member of a group.
    3. k-means among these (k-means++ start, eight Lloyd steps), each weighted by its uncertainty;
       from each cluster the one nearest its centre.
    4. Picks in order of uncertainty. Only where the whole pool does not hold `limit` distinct
       candidates do the suppressed ones fill up, in the order of 1.

    Without embeddings it is the first `limit` of step 1 with one member a group first: nothing else
    changes, and no error is raised.

    Source: two-step k-means of Zhdanov (2019), "Diverse mini-batch active learning", with
    near-duplicates and groups taken out first.
    """
    limit = min(limit, len(pool))
    shortlist, spare = _shortlist(pool, limit=limit, rng=rng)
    if pool.has_embeddings and len(shortlist) > limit > 0:
        chosen = np.sort(_one_per_cluster(pool, shortlist, limit=limit, rng=rng))
    else:
        chosen = np.arange(min(limit, len(shortlist)))
    return _filled(shortlist, chosen, spare, limit=limit)


def uncertain_k_center(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """As `uncertain_diverse`, but step 3 covers the candidates: always the one farthest from all
    chosen, starting at the most uncertain. Spreads more, and takes more outliers."""
    limit = min(limit, len(pool))
    shortlist, spare = _shortlist(pool, limit=limit, rng=rng)
    if pool.has_embeddings and len(shortlist) > limit > 0:
        chosen = k_center_order(pool.unit_embeddings(shortlist), limit=limit, first=0)
    else:
        chosen = np.arange(min(limit, len(shortlist)))
    return _filled(shortlist, chosen, spare, limit=limit)


def k_center(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Cover the whole pool: always the item farthest from all chosen, uncertainty set aside.

    Starts at the most uncertain item. Without embeddings there is nothing to cover and it is
    `uncertain`. Not for rare classes: it takes outliers and finds almost no positives.

    Source: Sener and Savarese (2018), greedy k-center; exact, see `k_center_order`.
    """
    if not pool.has_embeddings or not len(pool) or limit <= 0:
        return uncertain_order(pool, limit=limit, tie=pool.id_ranks())
    start = uncertain_order(pool, limit=1, tie=pool.id_ranks())[0]
    first = int(pool.id_ranks()[start])
    rows = np.empty((len(pool), pool.embeddings(pool.by_id[:1]).shape[1]), dtype=np.float32)
    for places, block in pool.embedding_blocks():
        rows[places] = block
    return pool.by_id[k_center_order(rows, limit=limit, first=first)]


def k_center_order(rows: Float32, *, limit: int, first: int) -> IntArray:
    """Exact greedy k-center in few passes: the order in which plain greedy would pick.

    Args:
        rows: shape (N, D), each of length 1 or 0.
        first: the row to start from.

    Returns:
        Shape (min(limit, N),). Of equally far rows the lower comes first.

    Distances to the chosen only shrink, so old ones are upper bounds. The farthest candidates are
    kept current and chosen among until their best falls to the bound of the rest; only then one
    pass over all rows applies the new centres together, as one matrix product. About ten passes
    serve a thousand picks where plain greedy needs a thousand.
    """
    limit = min(limit, len(rows))
    length = np.einsum("ij,ij->i", rows, rows)  # 1, or 0 for a row of zeros
    bound = np.full(len(rows), np.inf, dtype=np.float32)
    picks: list[int] = []
    fresh = [first]
    while len(picks) + len(fresh) < limit:
        _apply_centres(rows, length, bound, centres=fresh)
        picks += fresh
        bound[picks] = -1.0
        fresh = _pick_among_farthest(rows, length, bound, limit=limit - len(picks))
    return np.asarray((picks + fresh)[:limit], dtype=np.intp)


def keep_distinct(
    blocks: Iterable[Float32], *, limit: int, near: float = NEAR_DUPLICATE_COSINE
) -> IntArray:
    """Walk down the rows and keep those that are no near-duplicate of a kept one, up to `limit`.

    Args:
        blocks: rows (M, D) in blocks, each row of length 1 or 0, best first. No block is asked
            for once there are enough. A row of zeros is like no other.

    Returns:
        The kept places, in order.
    """
    kept: list[Float32] = []
    places: list[int] = []
    start = 0
    for block in blocks:
        repeats = np.zeros(len(block), dtype=np.bool_)
        for earlier in kept:
            repeats |= (block @ earlier.T).max(axis=1, initial=-1.0) > near
        within = np.tril(block @ block.T > near, k=-1)
        for place in np.flatnonzero(within.any(axis=1)):  # rows like an earlier one of the block
            repeats[place] |= bool((within[place] & ~repeats).any())
        distinct = np.flatnonzero(~repeats)[: limit - len(places)]
        kept.append(block[distinct])
        places += (start + distinct).tolist()
        start += len(block)
        if len(places) == limit:
            break
    return np.asarray(places, dtype=np.intp)


def _shortlist(pool: Pool, *, limit: int, rng: Generator) -> tuple[IntArray, IntArray]:
    """Uncertain rows that differ, best first; and the suppressed ones, to fill up with.

    Looks four times as deep as it wants candidates, so that a spam wave does not push the
    shortlist into what the model is sure of; and through the whole pool only when there would not
    even be `limit` of them otherwise.
    """
    tie = np.empty(len(pool), dtype=np.intp)
    tie[pool.by_id] = rng.permutation(len(pool))
    wanted = SHORTLIST_FACTOR * limit
    order = uncertain_order(pool, limit=_DEPTH_FACTOR * wanted, tie=tie)
    shortlist = _distinct_rows(pool, order, limit=wanted)
    if len(shortlist) < limit and len(order) < len(pool):
        order = uncertain_order(pool, limit=len(pool), tie=tie)
        shortlist = _distinct_rows(pool, order, limit=limit)
    return shortlist, order[~np.isin(order, shortlist)]


def _distinct_rows(pool: Pool, order: IntArray, *, limit: int) -> IntArray:
    """The first `limit` rows of `order`, one a group, without near-duplicates."""
    candidates = order[_first_of_group(pool, order)]
    if not pool.has_embeddings:
        return candidates[:limit]
    blocks = (
        pool.unit_embeddings(candidates[start : start + _ROWS_PER_BLOCK])
        for start in range(0, len(candidates), _ROWS_PER_BLOCK)
    )
    return candidates[keep_distinct(blocks, limit=limit)]


def _first_of_group(pool: Pool, order: IntArray) -> BoolArray:
    """Shape of `order`: no earlier row of it is of the same group."""
    first = np.ones(len(order), dtype=np.bool_)
    if pool.groups is not None:
        first[:] = False
        first[np.unique(pool.groups[order], return_index=True)[1]] = True
    return first


def _filled(shortlist: IntArray, chosen: IntArray, spare: IntArray, *, limit: int) -> IntArray:
    """The chosen places of the shortlist; then what they left over of it; then the spares."""
    left = np.ones(len(shortlist), dtype=np.bool_)
    left[chosen] = False
    places = np.concatenate([chosen, np.flatnonzero(left)])
    rows: IntArray = np.concatenate([shortlist[places], spare])[:limit]
    return rows


def _one_per_cluster(pool: Pool, shortlist: IntArray, *, limit: int, rng: Generator) -> IntArray:
    """Places in the shortlist: the one nearest the centre of each of `limit` clusters.

    Large batches go in parts, every part getting its fair share of the best candidates.
    """
    parts = -(-limit // _PICKS_PER_PART)
    weight = uncertainty(pool)
    chosen: list[IntArray] = []
    for part in range(parts):
        places = np.arange(part, len(shortlist), parts)
        picks = limit // parts + (part < limit % parts)
        rows = pool.unit_embeddings(shortlist[places])
        # A weight of zero would let k-means forget an item that it must still place.
        weights = np.maximum(weight[shortlist[places]].astype(np.float64), 1e-3)
        chosen.append(places[_cluster_representatives(rows, weights, picks=picks, rng=rng)])
    return np.concatenate(chosen)


def _cluster_representatives(
    rows: Float32, weights: FloatArray, *, picks: int, rng: Generator
) -> IntArray:
    """Weighted k-means; the row nearest each centre. May be fewer than `picks`: empty clusters."""
    centres = rows[_k_means_plus_plus(rows, weights, picks=picks, rng=rng)]
    for _ in range(_LLOYD_STEPS):
        owner, _near = _nearest_centre(rows, centres)
        mass = np.bincount(owner, weights=weights, minlength=len(centres))
        order = np.argsort(owner, kind="stable")
        present, starts = np.unique(owner[order], return_index=True)
        sums = np.add.reduceat(rows[order] * weights[order, None], starts, axis=0)
        centres[present] = (sums / mass[present, None]).astype(np.float32)
    owner, distance = _nearest_centre(rows, centres)
    # By cluster, then distance, then place: the first of each cluster represents it.
    order = np.lexsort((np.arange(len(rows)), distance, owner))
    _present, starts = np.unique(owner[order], return_index=True)
    nearest: IntArray = order[starts]
    return nearest


def _k_means_plus_plus(
    rows: Float32, weights: FloatArray, *, picks: int, rng: Generator
) -> IntArray:
    """Start centres, each drawn by weight x squared distance to those before it.

    Fewer than `picks` when all remaining rows coincide with a centre.
    Source: Arthur and Vassilvitskii (2007).
    """
    length = np.einsum("ij,ij->i", rows, rows)
    distance = np.full(len(rows), np.inf, dtype=np.float32)
    chosen: list[int] = []
    chance = weights
    for draw in rng.random(picks):
        reach = np.cumsum(chance, dtype=np.float64)
        if not reach[-1] > 0.0:
            break
        place = int(np.searchsorted(reach, draw * reach[-1], side="right"))
        if place == len(rows):  # draw * total rounded up to the total
            place = int(np.flatnonzero(chance)[-1])
        chosen.append(place)
        _apply_centres(rows, length, distance, centres=[place])
        distance[place] = 0.0
        chance = weights * distance
    return np.asarray(chosen, dtype=np.intp)


def _nearest_centre(rows: Float32, centres: Float32) -> tuple[IntArray, Float32]:
    """Per row the nearest centre (the lower of equals) and its squared distance, less |row|^2."""
    owner = np.empty(len(rows), dtype=np.intp)
    distance = np.empty(len(rows), dtype=np.float32)
    size = np.einsum("ij,ij->i", centres, centres)
    for start in range(0, len(rows), _ROWS_PER_BLOCK):
        part = slice(start, start + _ROWS_PER_BLOCK)
        apart = size - 2.0 * (rows[part] @ centres.T)
        owner[part] = apart.argmin(axis=1)
        distance[part] = np.take_along_axis(apart, owner[part, None], axis=1)[:, 0]
    return owner, distance


def _apply_centres(rows: Float32, length: Float32, bound: Float32, *, centres: list[int]) -> None:
    """Lower each row's bound to its squared distance to the nearest of these centres, in place."""
    matrix = rows[centres].T
    for start in range(0, len(rows), _ROWS_PER_BLOCK):
        part = slice(start, start + _ROWS_PER_BLOCK)
        nearest = (length[centres] - 2.0 * (rows[part] @ matrix)).min(axis=1)
        np.minimum(bound[part], np.maximum(length[part] + nearest, 0.0), out=bound[part])


def _pick_among_farthest(
    rows: Float32, length: Float32, bound: Float32, *, limit: int
) -> list[int]:
    """Greedy among the farthest rows, as far as no other row can be farther. At least one."""
    places = np.arange(len(rows))
    current = np.sort(best_first(bound, limit=_CANDIDATES_KEPT_CURRENT, tie=places))
    others = np.delete(bound, current)
    bar = others.max() if len(others) else -np.inf
    near, size = rows[current], length[current]
    distance = bound[current]
    fresh: list[int] = []
    while len(fresh) < limit:
        best = int(distance.argmax())
        if fresh and distance[best] <= bar:
            break
        fresh.append(int(current[best]))
        apart = size + size[best] - 2.0 * (near @ near[best])
        np.minimum(distance, np.maximum(apart, 0.0), out=distance)
        distance[best] = -1.0
        if distance.max() < 0.0:
            break
    return fresh
