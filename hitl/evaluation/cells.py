"""Labelled examples as the measures see them: checked, and one sorted cell a category and slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    answers,
    floats,
    probability_array,
    same_length,
)
from hitl.evaluation.bootstrap import group_rows
from hitl.evaluation.calibration_error import (
    equal_mass_starts,
    expected_calibration_error,
    log_losses,
    squared_errors,
)
from hitl.evaluation.errors import BadArrays
from hitl.evaluation.ranking import Ranking

MEASURES = (
    "average_precision",
    "f1",
    "precision",
    "recall",
    "negative_log_likelihood",
    "calibration_error",
    "brier",
)
Thresholds: TypeAlias = Mapping[str, float] | Sequence[float]


class Table(NamedTuple):
    """Checked input: N items, C categories."""

    probabilities: FloatArray
    truth: FloatArray
    known: BoolArray
    thresholds: FloatArray
    weights: FloatArray
    group_of: IntArray

    @classmethod
    def checked(
        cls,
        given: ArrayLike,
        truth: ArrayLike,
        categories: Sequence[str],
        *,
        thresholds: Thresholds,
        weights: ArrayLike | None,
        groups: Sequence[object] | None,
    ) -> Table:
        """Raises BadArrays naming what does not fit."""
        scores = probability_array("probabilities", given, dimensions=2)
        told = answers("truth", truth, dimensions=2)
        if scores.shape != told.shape:
            raise BadArrays("truth", f"has shape {told.shape}, probabilities have {scores.shape}")
        if scores.shape[1] != len(categories):
            raise BadArrays(
                "categories", f"names {len(categories)}, probabilities have {scores.shape[1]}"
            )
        by_item = np.ones(len(scores)) if weights is None else floats("weights", weights)
        same_length(len(scores), weights=by_item)
        if not (np.isfinite(by_item).all() and (by_item >= 0.0).all()):
            raise BadArrays(
                "weights", "holds a weight that is negative or not finite; leave such items out"
            )
        return cls(
            probabilities=scores,
            truth=told,
            known=~np.isnan(scores) & ~np.isnan(told),
            thresholds=_in_order(thresholds, categories),
            weights=by_item,
            group_of=group_rows(groups, len(scores)),
        )


class Cell:
    """One category in one slice: its items, sorted once, and the figures of any weighting."""

    def __init__(
        self, table: Table, column: int, category: str, rows: BoolArray, of: tuple[str, str]
    ) -> None:
        self.category = category
        self.slice = of
        known = np.flatnonzero(rows & table.known[:, column] & (table.weights > 0.0))
        truth = table.truth[known, column]
        scores = table.probabilities[known, column]
        self.n = len(known)
        self.n_positive = int(truth.sum())
        groups = table.group_of[known]
        self.n_events = min(len(np.unique(groups[truth == side])) for side in (0.0, 1.0))
        self.code: str | None = None if self.n else "no_labels"
        self._threshold = float(table.thresholds[column])
        self.n_flagged = len(np.unique(groups[scores >= self._threshold]))
        self._ranking = Ranking(scores, truth)
        order = self._ranking.order
        self._columns = known[order]
        self._truth = truth[order]
        self._losses = np.stack(
            [log_losses(scores, truth)[order], squared_errors(scores, truth)[order]]
        )
        self._gaps = (scores - truth)[order]
        self._starts = equal_mass_starts(scores[order]) if self.n else np.zeros(0, np.int64)

    def figures(self, resample: FloatArray) -> FloatArray:
        """Weights of all items (B, N) -> the MEASURES (B, 7), NaN where one does not exist."""
        weights = resample[:, self._columns]
        total = weights.sum(axis=1)
        # einsum and not matmul: BLAS adds up in another order with another number of threads.
        losses = np.einsum("bn,kn->kb", weights, self._losses)
        with np.errstate(invalid="ignore", divide="ignore"):
            nll, brier = losses / total
        precision, recall, f1 = self._ranking.at_threshold(weights, self._threshold)
        error = expected_calibration_error(self._gaps, self._starts, weights)
        area = self._ranking.average_precision(weights)
        return np.stack([area, f1, precision, recall, nll, error, brier], axis=1)

    def prevalence(self, resample: FloatArray) -> FloatArray:
        """The share that violates, of any weighting of all items (B, N): shape (B,)."""
        weights = resample[:, self._columns]
        total = weights.sum(axis=1)
        hits = (weights * self._truth).sum(axis=1)
        shares: FloatArray = np.full(len(total), np.nan)
        np.divide(hits, total, out=shares, where=total > 0.0)
        return shares

    def random_order_area(self, resample: FloatArray, keys: FloatArray) -> FloatArray:
        """Average precision (B,) had each resample been sorted by `keys` (B, N) instead."""
        order = np.argsort(keys[:, self._columns], axis=1, kind="stable")
        weights = np.take_along_axis(resample[:, self._columns], order, axis=1)
        hits = weights * self._truth[order]
        found, flagged = np.cumsum(hits, axis=1), np.cumsum(weights, axis=1)
        precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0.0)
        areas: FloatArray = np.full(len(hits), np.nan)
        total = found[:, -1]
        np.divide((hits * precision).sum(axis=1), total, out=areas, where=total > 0.0)
        return areas

    @property
    def positive_rows(self) -> IntArray:
        """Which of all items are known to violate here."""
        violate: IntArray = self._columns[self._truth == 1.0]
        return violate

    @property
    def rows(self) -> IntArray:
        """Which of all items are known here."""
        return self._columns

    def backing(self, metric: str) -> int:
        """How many groups a figure stands on, where no resample could move it."""
        return self.n_flagged if metric == "precision" else self.n_events


def distinct(cells: Iterable[Cell]) -> tuple[int, int]:
    """How many items stand behind some cells together, and how many of them violate in any."""
    cells = list(cells)
    if not cells:
        return 0, 0
    known, positive = (
        len(np.unique(np.concatenate(rows)))
        for rows in ([one.rows for one in cells], [one.positive_rows for one in cells])
    )
    return known, positive


def _in_order(thresholds: Thresholds, categories: Sequence[str]) -> FloatArray:
    if isinstance(thresholds, Mapping):
        missing = [one for one in categories if one not in thresholds]
        if missing:
            raise BadArrays("thresholds", f"has none for {', '.join(missing)}; add them")
        return np.array([thresholds[one] for one in categories], dtype=np.float64)
    given = floats("thresholds", thresholds)
    same_length(len(categories), thresholds=given)
    return given
