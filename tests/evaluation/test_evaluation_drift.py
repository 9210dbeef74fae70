"""Drift: worked values, and how often each measure cries without cause."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from hitl.evaluation import BadArrays, shifted_shares, stability, two_sets


def test_the_stability_index_has_the_worked_values() -> None:
    found = stability([100, 200, 300, 400], [40, 60, 50, 50])

    assert found.psi == pytest.approx(0.189478, abs=1e-6)
    assert found.limit == pytest.approx(0.046888, abs=1e-6)
    assert found.has_moved


def test_few_items_do_not_make_a_shift() -> None:
    rng = np.random.default_rng(1)
    shares = np.full(5, 0.2)
    cries = by_rule_of_thumb = 0
    for _ in range(1000):
        one = stability(rng.multinomial(10_000, shares), rng.multinomial(100, shares))
        cries += one.has_moved
        ten = np.full(10, 0.1)
        many_bins = stability(rng.multinomial(1000, ten), rng.multinomial(100, ten))
        by_rule_of_thumb += many_bins.psi > 0.1

    assert cries <= 75
    assert by_rule_of_thumb >= 300  # what the usual rule would cry


def test_a_tiny_shift_of_very_many_is_not_worth_a_look() -> None:
    found = stability([500_000, 500_000], [505_000, 495_000])

    assert found.psi > found.limit
    assert not found.has_moved


def test_an_empty_bin_is_half_an_item() -> None:
    assert np.isfinite(stability([10, 0], [5, 5]).psi)


@pytest.mark.parametrize(
    ("reference", "now"), [([1, 2], [1, 2, 3]), ([0, 0], [1, 2]), ([1, -1], [1, 2]), ([3], [4])]
)
def test_counts_that_do_not_fit_are_refused(reference: list[int], now: list[int]) -> None:
    with pytest.raises(BadArrays):
        stability(reference, now)


def test_shifted_shares_have_the_worked_values() -> None:
    found = shifted_shares([[0.94, 0.02], [0.01, 0.03]], [0.93, 0.07])

    assert found == pytest.approx([0.946429, 2.017857], abs=1e-6)


def test_a_model_that_tells_nothing_apart_is_refused() -> None:
    with pytest.raises(BadArrays, match="tell the classes apart"):
        shifted_shares([[0.45, 0.05], [0.45, 0.05]], [0.5, 0.5])


def test_without_drift_the_embeddings_p_is_even() -> None:
    rng = np.random.default_rng(3)
    p = [
        two_sets(
            rng.normal(size=(30, 4)), rng.normal(size=(20, 4)), seed=k, permutations=99
        ).p_value
        for k in range(200)
    ]

    assert kstest(p, "uniform").pvalue > 0.001
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_embeddings_that_moved_are_seen_and_repeat_under_a_seed() -> None:
    rng = np.random.default_rng(4)
    then, late = rng.normal(size=(200, 8)), rng.normal(0.4, 1.0, size=(150, 8))

    found = two_sets(then, late, seed=1)

    assert found.p_value < 0.01
    assert found == two_sets(then, late, seed=1)


def test_the_distance_is_the_unbiased_one() -> None:
    rng = np.random.default_rng(8)
    then, late = rng.normal(size=(7, 2)), rng.normal(size=(5, 2))
    both = np.concatenate([then, late])
    apart = ((both[:, None] - both) ** 2).sum(-1)
    kernel = np.exp(-apart / np.median(apart[np.triu_indices(12, 1)]))
    x, y, xy = kernel[:7, :7], kernel[7:, 7:], kernel[:7, 7:]
    by_hand = (x.sum() - 7) / 42 + (y.sum() - 5) / 20 - 2 * xy.mean()

    assert two_sets(then, late, seed=1, permutations=1).distance == pytest.approx(by_hand)


def test_embeddings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadArrays):
        two_sets(np.zeros((3, 2)), np.zeros((3, 4)), seed=1)
    with pytest.raises(BadArrays):
        two_sets(np.zeros((3, 2)), np.full((3, 2), np.nan), seed=1)
