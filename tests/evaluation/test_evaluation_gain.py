"""The paired difference in average precision on one category."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from hitl.evaluation import gain_in_average_precision


def world(items: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = (rng.random(items) < 0.2).astype(float)
    noise = rng.random((2, items))
    return (
        np.clip(0.2 * truth + 0.8 * noise[0], 0, 1),
        np.clip(0.5 * truth + 0.5 * noise[1], 0, 1),
        truth,
    )


def test_it_is_the_difference_of_both_and_its_interval_holds_it() -> None:
    old, new, truth = world()

    gain = gain_in_average_precision(old, new, truth, seed=1)

    assert gain is not None
    expected = average_precision_score(truth, new) - average_precision_score(truth, old)
    assert pytest.approx(expected) == gain.value
    assert 0 < gain.low < gain.value < gain.high
    assert (400, int(truth.sum())) == (gain.n, gain.n_positive)


def test_a_model_is_no_better_than_itself() -> None:
    old, _, truth = world()

    gain = gain_in_average_precision(old, old, truth, seed=1)

    assert gain is not None
    assert (0.0, 0.0, 0.0) == gain[:3]


def test_items_that_lack_anything_are_left_out_and_few_events_give_nothing() -> None:
    old, new, truth = world()
    old[:100], new[100:150], truth[150:200] = np.nan, np.nan, np.nan

    gain = gain_in_average_precision(old, new, truth, seed=1)

    assert gain is not None
    assert 200 == gain.n
    assert gain_in_average_precision(old, new, np.zeros(400), seed=1) is None
