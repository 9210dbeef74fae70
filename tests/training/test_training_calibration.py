"""Platt's sigmoid: right when there is evidence, modest when there is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from hitl.training import CalibratedBy
from hitl.training.calibration import calibrate, platt


def drawn(
    slope: float, offset: float, n: int = 20_000, seed: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 2, n)
    return logits, (rng.random(n) < expit(slope * logits + offset)).astype(float)


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.4, -1.0), (2.5, 3.0)])
def test_slope_and_offset_are_recovered(slope: float, offset: float) -> None:
    logits, targets = drawn(slope, offset)

    found = platt(logits, targets, np.ones_like(logits))

    assert slope == pytest.approx(found[0], rel=0.1)
    assert offset == pytest.approx(found[1], abs=0.15)


def test_a_weight_of_two_counts_twice() -> None:
    logits, targets = drawn(0.7, 0.5, n=400)
    weights = np.where(np.arange(400) < 200, 2.0, 1.0)

    weighted = platt(logits, targets, weights)
    doubled = platt(np.r_[logits, logits[:200]], np.r_[targets, targets[:200]], np.ones(600))

    assert doubled == pytest.approx(weighted, abs=1e-6)


def test_scores_that_point_the_wrong_way_do_not_turn_the_ranking_round() -> None:
    logits, targets = drawn(-2.0, 0.0)

    slope, offset = platt(logits, targets, np.ones_like(logits))

    assert 0.1 == pytest.approx(slope)
    assert targets.mean() == pytest.approx(expit(slope * logits + offset).mean(), abs=0.01)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_no_size_of_logit_makes_the_steps_run_away(size: float) -> None:
    logits, targets = drawn(1.0, 0.0, n=500)

    slope, offset = platt(logits * size, targets, np.ones_like(logits))
    p = expit(slope * logits * size + offset)

    assert np.isfinite([slope, offset]).all()
    assert targets.mean() == pytest.approx(p.mean(), abs=0.35)


def test_a_rare_category_shares_the_calibration_and_says_so() -> None:
    logits, targets = drawn(0.5, -0.5)
    wide = np.stack([logits, logits, logits], axis=1)
    rare = np.zeros_like(targets)
    rare[np.argsort(-logits)[:20]] = 1
    wide_targets = np.stack([targets, rare, np.zeros_like(targets)], axis=1)

    found = calibrate(wide, wide_targets, np.ones_like(wide), pooled_below=30)

    # The last has no positive at all: its score is its prior, and stays as it is.
    assert (CalibratedBy.OWN, CalibratedBy.POOLED, CalibratedBy.NONE) == found.by
    assert (1.0, 0.0) == (found.slopes[2], found.offsets[2])
    assert found.slopes[1] == pytest.approx(found.slopes[0], abs=0.3)


def test_without_any_unseen_score_the_logit_is_taken_as_it_is() -> None:
    logits = np.full((8, 2), np.nan)

    found = calibrate(logits, np.ones((8, 2)), np.ones((8, 2)), pooled_below=30)

    assert (CalibratedBy.NONE, CalibratedBy.NONE) == found.by
    assert [[0.5, expit(2.0)]] == pytest.approx(found.probabilities(np.array([[0.0, 2.0]])))


def test_unknown_cells_do_not_calibrate() -> None:
    logits, targets = drawn(1.0, 0.0, n=1000)
    known = np.arange(1000) < 500
    spoiled = np.where(known, targets, 1 - targets)

    whole = calibrate(logits[:500, None], targets[:500, None], np.ones((500, 1)), pooled_below=30)
    masked = calibrate(
        logits[:, None], spoiled[:, None], known[:, None].astype(float), pooled_below=30
    )

    assert whole.slopes[0] == pytest.approx(masked.slopes[0], abs=1e-9)
