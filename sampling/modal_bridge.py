"""The one door to modAL: its measures as our strategies, and its learner mended for today's stack.

What is broken in modAL-python 0.4.2.1 beside scikit-learn 1.9, and what is done about it here:

1. `ActiveLearner.teach` and `fit` pass `force_all_finite`, a keyword scikit-learn dropped in 1.8:
   renamed on the way through (`active_learner`). Queries work without; only teaching fails.
2. skorch 0.9, which it pins, does not import: nothing of `modAL.dropout` is offered.
3. `modAL.expected_error` does not import (`np.float`): not offered.
4. `multilabel.max_loss` and `mean_max_loss` read `classes_`, which no learner has: not offered.
5. pandas pools need `DataFrame.append`, gone since pandas 2: pools here are numpy arrays.
6. `n_instances` above the pool's size is an AssertionError, and its rows come unordered, ties by
   place in the array: we ask for the worth of every row, then order and cut ourselves.
7. `modAL.__version__` does not exist: `modal_version`.

modAL is imported on first use: it takes seconds, and most plans never need it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator

from sampling.pool import FloatArray, IntArray, Pool, best_first


class Predictor(Protocol):
    """Whatever modAL may ask: only this one method."""

    def predict_proba(self, X: Any) -> FloatArray: ...


class Precomputed:
    """A predictor whose samples are their own probabilities: modAL measures without a model."""

    def predict_proba(self, X: FloatArray) -> FloatArray:
        return X

    def predict(self, X: FloatArray) -> FloatArray:
        """1 where a category is more likely than not; multi-label scores ask for it."""
        return (X >= 0.5).astype(np.float64)


Measure = Callable[[Predictor, FloatArray], FloatArray]
Query = Callable[..., Any]


def uncertainty(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's `classifier_uncertainty` (1 - max); independent categories by the hardest one."""
    return _by_measure("classifier_uncertainty", pool, limit=limit, sign=1.0)


def margin(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's `classifier_margin`, smallest first; independent categories by the hardest one."""
    return _by_measure("classifier_margin", pool, limit=limit, sign=-1.0)


def entropy(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's `classifier_entropy`; independent categories by the hardest one."""
    return _by_measure("classifier_entropy", pool, limit=limit, sign=1.0)


def min_confidence(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's multi-label `min_confidence`: lowest probability of any category first."""
    return _by_multilabel("min_confidence", pool, limit=limit, sign=-1.0)


def avg_confidence(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's multi-label `avg_confidence`: highest mean probability first."""
    return _by_multilabel("avg_confidence", pool, limit=limit, sign=1.0)


def max_score(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's multi-label `max_score`: surest positive first."""
    return _by_multilabel("max_score", pool, limit=limit, sign=1.0)


def avg_score(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """modAL's multi-label `avg_score`: surest positives on average first."""
    return _by_multilabel("avg_score", pool, limit=limit, sign=1.0)


def from_modal_query(query: Query, predictor: Predictor | None = None) -> Any:
    """A strategy of ours from any query function of modAL's shape, for instance a combination.

    Args:
        query: (predictor, X, n_instances) -> indices, or (indices, ...).
        predictor: asked about the pool's probabilities as if they were samples; by default it
            gives them back.

    Rows come in the order `query` gives. The pool is shown in the order of ids, so ties, which
    modAL breaks by place, do not depend on the order of rows.
    """

    def strategy(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
        limit = min(limit, len(pool))
        if limit <= 0:
            return np.empty(0, dtype=np.intp)
        answer = query(predictor or Precomputed(), _by_id(pool), n_instances=limit)
        indices = answer[0] if isinstance(answer, tuple) else answer
        return pool.by_id[np.atleast_1d(np.asarray(indices, dtype=np.intp))]

    return strategy


def active_learner(estimator: Any, **arguments: Any) -> Any:
    """modAL's `ActiveLearner` with `teach` and `fit` working on today's scikit-learn.

    Takes numpy arrays or scipy sparse matrices, not DataFrames (5, above).
    """
    return _module("models").ActiveLearner(estimator=estimator, **arguments)


def modal_version() -> str:
    """The installed modAL, for the record beside a selection."""
    return version("modAL-python")


def _by_measure(name: str, pool: Pool, *, limit: int, sign: float) -> IntArray:
    if not len(pool) or limit <= 0:
        return np.empty(0, dtype=np.intp)
    measure: Measure = getattr(_module("uncertainty"), name)
    if pool.exclusive:
        worth = sign * measure(Precomputed(), pool.probabilities)
    else:
        # One yes/no question a category; scipy's entropy of (1, 0) is 0, as it should be.
        per_category = [
            sign * measure(Precomputed(), np.column_stack([1.0 - column, column]))
            for column in pool.probabilities.T
        ]
        worth = np.max(per_category, axis=0)
    return best_first(worth, limit=limit, tie=pool.id_ranks())


def _by_multilabel(name: str, pool: Pool, *, limit: int, sign: float) -> IntArray:
    if not len(pool) or limit <= 0:
        return np.empty(0, dtype=np.intp)
    query: Query = getattr(_module("multilabel"), name)
    rows, values = query(
        Precomputed(), pool.probabilities, n_instances=len(pool), random_tie_break=False
    )
    worth = np.empty(len(pool))
    worth[rows] = sign * values
    return best_first(worth, limit=limit, tie=pool.id_ranks())


def _by_id(pool: Pool) -> FloatArray:
    return pool.probabilities[pool.by_id]


@cache
def _module(name: str) -> Any:
    """`modAL.<name>`, with the renamed keyword of scikit-learn put right (1, above)."""
    learners: Any = import_module("modAL.models.learners")
    if not hasattr(learners.check_X_y, "renames_for"):
        learners.check_X_y = _renaming(learners.check_X_y)
    return import_module(f"modAL.{name}")


def _renaming(check: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*args: Any, **keywords: Any) -> Any:
        if "force_all_finite" in keywords:
            keywords["ensure_all_finite"] = keywords.pop("force_all_finite")
        return check(*args, **keywords)

    checked.renames_for = check  # type: ignore[attr-defined]
    return checked
