"""Reliability: bins by hand, and honest models whose bins hold what they said."""

from __future__ import annotations

import numpy as np
import pytest

from hitl.evaluation import BadArrays, reliability, wilson


def test_bins_hold_neighbours_and_their_share() -> None:
    said = np.repeat([0.1, 0.4, 0.8], 10)
    truth = np.concatenate([np.arange(10) < k for k in (1, 5, 9)]).astype(float)

    bins = reliability(said, truth)

    assert [(0.1, 0.1, 10, 1), (0.4, 0.5, 10, 5), (0.8, 0.9, 10, 9)] == [
        (pytest.approx(one.said), pytest.approx(one.share), one.n, one.n_positive) for one in bins
    ]
    assert wilson(0.5, 10) == (pytest.approx(bins[1].low), pytest.approx(bins[1].high))


def test_equal_scores_share_a_bin_whatever_the_order_of_rows() -> None:
    rng = np.random.default_rng(1)
    said, truth = rng.choice([0.2, 0.3, 0.9], 300), (rng.random(300) < 0.4).astype(float)
    shuffled = rng.permutation(300)

    first, again = reliability(said, truth), reliability(said[shuffled], truth[shuffled])

    assert 3 == len(first)
    assert [pytest.approx(one.share) for one in first] == [one.share for one in again]


def test_the_number_of_bins_follows_the_events() -> None:
    said = np.linspace(0.0, 1.0, 400)

    def bins(positives: int) -> int:
        truth = np.zeros(400)
        truth[np.random.default_rng(2).permutation(400)[:positives]] = 1.0
        return len(reliability(said, truth))

    assert [3, 5, 10] == [bins(20), bins(50), bins(150)]


def test_weights_move_the_share_and_cost_certainty() -> None:
    said, truth = np.full(40, 0.5), np.tile([1.0, 0.0], 20)
    weights = np.tile([3.0, 1.0], 20)

    [plain] = reliability(said, truth)
    [weighted] = reliability(said, truth, weights=weights)

    assert (0.5, 0.75) == (pytest.approx(plain.share), pytest.approx(weighted.share))
    assert weighted.n_effective == pytest.approx(80.0**2 / 200.0)
    assert 40.0 == plain.n_effective


def test_copies_of_one_item_are_one_piece_of_evidence() -> None:
    said, truth = np.full(40, 0.5), np.repeat(np.tile([1.0, 0.0], 5), 4)

    [found] = reliability(said, truth, groups=np.repeat(np.arange(10), 4).tolist())

    assert 10.0 == found.n_effective
    assert 40 == found.n


def test_what_is_unknown_is_left_out() -> None:
    said = np.array([0.1, 0.2, np.nan, 0.4])
    truth = np.array([0.0, np.nan, 1.0, 1.0])

    assert 2 == sum(one.n for one in reliability(said, truth))
    assert () == reliability([], [])
    with pytest.raises(BadArrays, match="weights"):
        reliability([0.5], [1.0], weights=[np.inf])


def test_the_bins_of_an_honest_model_hold_what_it_said() -> None:
    """Nominal 95 % of bins, less two standard errors; unevenly weighted labels."""
    rng = np.random.default_rng(3)
    held = []
    for _ in range(300):
        said = 1.0 / (1.0 + np.exp(-1.5 * (rng.normal(size=400) - 1.0)))
        truth = (rng.random(400) < said).astype(float)
        weights = rng.uniform(1.0, 5.0, 400)
        bins = reliability(said, truth, weights=weights)
        held += [one.low <= one.said <= one.high for one in bins]

    assert np.mean(held) >= 0.94
