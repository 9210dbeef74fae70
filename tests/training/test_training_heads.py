"""Folds and the two heads: nothing leaks from a held-out row into its own score."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from training_builders import make_recipe

from hitl.training.heads import assign_folds, fit_heads, log_count_ratios


def test_a_group_stays_in_one_fold_and_folds_are_even() -> None:
    groups = [f"g{i % 50}" for i in range(400)]

    folds = assign_folds(groups, folds=5, seed=1)

    assert all(
        1 == len({f for g, f in zip(groups, folds, strict=True) if g == one}) for one in groups
    )
    assert [80] * 5 == np.bincount(folds).tolist()


def test_folds_follow_the_group_and_the_seed_not_the_order() -> None:
    groups = [f"g{i}" for i in range(40)]

    folds = assign_folds(groups, folds=4, seed=1)

    assert np.array_equal(folds[::-1], assign_folds(groups[::-1], folds=4, seed=1))
    assert not np.array_equal(folds, assign_folds(groups, folds=4, seed=2))


def test_a_held_out_row_does_not_move_its_own_score() -> None:
    rng = np.random.default_rng(1)
    rows = sparse.random(100, 80, density=0.2, format="csr", random_state=1, dtype=np.float32)
    targets = (rng.random((100, 2)) < 0.4).astype(np.float32)
    folds = np.arange(100) % 5
    flipped = np.where((folds == 3)[:, None], 1 - targets, targets)
    weights = np.ones_like(targets)

    for one, other in zip(
        fit_heads(rows, targets, weights, folds, make_recipe()),
        fit_heads(rows, flipped, weights, folds, make_recipe()),
        strict=True,
    ):
        assert one.unseen_logits[folds == 3] == pytest.approx(
            other.unseen_logits[folds == 3], abs=1e-5
        )
        assert not np.allclose(one.unseen_logits[folds == 2], other.unseen_logits[folds == 2])
        assert not np.allclose(one.weights, other.weights)


def test_of_many_rows_only_as_many_are_held_out_as_wanted() -> None:
    rows = sparse.random(100, 10, density=0.5, format="csr", random_state=1, dtype=np.float32)
    targets = (np.arange(200).reshape(100, 2) % 3 == 0).astype(np.float32)
    folds = np.arange(100) % 5

    plain, _ = fit_heads(rows, targets, np.ones_like(targets), folds, make_recipe(unseen_rows=40))

    assert np.array_equal(folds < 2, np.isfinite(plain.unseen_logits).all(axis=1))


def test_the_ratio_is_that_of_smoothed_counts() -> None:
    presence = sparse.csr_matrix(np.array([[1, 1, 0], [0, 1, 1]], dtype=np.float32))
    targets = np.array([[1], [1], [0]], dtype=np.float32)

    found = log_count_ratios(presence, targets, np.ones_like(targets))

    # Presence: the first feature in two positives and no negative, the second in one of each.
    wanted = [abs(np.log((3 / 5) / (1 / 3))), abs(np.log((2 / 5) / (2 / 3)))]
    assert wanted == pytest.approx(found[:, 0].tolist(), rel=1e-5)
