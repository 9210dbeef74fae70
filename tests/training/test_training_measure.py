"""Average precision and log loss, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.metrics import log_loss as sklearn_log_loss

from hitl.training.measure import average_precision, log_loss


@pytest.mark.parametrize("seed", range(5))
def test_both_figures_are_scikit_learns_with_ties_and_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(1, 9, 200) / 10
    targets = (rng.random(200) < scores).astype(float)
    weights = rng.integers(0, 4, 200).astype(float)

    wanted = average_precision_score(targets, scores, sample_weight=weights)
    assert wanted == pytest.approx(average_precision(scores, targets, weights))
    wanted = sklearn_log_loss(targets, scores, sample_weight=weights)
    assert wanted == pytest.approx(log_loss(scores, targets, weights))


def test_average_precision_by_hand() -> None:
    found = average_precision(np.array([0.9, 0.8, 0.7]), np.array([1.0, 0.0, 1.0]), np.ones(3))

    assert (1 + 2 / 3) / 2 == pytest.approx(found)


def test_nothing_to_find_is_zero() -> None:
    assert 0.0 == average_precision(np.array([0.5]), np.zeros(1), np.ones(1))
    assert 0.0 == log_loss(np.zeros(0), np.zeros(0), np.zeros(0))
