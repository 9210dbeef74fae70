"""The first batches, when no model can say yet what it does not know: the shape of the pool alone.

A pool of more than 32 rows a cluster is stood for by that many, drawn by keyed ids: what a cluster
is, how large and what is typical of it shows in them, and the cost no longer grows with the pool.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling.ids import KEY_BYTES
from sampling.k_means import assign, k_means
from sampling.pool import FloatArray, IntArray, Pool, best_first
from sampling.scores import filled_by_uncertainty, uncertain_order
from sampling.spread import rows_on_grid

Float32 = NDArray[np.float32]

ROWS_PER_CLUSTER = 32
CLUSTERS_AT_MOST = 2000
_NEIGHBOURS = 20
_LOOKED_AT_PER_CLUSTER = 256


def whole_k_means(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """One item for each of `limit` clusters, the one nearest its centre; largest cluster first.

    Uncertainty plays no part. Without embeddings it is `uncertain`.

    Source: k-means (Lloyd, 1982); as a query strategy, Yuan, Lin and Boyd-Graber (2020).
    """
    limit = min(limit, len(pool))
    if not pool.has_embeddings or limit <= 0:
        return uncertain_order(pool, limit=limit, tie=pool.ids)
    found = _clusters(pool, count=limit, rng=rng)
    nearest = np.array([places[0] for places in found.members()], dtype=np.intp)
    return filled_by_uncertainty(pool, found.rows[nearest], limit=limit)


def typical(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """The most typical item of each cluster that has no label yet, the largest cluster first.

    As many clusters as there are labels and picks together (2,000 at most). Clusters with the
    fewest labels go first, among them the largest; its pick is the item with the smallest mean
    distance to its 20 nearest neighbours there. When every cluster has been asked once, those
    with a next typical item are asked again. Without embeddings it is `uncertain`.

    Source: TypiClust of Hacohen, Dekel and Weinshall (2022), "Active Learning on a Budget";
    in clusters above 256 rows neighbours are looked for among those nearest the centre.
    """
    limit = min(limit, len(pool))
    if not pool.has_embeddings or limit <= 0:
        return uncertain_order(pool, limit=limit, tie=pool.ids)
    labelled = 0 if pool.labelled is None else len(np.asarray(pool.labelled.labels))
    count = max(limit, min(labelled + limit, CLUSTERS_AT_MOST))
    found = _clusters(pool, count=count, rng=rng)
    queues = [
        found.rows[places[_by_typicality(found.grid[places])]]
        for places in (members[:_LOOKED_AT_PER_CLUSTER] for members in found.members())
    ]
    depth = max((len(queue) for queue in queues), default=0)
    turns = (queue[turn] for turn in range(depth) for queue in queues if turn < len(queue))
    chosen = np.fromiter(turns, dtype=np.intp)[:limit]
    return filled_by_uncertainty(pool, chosen, limit=limit)


@dataclass(frozen=True, slots=True)
class _Clusters:
    """Clusters of a part of the pool: rows of the pool and where they lie, by id."""

    rows: IntArray
    grid: Float32
    owner: IntArray
    near: Float32
    labels: IntArray

    def members(self) -> list[IntArray]:
        """Places of each cluster that has any, nearest its centre first; clusters with the fewest
        labels first, among them the largest."""
        size = np.bincount(self.owner, minlength=len(self.labels))
        order = np.lexsort((self.near, self.owner))
        by_need = np.lexsort((np.arange(len(size)), -size, self.labels))
        ends = np.cumsum(size)
        return [order[ends[one] - size[one] : ends[one]] for one in by_need if size[one]]


def _clusters(pool: Pool, *, count: int, rng: Generator) -> _Clusters:
    drawn = pool.ids.uniforms(rng.bytes(KEY_BYTES))
    part = best_first(-drawn, limit=ROWS_PER_CLUSTER * count, tie=pool.ids)
    rows = part[np.argsort(pool.ids.ranks(part))]
    asked_about = None if pool.labelled is None else pool.labelled.embeddings
    grid = rows_on_grid(pool, rows, more=asked_about)
    centres = k_means(grid, clusters=count, rng=rng)
    owner, near = assign(grid, centres)
    asked = owner[len(rows) :]
    labels = np.bincount(asked, minlength=len(centres)).astype(np.intp)
    ours = slice(0, len(rows))
    return _Clusters(rows, grid[ours], owner[ours], near[ours], labels)


def _by_typicality(rows: Float32) -> IntArray:
    """Places of these rows on the grid, the one nearest its neighbours first."""
    if len(rows) == 1:
        return np.zeros(1, dtype=np.intp)
    size = np.einsum("ij,ij->i", rows, rows)
    apart: FloatArray = np.maximum(size[:, None] + size - 2.0 * (rows @ rows.T), 0.0)
    neighbours = min(_NEIGHBOURS, len(rows) - 1)
    # Itself is among the nearest, at 0.
    nearest = np.partition(apart, neighbours, axis=1)[:, : neighbours + 1]
    nearest.sort(axis=1)  # the order of a partition is the machine's own, and a sum rounds by it
    return np.argsort(np.sqrt(nearest.astype(np.float64)).sum(axis=1), kind="stable")
