"""The exact solver: against scikit-learn, and what masks, weights and scales must do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from hitl.training.solver import Design, Solution, solve

N, D, M = 300, 60, 20


@pytest.fixture
def rows() -> sparse.csr_matrix:
    return sparse.random(N, D, density=0.2, format="csr", random_state=3, dtype=np.float32)


@pytest.fixture
def targets(rows: sparse.csr_matrix) -> np.ndarray:
    rng = np.random.default_rng(4)
    logits = rows @ rng.normal(0, 3, (D, M)) + rng.normal(0, 1, M)
    return (rng.random((N, M)) < 1 / (1 + np.exp(-logits))).astype(np.float32)


def solved(
    rows: sparse.csr_matrix,
    targets: np.ndarray,
    weights: np.ndarray,
    *,
    c: float = 2.0,
    scale: np.ndarray | None = None,
) -> Solution:
    tolerance = np.full(targets.shape[1], 1e-5, dtype=np.float32)
    design = Design.of(rows)
    return solve(design, targets=targets, weights=weights, c=c, scale=scale, tolerance=tolerance)


def by_sklearn(rows: object, y: np.ndarray, s: np.ndarray, c: float) -> tuple[np.ndarray, float]:
    model = LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(rows, y, sample_weight=s)
    return model.coef_[0], float(model.intercept_[0])


def test_the_minimum_is_that_of_scikit_learn_in_every_column(
    rows: sparse.csr_matrix, targets: np.ndarray
) -> None:
    rng = np.random.default_rng(5)
    weights = rng.choice([0.0, 0.3, 1.0, 2.0], (N, M)).astype(np.float32)

    found = solved(rows, targets, weights)

    for column in range(M):
        s = weights[:, column]
        coefficients, intercept = by_sklearn(rows[s > 0], targets[s > 0, column], s[s > 0], 2.0)
        assert coefficients == pytest.approx(found.weights[:, column], abs=2e-3)
        assert intercept == pytest.approx(found.intercepts[column], abs=2e-3)


def test_what_a_hidden_cell_holds_changes_nothing(
    rows: sparse.csr_matrix, targets: np.ndarray
) -> None:
    weights = (np.random.default_rng(6).random((N, M)) < 0.7).astype(np.float32)

    one = solved(rows, targets, weights)
    other = solved(rows, np.where(weights > 0, targets, 1 - targets), weights)

    assert np.array_equal(one.weights, other.weights)


def test_a_scale_is_the_same_as_scaled_features(
    rows: sparse.csr_matrix, targets: np.ndarray
) -> None:
    factors = np.random.default_rng(7).uniform(0.1, 3, D).astype(np.float32)
    weights = np.ones_like(targets)
    scaled_rows = rows @ sparse.diags(factors).tocsr()

    scaled = solved(rows, targets, weights, scale=np.tile(factors[:, None], M))
    plain = solved(scaled_rows.astype(np.float32).tocsr(), targets, weights)

    assert scaled.weights == pytest.approx(plain.weights * factors[:, None], abs=3e-3)


def test_columns_do_not_disturb_each_other(rows: sparse.csr_matrix, targets: np.ndarray) -> None:
    weights = np.ones_like(targets)

    together = solved(rows, targets, weights)
    alone = solved(rows, targets[:, :1], weights[:, :1])

    assert alone.weights[:, 0] == pytest.approx(together.weights[:, 0], abs=1e-3)


def test_one_positive_that_separates_still_has_a_finite_minimum() -> None:
    rows = sparse.csr_matrix(np.eye(50, dtype=np.float32))
    targets = np.zeros((50, 1), dtype=np.float32)
    targets[7] = 1

    found = solved(rows, targets, np.ones_like(targets), c=1000.0)

    logits = rows @ found.weights + found.intercepts
    assert 7 == int(logits.argmax())
    assert np.isfinite(found.weights).all()
