"""Draws that learn: worked weights, and that their totals are true where others are not."""

from __future__ import annotations

import numpy as np
import pytest

from hitl.evaluation import BadArrays, Round, levelled_total, lure_weights


def test_the_weights_have_the_worked_values() -> None:
    assert lure_weights([0.4, 0.3], population=5) == pytest.approx([0.625, 0.833333], abs=1e-6)
    assert lure_weights([0.3, 0.2, 0.5], population=10) == pytest.approx(
        [0.481481, 0.611111, 0.25], abs=1e-6
    )


def test_all_drawn_evenly_count_alike() -> None:
    assert lure_weights([1 / 4, 1 / 3, 1 / 2, 1], population=4) == pytest.approx([1, 1, 1, 1])


def test_a_sequential_draw_is_unbiased_though_it_looks_for_large_losses() -> None:
    rng = np.random.default_rng(2)
    losses = (rng.random(60) < 0.15).astype(float)
    liking = 0.2 + losses * rng.random(60)
    found, naive = [], []
    for _ in range(3000):
        left, drawn, chances = np.arange(60), [], []
        for _ in range(12):
            chance = liking[left] / liking[left].sum()
            at = rng.choice(len(left), p=chance)
            drawn.append(left[at])
            chances.append(chance[at])
            left = np.delete(left, at)
        found.append(float(np.mean(lure_weights(chances, population=60) * losses[drawn])))
        naive.append(float(losses[drawn].mean()))

    truth = losses.mean()
    assert abs(np.mean(found) - truth) <= 3 * np.std(found) / np.sqrt(3000)
    assert np.mean(naive) > 1.3 * truth


def test_three_rounds_that_learn_have_a_true_total_and_an_honest_variance() -> None:
    rng = np.random.default_rng(4)
    truth = (rng.random(800) < 0.1).astype(float)
    score = np.clip(0.3 * truth + 0.5 * rng.random(800), 0, 1)
    totals, covered, plain = [], 0, []
    for _ in range(1500):
        labelled = np.zeros(800, dtype=bool)
        rounds: list[Round] = []
        naive = []
        guess = score.copy()
        for _ in range(3):
            known = float(truth[labelled].sum())
            free = ~labelled
            chance = np.clip(60 * guess[free] / guess[free].sum(), 0.02, 1)
            drawn = rng.random(free.sum()) < chance
            rows = np.flatnonzero(free)[drawn]
            rounds.append(Round(truth[rows], chance[drawn], known))
            naive.append(float((truth[rows] / chance[drawn]).sum()))
            labelled[rows] = True
            # What was found says where to look next.
            guess = np.where(score > np.median(score[rows]), 1.5 * score, 0.7 * score) + 0.1
        total = levelled_total(rounds, sizes=[60, 60, 60])
        totals.append(total.value)
        plain.append(float(np.mean(naive)))
        covered += abs(total.value - truth.sum()) <= 1.96 * np.sqrt(total.variance)

    assert abs(np.mean(totals) - truth.sum()) <= 3 * np.std(totals) / np.sqrt(1500)
    assert abs(np.mean(plain) - truth.sum()) > 0.05 * truth.sum()  # rounds averaged as they come
    assert 0.91 <= covered / 1500 <= 0.98


def test_impossible_draws_are_refused() -> None:
    with pytest.raises(BadArrays):
        lure_weights([0.5, 0.0], population=5)
    with pytest.raises(BadArrays):
        lure_weights([0.5, 0.5], population=1)
    with pytest.raises(BadArrays):
        levelled_total([], sizes=[])
    one = Round(np.ones(1), np.array([0.5]), 0.0)
    with pytest.raises(BadArrays):
        levelled_total([one], sizes=[1, 2])
    with pytest.raises(BadArrays):
        levelled_total([Round(np.ones(1), np.array([1.5]), 0.0)], sizes=[1])
