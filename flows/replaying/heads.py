"""The small models of a replay: logistic heads, fitted to their optimum, many times.

What scikit-learn's LogisticRegression(C=1) finds, without its checks and conversions, which take
longer than the fit of a few hundred rows, and started from the last round's weights
(tests/flows/test_replay_heads.py holds the two to the same optimum).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import fmin_l_bfgs_b
from scipy.special import expit, log_softmax, softmax

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

_GRADIENT = 1e-6  # of the mean loss: at 550 rows within 1e-8 of the least loss there is
_MAX_STEPS = 1_000


class Head(StrEnum):
    """Which logistic head.

    `balanced`: both answers of a label weigh the same, on rows as they are; suits rare labels.
    `logreg`: every row weighs the same, on columns scaled to mean 0 and spread 1 over what is
    labelled.
    """

    BALANCED = "balanced"
    LOGREG = "logreg"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A head for each label, or one for all classes where `is_exclusive`.

    `solved` (D + 1, C) is where a next fit may start; `weights` (D, C) and `intercepts` (C,) are
    the same for rows as they are.
    """

    head: Head
    is_exclusive: bool
    solved: Float64
    weights: Float32
    intercepts: Float64

    def probabilities(self, rows: Float32) -> Float64:
        """Shape (N, C); rows add up to 1 where the classes are exclusive."""
        logits = np.asarray(rows @ self.weights, dtype=np.float64) + self.intercepts
        found: Float64 = softmax(logits, axis=1) if self.is_exclusive else expit(logits)
        return found


def fit_head(
    rows: Float32, labels: Float64, *, head: Head, classes: int = 0, start: Fitted | None = None
) -> Fitted:
    """The heads that minimise `sum(weight * logloss) + |w|^2 / 2`, intercepts free.

    Args:
        rows: shape (N, D).
        labels: (N, C) of 0/1, each column with both answers; or (N,) class numbers below `classes`.
        classes: 0 for 0/1 labels, else how many classes there are.
        start: an earlier fit to start from. The optimum is the same from anywhere.
    """
    wide: Float64 = np.ones((len(rows), rows.shape[1] + 1))
    wide[:, :-1] = rows
    middle: Float64 = np.zeros(rows.shape[1])
    scale: Float64 = np.ones(rows.shape[1])
    if head is Head.LOGREG:
        middle, spread = wide[:, :-1].mean(axis=0), wide[:, :-1].std(axis=0)
        scale = np.where(spread > 1e-6, spread, 1.0)
        wide[:, :-1] = (wide[:, :-1] - middle) / scale
    columns = classes or labels.shape[1]
    solved = np.zeros((wide.shape[1], columns)) if start is None else start.solved
    if classes:
        solved = _solve_classes(wide, labels.astype(np.intp), classes, head, solved)
    else:
        solved = np.column_stack(
            [_solve_label(wide, labels[:, c], head, solved[:, c]) for c in range(columns)]
        )
    weights = solved[:-1] / scale[:, None]
    return Fitted(
        head=head,
        is_exclusive=bool(classes),
        solved=solved,
        weights=weights.astype(np.float32),
        intercepts=solved[-1] - middle @ weights,
    )


def _solve_label(wide: Float64, truth: Float64, head: Head, start: Float64) -> Float64:
    weights: Float64 = np.ones(len(truth))
    if head is Head.BALANCED:
        positives = truth.sum()
        weights = np.where(
            truth == 1.0, len(truth) / (2 * positives), len(truth) / (2 * (len(truth) - positives))
        )
    total = weights.sum()

    def loss(w: Float64) -> tuple[float, Float64]:
        logits = wide @ w
        gradient = wide.T @ (weights * (expit(logits) - truth))
        gradient[:-1] += w[:-1]
        value = weights @ (np.logaddexp(0.0, logits) - truth * logits) + 0.5 * w[:-1] @ w[:-1]
        return float(value) / total, gradient / total

    return _minimum(loss, start)


def _solve_classes(
    wide: Float64, truth: NDArray[np.intp], classes: int, head: Head, start: Float64
) -> Float64:
    weights: Float64 = np.ones(len(truth))
    if head is Head.BALANCED:
        counts = np.bincount(truth, minlength=classes)
        weights = len(truth) / (np.count_nonzero(counts) * counts[truth])
    total, row = weights.sum(), np.arange(len(truth))

    def loss(flat: Float64) -> tuple[float, Float64]:
        w = flat.reshape(start.shape)
        logs = log_softmax(wide @ w, axis=1)
        residual = np.exp(logs)
        residual[row, truth] -= 1.0
        gradient = wide.T @ (weights[:, None] * residual)
        gradient[:-1] += w[:-1]
        value = -(weights @ logs[row, truth]) + 0.5 * np.square(w[:-1]).sum()
        return float(value) / total, gradient.ravel() / total

    return _minimum(loss, start.ravel()).reshape(start.shape)


def _minimum(loss: Callable[[Float64], tuple[float, Float64]], start: Float64) -> Float64:
    # `factr` is how little the loss may still fall, in grains of a double, as scikit-learn has it.
    found: Float64 = fmin_l_bfgs_b(
        loss, start, pgtol=_GRADIENT, factr=64.0, maxiter=_MAX_STEPS, maxls=50
    )[0]
    return found
