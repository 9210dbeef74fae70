"""The first batches, when no model can say yet what it does not know: the shape of the pool alone.

Clusters are found on a part of the pool drawn by keyed ids, 32 rows a cluster; every row is then
given its nearest centre in one pass. Beside the pool this holds a few numbers a row and that part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling.ids import KEY_BYTES
from sampling.k_means import k_means
from sampling.pool import FloatArray, IntArray, Pool, best_first
from sampling.scores import uncertain_order
from sampling.spread import PoolPoints, nearest_centre, on_grid

Float32 = NDArray[np.float32]

_ROWS_PER_CLUSTER = 32
_CLUSTERS_AT_MOST = 2000
_NEIGHBOURS = 20
_LOOKED_AT_PER_CLUSTER = 256


def whole_k_means(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """One item for each of `limit` clusters of the whole pool: the one nearest its centre.

    The largest cluster's first. Uncertainty plays no part. Without embeddings it is `uncertain`.

    Source: k-means (Lloyd, 1982); as a query strategy, Yuan, Lin and Boyd-Graber (2020).
    """
    limit = min(limit, len(pool))
    if not pool.has_embeddings or limit <= 0:
        return uncertain_order(pool, limit=limit, tie=pool.ids)
    found = _clusters(pool, count=limit, rng=rng)
    chosen = [rows[0] for rows in found.members(pool, at_most=1)]
    return _filled(pool, np.asarray(chosen, dtype=np.intp), limit=limit)


def typical(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """The most typical item of each cluster that has no label yet, the largest cluster first.

    As many clusters as there are labels and picks together (2,000 at most). Clusters with the
    fewest labels go first, among them the largest; its pick is the item with the smallest mean
    distance to its 20 nearest neighbours there. When every cluster has been asked once, those
    with a next typical item are asked again. Without embeddings it is `uncertain`.

    Source: TypiClust of Hacohen, Dekel and Weinshall (2022), "Active Learning on a Budget";
    in clusters above 256 items the neighbours are looked for among those nearest the centre.
    """
    limit = min(limit, len(pool))
    if not pool.has_embeddings or limit <= 0:
        return uncertain_order(pool, limit=limit, tie=pool.ids)
    labelled = 0 if pool.labelled is None else len(np.asarray(pool.labelled.labels))
    count = max(limit, min(labelled + limit, _CLUSTERS_AT_MOST))
    found = _clusters(pool, count=count, rng=rng)
    queues = [
        rows[_by_typicality(on_grid(pool.embeddings(rows)))]
        for rows in found.members(pool, at_most=_LOOKED_AT_PER_CLUSTER)
    ]
    depth = max((len(queue) for queue in queues), default=0)
    turns = (queue[turn] for turn in range(depth) for queue in queues if turn < len(queue))
    chosen = np.fromiter(turns, dtype=np.intp)[:limit]
    return _filled(pool, chosen, limit=limit)


@dataclass(frozen=True, slots=True)
class _Clusters:
    """Each row's cluster and squared distance to its centre; each cluster's count of labels."""

    owner: IntArray
    near: Float32
    labels: IntArray

    def members(self, pool: Pool, *, at_most: int) -> list[IntArray]:
        """Rows of each cluster that has any, nearest its centre first; clusters with the fewest
        labels first, among them the largest."""
        size = np.bincount(self.owner, minlength=len(self.labels))
        ranks = pool.id_ranks()
        order = np.lexsort((ranks, self.near, self.owner))
        starts = np.concatenate([[0], np.cumsum(size)[:-1]])
        by_need = np.lexsort((np.arange(len(size)), -size, self.labels))
        return [
            order[starts[one] : starts[one] + min(size[one], at_most)]
            for one in by_need
            if size[one]
        ]


def _clusters(pool: Pool, *, count: int, rng: Generator) -> _Clusters:
    drawn = pool.ids.uniforms(rng.bytes(KEY_BYTES))
    part = best_first(-drawn, limit=_ROWS_PER_CLUSTER * count, tie=pool.ids)
    rows = on_grid(pool.embeddings(part))
    anchors: Float32 = np.empty((0, pool.dimensions), dtype=np.float32)
    if pool.labelled is not None:
        anchors = on_grid(np.asarray(pool.labelled.embeddings))
    centres = k_means(np.vstack([rows, anchors]), clusters=count, rng=rng)
    owner = np.empty(len(pool), dtype=np.intp)
    near = np.empty(len(pool), dtype=np.float32)
    points = PoolPoints(pool)
    for place, block in points.blocks():
        best, owner[place] = nearest_centre(block, centres)
        near[place] = points.size[place] - best
    labels: IntArray = np.zeros(len(centres), dtype=np.intp)
    if len(anchors):
        labels = np.bincount(nearest_centre(anchors, centres)[1], minlength=len(centres))
    return _Clusters(owner, near, labels)


def _by_typicality(rows: Float32) -> IntArray:
    """Places of these rows on the grid, the one nearest its neighbours first."""
    if len(rows) == 1:
        return np.zeros(1, dtype=np.intp)
    size = np.einsum("ij,ij->i", rows, rows)
    apart: FloatArray = np.maximum(size[:, None] + size - 2.0 * (rows @ rows.T), 0.0)
    neighbours = min(_NEIGHBOURS, len(rows) - 1)
    # Itself is among the nearest, at 0.
    nearest = np.partition(apart, neighbours, axis=1)[:, : neighbours + 1]
    return np.argsort(np.sqrt(nearest.astype(np.float64)).sum(axis=1), kind="stable")


def _filled(pool: Pool, rows: IntArray, *, limit: int) -> IntArray:
    """`rows`, and where they are too few the most uncertain others."""
    if len(rows) >= limit:
        return rows[:limit]
    left = np.ones(len(pool), dtype=np.bool_)
    left[rows] = False
    rest = np.flatnonzero(left)
    part = pool.take(rest)
    more = rest[uncertain_order(part, limit=limit - len(rows), tie=part.ids)]
    return np.concatenate([rows, more])
