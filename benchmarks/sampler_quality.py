"""What a batch is like before anyone has labelled it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.sampler_pools import MadePool

NEAR = 0.98
"""Cosine above which two items are near-duplicates."""

IntArray = NDArray[np.intp]


def near_duplicates(made: MadePool, rows: IntArray) -> float:
    """Part of the batch with a near-duplicate in it, in [0, 1]."""
    points = made.embeddings[rows].astype(np.float64)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    alike = points @ points.T
    np.fill_diagonal(alike, -1.0)
    return float((alike.max(axis=1) > NEAR).mean())


def clusters_hit(made: MadePool, rows: IntArray) -> int:
    """How many of the topics and campaigns that the pool was drawn from are in the batch."""
    return len(np.unique(made.clusters[rows]))


def uncertainty_of(made: MadePool, rows: IntArray) -> float:
    """Mean of 1 - margin of the exclusive probabilities: 0 for certain, 1 for a tie."""
    top = np.sort(made.exclusive[rows], axis=1)[:, -2:]
    return float(1.0 - (top[:, 1] - top[:, 0]).mean())
