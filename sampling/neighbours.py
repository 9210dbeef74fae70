"""Near what is known to violate: the few per mille of a large pool that are worth a look."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling import products
from sampling.pool import IntArray, Pool
from sampling.scores import top_positive_by_turns, uncertain_order
from sampling.spread import PoolPoints, on_grid

Float32 = NDArray[np.float32]

NEIGHBOURS = 100
"""Of each known positive. Coleman et al. used 100 too."""

_POSITIVES_AT_MOST = 1024


def near_positives(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Among the 100 nearest neighbours of each known positive, by turns the most uncertain and the
    likeliest one.

    Positives are those of `Pool.labelled`, its last 1,024. Where their neighbours are fewer than
    `limit`, or no positive or no embedding is known, each category's likeliest in turn fill up.

    Source: SEALS of Coleman et al. (2022), "Similarity Search for Efficient Active Learning and
    Search of Rare Concepts"; neighbours are exact (on the grid of `spread`), and of positives
    alone.
    """
    limit = min(limit, len(pool))
    near = _neighbours(pool) if limit > 0 else np.empty(0, dtype=np.intp)
    part = pool.take(near)
    uncertain = near[uncertain_order(part, limit=len(near), tie=part.ids)]
    likely = near[top_positive_by_turns(part, limit=len(near), rng=rng)]
    rest = top_positive_by_turns(pool, limit=min(len(pool), limit + len(near)), rng=rng)
    by_turns = np.stack([uncertain, likely], axis=1).ravel()
    return _first_distinct(np.concatenate([by_turns, rest]), limit=limit)


def _neighbours(pool: Pool) -> IntArray:
    """Rows that are among the nearest of a known positive, ascending."""
    if pool.labelled is None or not pool.has_embeddings:
        return np.empty(0, dtype=np.intp)
    positives = np.asarray(pool.labelled.embeddings)[pool.labelled.positive]
    # Of one of zeros nothing is known; it would be as near to any item as to any other.
    positives = positives[positives.any(axis=1)][-_POSITIVES_AT_MOST:]
    if not len(positives):
        return np.empty(0, dtype=np.intp)
    known = products.as_tensor(on_grid(positives))
    wanted = min(NEIGHBOURS, len(pool))
    likeness = np.full((len(positives), wanted), -np.inf, dtype=np.float32)
    points = PoolPoints(pool)
    for _part, block in points.blocks():
        found = products.inner(known, block)
        lowest = likeness.min(axis=1)
        for one in np.flatnonzero(found.max(axis=1) > lowest):
            both = np.concatenate([likeness[one], found[one][found[one] > lowest[one]]])
            likeness[one] = np.partition(both, len(both) - wanted)[-wanted:]
    # Where the last of the nearest are equally near, all of them are neighbours: which of them
    # came first in the pool must not matter.
    bars = likeness.min(axis=1)
    near = np.zeros(len(pool), dtype=np.bool_)
    for part, block in points.blocks():
        near[part] = (products.inner(known, block) >= bars[:, None]).any(axis=0)
    return np.flatnonzero(near)


def _first_distinct(rows: IntArray, *, limit: int) -> IntArray:
    _values, places = np.unique(rows, return_index=True)
    kept: IntArray = rows[np.sort(places)][:limit]
    return kept
