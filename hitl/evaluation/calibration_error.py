"""How far probabilities are from what happens: for many weightings at once."""

from __future__ import annotations

import numpy as np

from hitl.evaluation.arrays import FloatArray, IntArray

BINS = 15
# float32 models round a confident answer to exactly 0 or 1; an infinite loss would hide the rest.
LEAST_PROBABILITY = 1e-7


def log_losses(probabilities: FloatArray, truth: FloatArray) -> FloatArray:
    """Minus the log of the probability given to what was true, any shape; NaN stays NaN."""
    clipped = np.clip(probabilities, LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY)
    losses: FloatArray = -np.log(np.where(truth == 1.0, clipped, 1.0 - clipped))
    return np.where(np.isnan(truth), np.nan, losses)


def squared_errors(probabilities: FloatArray, truth: FloatArray) -> FloatArray:
    """Brier's terms, any shape."""
    found: FloatArray = (probabilities - truth) ** 2
    return found


def equal_mass_starts(sorted_scores: FloatArray, *, bins: int = BINS) -> IntArray:
    """Where each bin begins, in scores sorted either way: as equal in items as ties allow.

    Equal scores share a bin, so that the order of rows cannot change a result.
    """
    n = len(sorted_scores)
    starts = np.ceil(np.arange(min(bins, n)) * n / min(bins, n) - 1e-9).astype(np.int64)
    changes = np.flatnonzero(np.diff(sorted_scores)) + 1
    begins = np.concatenate([[0], changes]).astype(np.int64)
    # A start inside a tie moves back to where the tie begins.
    moved: IntArray = np.unique(begins[np.searchsorted(begins, starts, side="right") - 1])
    return moved


def expected_calibration_error(
    sorted_gaps: FloatArray, starts: IntArray, weights: FloatArray
) -> FloatArray:
    """The mean over items of |mean probability - share violating| in the item's bin.

    Noise alone makes it larger than 0, more so with few items a bin; compare it between models
    on the same items, never with 0.

    Args:
        sorted_gaps: shape (n,), probability - truth, in the order of the bins.
        starts: where bins begin, from `equal_mass_starts`.
        weights: shape (B, n), in the same order.

    Returns:
        Shape (B,), in [0, 1]; NaN where nothing has weight.

    Source: Naeini, Cooper and Hauskrecht (2015), with bins of equal mass and of one category.
    """
    by_bin = np.add.reduceat(weights * sorted_gaps, starts, axis=1)
    total = weights.sum(axis=1)
    errors: FloatArray = np.full(len(total), np.nan)
    np.divide(np.abs(by_bin).sum(axis=1), total, out=errors, where=total > 0.0)
    return errors
