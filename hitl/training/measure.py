"""The two figures training keeps of itself, on rows its fold twins never saw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AnyFloat = NDArray[np.floating]


def average_precision(scores: AnyFloat, targets: AnyFloat, weights: AnyFloat) -> float:
    """Weighted average precision over (N,); rows of equal score enter together. 0 if no positive.

    The step-wise sum of (R_k - R_{k-1}) P_k, as scikit-learn computes it.
    """
    counted = weights > 0
    scores, targets, weights = scores[counted], targets[counted], weights[counted]
    if not (targets > 0).any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum((weights * targets)[order].astype(np.float64))[last]
    seen = np.cumsum(weights[order].astype(np.float64))[last]
    gained = np.diff(hits, prepend=0.0) / hits[-1]
    return float((gained * hits / seen).sum())


def log_loss(probabilities: AnyFloat, targets: AnyFloat, weights: AnyFloat) -> float:
    """Weighted mean of -log of the probability given to what was true; 0 of nothing."""
    if not len(probabilities):
        return 0.0
    p = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-12)
    cells = -np.where(targets > 0.5, np.log(p), np.log1p(-p))
    return float(np.average(cells, weights=weights))
