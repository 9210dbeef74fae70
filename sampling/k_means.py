"""k-means on the grid of `spread`."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling.pool import ROWS_PER_BLOCK, IntArray
from sampling.spread import Points, draw_spread, nearest_centre

Float32 = NDArray[np.float32]

LLOYD_STEPS = 8


def k_means(rows: Float32, *, clusters: int, rng: Generator) -> Float32:
    """Centres of k-means: a k-means++ start, then eight Lloyd steps at most.

    Args:
        rows: shape (M, D), on the grid, in an order of their own.

    Returns:
        Shape (at most `clusters`, D), on the grid; fewer where rows coincide.

    Source: Lloyd (1982) with the start of Arthur and Vassilvitskii (2007).
    """
    order = np.arange(len(rows))
    start = draw_spread(Points(rows), limit=clusters, order=order, rng=rng)
    return lloyd(rows, rows[start], weights=np.ones(len(rows)), steps=LLOYD_STEPS)


def lloyd(rows: Float32, centres: Float32, *, weights: NDArray[np.float64], steps: int) -> Float32:
    """Centres after that many Lloyd steps of weighted k-means, fewer if they come to rest.

    Rounded to the grid each time, so that the same ones come out on every machine.
    """
    owner: IntArray = np.empty(0, dtype=np.intp)
    for _ in range(steps if len(centres) else 0):
        before, (owner, _near) = owner, assign(rows, centres)
        if np.array_equal(before, owner):
            break
        centres = _means(rows, weights, owner, centres)
    return centres


def assign(rows: Float32, centres: Float32) -> tuple[IntArray, Float32]:
    """Of each row the nearest centre (the first of equals) and the squared distance to it, both
    on the grid."""
    owner = np.empty(len(rows), dtype=np.intp)
    near = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), ROWS_PER_BLOCK):
        part = slice(start, start + ROWS_PER_BLOCK)
        best, owner[part] = nearest_centre(rows[part], centres)
        near[part] = np.einsum("ij,ij->i", rows[part], rows[part]) - best
    return owner, near


def _means(rows: Float32, mass: NDArray[np.float64], owner: IntArray, centres: Float32) -> Float32:
    """The weighted mean of each centre's rows on the grid; one without rows stays."""
    from sampling import kernels

    sums, total = kernels.sums_by_owner(rows, mass, owner, len(centres))
    moved = centres.copy()
    present = total > 0.0
    moved[present] = np.rint(sums[present] / total[present, None])
    return moved
