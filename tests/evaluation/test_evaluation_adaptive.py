"""Rounds that learn: their levelled total is true where the plain mean of rounds is not."""

from __future__ import annotations

import numpy as np
import pytest

from hitl.evaluation import BadArrays, Round, levelled_total


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
        levelled_total([], sizes=[])
    one = Round(np.ones(1), np.array([0.5]), 0.0)
    with pytest.raises(BadArrays):
        levelled_total([one], sizes=[1, 2])
    with pytest.raises(BadArrays):
        levelled_total([Round(np.ones(1), np.array([1.5]), 0.0)], sizes=[1])
