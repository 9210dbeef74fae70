"""Precision-recall curves: by hand, against scikit-learn, and the band against known truth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from hitl.evaluation import BadArrays, PrecisionRecall, precision_recall
from hitl.evaluation.curves import LEVELS


def world(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    p = 1.0 / (1.0 + np.exp(-1.5 * (rng.normal(size=n) - 2.0)))
    return p, (rng.random(n) < p).astype(float)


def at_recalls(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Brute force: of all thresholds that reach a recall, the highest one's precision."""
    precision, recall, _ = precision_recall_curve(truth, scores)
    # From high to low thresholds, without the point at recall 0 that scikit-learn adds.
    precision, recall = precision[:-1][::-1], recall[:-1][::-1]
    return np.array([precision[np.argmax(recall >= level - 1e-12)] for level in LEVELS])


def of(scores: np.ndarray, truth: np.ndarray, **more: object) -> PrecisionRecall:
    given = {"thresholds": {"policy": 0.5}, "seed": 1, "resamples": 100} | more
    return precision_recall(scores, truth, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("digits", [6, 1], ids=["all distinct", "many ties"])
def test_the_curve_is_that_of_scikit_learn(digits: int) -> None:
    scores, truth = world(np.random.default_rng(1), 500)
    scores = scores.round(digits)

    found = of(scores, truth)

    assert found.precision == pytest.approx(at_recalls(scores, truth))
    assert (500, int(truth.sum()), None) == (found.n, found.n_positive, found.code)


def test_a_weight_counts_as_so_many_items() -> None:
    scores, truth = world(np.random.default_rng(2), 300)
    weights = np.random.default_rng(3).integers(1, 4, 300)

    weighted = of(scores, truth, weights=weights.astype(float))

    repeated = of(np.repeat(scores, weights), np.repeat(truth, weights))
    assert weighted.precision == pytest.approx(repeated.precision)
    assert weighted.points[0].recall == pytest.approx(repeated.points[0].recall)


def test_a_threshold_lies_where_it_flags() -> None:
    scores = np.tile([0.9, 0.8, 0.7, 0.2], 20)
    truth = np.tile([1.0, 0.0, 1.0, 1.0], 20)

    found = of(scores, truth, thresholds={"policy": 0.7, "block from": 0.95})

    policy, block = found.points
    assert (pytest.approx(2 / 3), pytest.approx(2 / 3), 60) == (
        policy.precision, policy.recall, policy.flagged,
    )  # fmt: skip
    assert policy.precision_limits is not None
    assert policy.precision_limits.low < 2 / 3 < policy.precision_limits.high
    assert (None, None, 0.0, 0) == (
        block.precision, block.precision_limits, block.recall, block.flagged,
    )  # fmt: skip
    assert block.recall_limits.high > 0.0, "none of sixty is not certainly none"


def test_ten_of_ten_on_top_is_no_certainty() -> None:
    scores = np.linspace(1.0, 0.0, 100)
    truth = (scores > 0.7).astype(float)

    found = of(scores, truth)

    assert 1.0 == found.precision[0]
    assert found.low[0] < 0.3
    assert np.isnan(found.low[-1]), "the end hangs on the last item"
    assert not np.isnan(found.low[40])


def test_copies_of_one_item_are_one_piece_of_evidence() -> None:
    scores, truth = world(np.random.default_rng(5), 120)
    copies = np.repeat(np.arange(120), 10)

    torn = of(scores[copies], truth[copies])
    whole = of(scores[copies], truth[copies], groups=copies.tolist())

    at = 20
    assert whole.high[at] - whole.low[at] > 1.5 * (torn.high[at] - torn.low[at])


def test_too_few_events_have_no_curve() -> None:
    scores, truth = np.linspace(0, 1, 200), np.zeros(200)
    truth[:9] = 1.0

    assert ("too_few_events", 200, 9, 0) == (
        of(scores, truth).code, of(scores, truth).n, of(scores, truth).n_positive,
        len(of(scores, truth).recall),
    )  # fmt: skip
    assert "no_labels" == of(scores, np.full(200, np.nan)).code
    groups = ["one"] * 100 + [f"{k}" for k in range(100)]
    assert "too_few_events" == of(scores, (scores < 0.5).astype(float), groups=groups).code


def test_impossible_weights_are_refused() -> None:
    with pytest.raises(BadArrays, match="weights"):
        of(np.array([0.1, 0.2]), np.array([0.0, 1.0]), weights=np.array([1.0, -1.0]))


def test_the_same_seed_gives_the_same_band() -> None:
    scores, truth = world(np.random.default_rng(6), 300)

    first, again, other = (of(scores, truth, seed=seed) for seed in (1, 1, 2))

    assert np.array_equal(first.low, again.low, equal_nan=True)
    assert not np.array_equal(first.low, other.low, equal_nan=True)


@pytest.mark.slow
def test_the_band_holds_the_true_precision_at_each_recall() -> None:
    """Nominal 95 %: the mean over the curve, less two standard errors; no place far below."""
    scores, truth = world(np.random.default_rng(7), 1_000_000)
    order = np.argsort(-scores)
    hits = np.cumsum(truth[order])
    at = np.searchsorted(hits / hits[-1], LEVELS - 1e-12).clip(max=len(scores) - 1)
    true = (hits / np.arange(1, len(scores) + 1))[at]
    rng = np.random.default_rng(8)
    worlds = 150

    held = np.full((worlds, len(LEVELS)), np.nan)
    for k in range(worlds):
        found = of(*world(rng, 400), resamples=200)
        has_band = ~np.isnan(found.low)
        within = (found.low <= true) & (true <= found.high)
        held[k, has_band] = within[has_band]

    told = (~np.isnan(held)).mean(axis=0) >= 0.9
    coverage = np.nanmean(held[:, told], axis=0)
    assert told.sum() >= 42
    assert coverage.mean() >= 0.94
    assert coverage.min() >= 0.95 - 3.5 * np.sqrt(0.05 * 0.95 / worlds)
