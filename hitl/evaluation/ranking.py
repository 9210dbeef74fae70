"""How well scores order and separate what violates: for many weightings at once."""

from __future__ import annotations

import numpy as np

from hitl.evaluation.arrays import FloatArray, IntArray


class Ranking:
    """Items sorted once by score; every figure is then a sum over weights in that order.

    Sorting and finding ties is the dear part and does not depend on the weights, so a thousand
    resamples cost one sort and one cumulative sum each.
    """

    def __init__(self, scores: FloatArray, truth: FloatArray) -> None:
        """Scores (n,), any finite numbers; truth (n,), 1 or 0."""
        self.order: IntArray = np.argsort(-scores, kind="stable")
        self._scores = scores[self.order]
        self._positives: IntArray = np.flatnonzero(truth[self.order] == 1.0)
        of_positives = self._scores[self._positives]
        # Equal scores are flagged together: a positive is judged at the end of its tie.
        self._ends_all = np.searchsorted(-self._scores, -of_positives, side="right") - 1
        self._ends_positive = np.searchsorted(-of_positives, -of_positives, side="right") - 1

    def average_precision(self, weights: FloatArray) -> FloatArray:
        """The area under the step-wise precision-recall curve.

        Args:
            weights: shape (B, n), already in `order`, >= 0.

        Returns:
            Shape (B,), in [0, 1]; NaN where nothing that violates has weight.

        Source: sum over thresholds of (recall gained) x precision, as scikit-learn defines it.
        """
        of_positives = weights[:, self._positives]
        found = np.cumsum(of_positives, axis=1)
        if found.shape[1] == 0:
            return np.full(len(weights), np.nan)
        flagged = np.cumsum(weights, axis=1)[:, self._ends_all]
        hits = found[:, self._ends_positive]
        precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0.0)
        return _share((of_positives * precision).sum(axis=1), found[:, -1])

    def precision_at(self, weights: FloatArray, recalls: FloatArray) -> FloatArray:
        """Precision of the highest threshold that reaches each recall.

        Args:
            weights: shape (B, n), already in `order`, >= 0.
            recalls: shape (R,), in (0, 1].

        Returns:
            Shape (B, R), in [0, 1]; NaN where nothing that violates has weight.
        """
        precisions: FloatArray = np.full((len(weights), len(recalls)), np.nan)
        found = np.cumsum(weights[:, self._positives], axis=1)
        if found.shape[1] == 0:
            return precisions
        flagged = np.cumsum(weights, axis=1)[:, self._ends_all]
        hits = found[:, self._ends_positive]
        precision = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0.0)
        for row in np.flatnonzero(hits[:, -1] > 0.0):
            reached = hits[row] / hits[row, -1]
            # Rounding must not hide the last violating item.
            at = np.searchsorted(reached, recalls - 1e-12, side="left")
            precisions[row] = precision[row, np.minimum(at, len(reached) - 1)]
        return precisions

    def at_threshold(
        self, weights: FloatArray, threshold: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Precision, recall and F1 when scores of `threshold` or more are flagged, each (B,).

        NaN where nothing is flagged (precision), nothing violates (recall), or neither (F1).
        """
        flags = int(np.searchsorted(-self._scores, -threshold, side="right"))
        flagged_positives = int(np.searchsorted(self._positives, flags))
        of_positives = weights[:, self._positives]
        hits = of_positives[:, :flagged_positives].sum(axis=1)
        violating = of_positives.sum(axis=1)
        flagged = weights[:, :flags].sum(axis=1)
        return (
            _share(hits, flagged),
            _share(hits, violating),
            _share(2.0 * hits, flagged + violating),
        )


def average_precision(
    scores: FloatArray, truth: FloatArray, weights: FloatArray | None = None
) -> float:
    """Average precision of one weighting of the items; NaN where nothing violates."""
    ranking = Ranking(scores, truth)
    given = np.ones(len(scores)) if weights is None else weights
    return float(ranking.average_precision(given[None, ranking.order])[0])


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    shares: FloatArray = np.full(len(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0.0)
    return shares
