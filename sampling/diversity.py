"""Batches that do not repeat themselves: uncertain candidates first, then spread among them."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling.distinct import distinct_rows
from sampling.ids import KEY_BYTES
from sampling.k_center import farthest_first
from sampling.penalised import penalised
from sampling.pool import IntArray, Pool
from sampling.scores import uncertain_order
from sampling.spread import on_grid, rows_on_grid

SHORTLIST_FACTOR = 10
"""Candidates per pick (docs/sampling.md has the measured curves)."""

DEPTH_FACTOR = 4  # rows looked at per candidate wanted
_PICKS_PER_PART = 2000  # work is candidates x picks: above this, in parts of this size


def uncertain_diverse(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """The default: uncertain candidates, each pick for all that are like it.

    1. The pool in `uncertain_order` (categories take turns); equals in an order drawn by `rng`, so
       that a cold start is a random draw and not the oldest ids.
    2. The first 10 * limit of it that are no near-duplicate (cosine > 0.98) of an earlier one or of
       a labelled one, and no second member of a group.
    3. Among these `penalised`: early ones in dense places first, each pick and each labelled item
       making those like it less wanted, and then giving way to the middle of its own cluster.
    4. Picks in order of uncertainty. Only where the whole pool does not hold `limit` distinct
       candidates do the suppressed ones fill up, in the order of 1.

    Without embeddings it is the first `limit` of step 1 with one member a group first: nothing else
    changes, and no error is raised.

    What it took the place of, one of each of `limit` k-means clusters among the same candidates
    (Zhdanov, 2019; Citovsky et al., 2021), asks far down the order also where there are no
    clusters: with sentence embeddings it fell 2 to 4 % behind plain margin (docs/sampling.md).
    """
    return _spread_out(pool, limit=limit, rng=rng, per_second=False)


def uncertain_diverse_per_second(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """`uncertain_diverse` by worth per second of a reviewer's time (`Pool.seconds`) in step 1.
    Without seconds it is `uncertain_diverse`."""
    return _spread_out(pool, limit=limit, rng=rng, per_second=True)


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


def _spread_out(pool: Pool, *, limit: int, rng: Generator, per_second: bool) -> IntArray:
    limit = min(limit, len(pool))
    shortlist, spare = _shortlist(pool, limit=limit, rng=rng, per_second=per_second)
    if pool.has_embeddings and len(shortlist) > limit > 0:
        chosen = _in_parts(pool, shortlist, limit=limit)
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


def _in_parts(pool: Pool, shortlist: IntArray, *, limit: int) -> IntArray:
    """Places in the shortlist, ascending.

    Large batches go in parts, every part getting its fair share of the best candidates.
    """
    labelled: NDArray[np.float32] = np.empty((0, pool.dimensions), dtype=np.float32)
    if pool.labelled is not None:
        labelled = on_grid(np.asarray(pool.labelled.embeddings))
    parts = -(-limit // _PICKS_PER_PART)
    chosen: list[IntArray] = []
    for part in range(parts):
        places = np.arange(part, len(shortlist), parts)
        picks = limit // parts + (part < limit % parts)
        rows = rows_on_grid(pool, shortlist[places])
        chosen.append(places[penalised(rows, labelled=labelled, limit=picks)])
    return np.sort(np.concatenate(chosen))
