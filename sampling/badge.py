"""BADGE: a batch whose gradients would move the model far, and in different directions.

The gradient of an item's loss, were the model's own answer the truth, is an outer product:
residual x embedding. Its inner products are those of the residuals times those of the embeddings,
so the (N, C * D) matrix is never built.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sampling import products
from sampling.pool import ROWS_PER_BLOCK, FloatArray, IntArray, Pool
from sampling.scores import filled_by_uncertainty
from sampling.spread import PoolPoints, draw_spread

Float32 = NDArray[np.float32]

_LARGEST_SQUARE = 2.0**22
"""Of a residual on the grid: its inner products are then exact in float32."""


def badge(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """k-means++ over gradients: large ones, far from each other.

    The first pick has the largest gradient (the first id of equals); each further one is drawn
    with a chance in proportion to its squared distance to the nearest pick, exactly. Where all
    that is left coincides with a pick, the rest comes by uncertainty. Without embeddings the
    gradients are the residuals alone.

    Source: Ash et al. (2020), "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower
    Bounds". For independent categories the loss is the sum of each one's cross-entropy.
    """
    limit = min(limit, len(pool))
    if limit <= 0:
        return np.empty(0, dtype=np.intp)
    gradients = Gradients(pool)
    largest = np.flatnonzero(gradients.size == gradients.size.max())
    first = int(pool.ids.lowest(largest, limit=1)[0])
    rows = draw_spread(gradients, limit=limit, order=pool.ids.order, rng=rng, first=first)
    return filled_by_uncertainty(pool, rows, limit=limit)


def residuals(probabilities: FloatArray, *, exclusive: bool) -> FloatArray:
    """Shape (N, C): gradient of the loss by the logits, were the model's own answer the truth.

    Exclusive categories: p less one at the leading category (the first of equals). Independent
    ones: p less one where it is one half or more.
    """
    # Rows side by side in memory: a sum must not round by how a caller laid them out.
    found: FloatArray = np.array(probabilities, order="C")
    if exclusive:
        found[np.arange(len(found)), found.argmax(axis=1)] -= 1.0
    else:
        found[found >= 0.5] -= 1.0
    return found


class Gradients:
    """The factored gradients of a pool as points of a space (`spread.Space`)."""

    def __init__(self, pool: Pool) -> None:
        largest = max(
            (float(_squared(exact).max()) for _, exact in _residual_blocks(pool)), default=0.0
        )
        self._pool = pool
        self._steps = np.floor(np.sqrt(_LARGEST_SQUARE / largest)) if largest > 0.0 else 1.0
        self._points = PoolPoints(pool) if pool.has_embeddings else None
        self.size: Float32 = np.empty(len(pool), dtype=np.float32)
        for part, exact in _residual_blocks(pool):
            self.size[part] = _squared(self._on_grid(exact))
        if self._points is not None:
            self.size *= self._points.size

    def __len__(self) -> int:
        return len(self.size)

    def between(self, rows: IntArray, others: IntArray) -> Float32:
        product = self._residuals(others) @ (-2.0 * self._residuals(rows)).T
        if self._points is not None:
            product *= self._points.rows(others) @ self._points.rows(rows).T
        # In the order of `lower`, so that both round alike.
        apart: Float32 = (product + self.size[others][:, None]).T + self.size[rows][:, None]
        return np.maximum(apart, 0.0)

    def lower(self, nearest: Float32, centres: IntArray) -> None:
        import torch

        from sampling import kernels

        directions = products.as_tensor(-2.0 * self._residuals(centres))
        points = None
        if self._points is not None:
            points = products.as_tensor(self._points.rows(centres))
        for part, block in self._blocks():
            left = torch.mm(directions, products.as_tensor(self._residuals(part)).T)
            if points is not None and block is not None:
                right = torch.mm(points, products.as_tensor(block).T)
            else:
                right = torch.ones_like(left)
            best = kernels.lowest_sum(left.cpu().numpy(), right.cpu().numpy(), self.size[centres])
            apart = np.maximum(best + self.size[part], 0.0)
            np.minimum(nearest[part], apart, out=nearest[part])

    def _residuals(self, rows: IntArray | slice) -> Float32:
        """Of these rows, made anew each time: of a large pool all of them are much to keep."""
        exact = residuals(self._pool.probabilities[rows], exclusive=self._pool.exclusive)
        return self._on_grid(exact)

    def _on_grid(self, exact: FloatArray) -> Float32:
        return np.rint(exact * self._steps).astype(np.float32)

    def _blocks(self) -> Iterator[tuple[slice, Float32 | None]]:
        if self._points is not None:
            yield from self._points.blocks()
        else:
            for start in range(0, len(self), ROWS_PER_BLOCK):
                yield slice(start, min(start + ROWS_PER_BLOCK, len(self))), None


def _residual_blocks(pool: Pool) -> Iterator[tuple[slice, FloatArray]]:
    for start in range(0, len(pool), ROWS_PER_BLOCK):
        part = slice(start, start + ROWS_PER_BLOCK)
        yield part, residuals(pool.probabilities[part], exclusive=pool.exclusive)


def _squared(rows: FloatArray) -> FloatArray:
    size: FloatArray = np.einsum("ij,ij->i", rows, rows)
    return size
